"""The cold store on a real S3 server: what it promises of its objects, and what it refuses."""

import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError
from pytest_django.fixtures import Settings

from branches.storage.cold import AlreadyStored, Bucket, ColdStore, Directory, NotStored, cold_store
from verel_site.servers.seaweedfs import BUCKET, SeaweedFS

WRITERS = 12


@pytest.fixture
def s3(seaweedfs: SeaweedFS, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> ColdStore:
    """The store as settings and the usual AWS variables name it."""
    for name, value in seaweedfs.environment.items():
        monkeypatch.setenv(name, value)
    settings.VEREL_ARCHIVE_URL = f"s3://{BUCKET}/tests"
    return cold_store()


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ColdStore:
    """Both stores: one set of promises."""
    if request.param == "directory":
        return Directory(tmp_path)
    found: ColdStore = request.getfixturevalue("s3")
    return found


def test_what_was_put_comes_back_byte_for_byte(store: ColdStore) -> None:
    data = bytes(range(256)) * 4096
    store.put("same/bytes", data)
    assert store.get("same/bytes") == data
    store.probe()


def test_a_missing_key_is_not_stored(store: ColdStore) -> None:
    with pytest.raises(NotStored):
        store.get("never/put")


def test_of_many_writers_of_a_key_one_wins_and_the_object_is_the_winners(store: ColdStore) -> None:
    outcomes: dict[int, str] = {}
    start = threading.Barrier(WRITERS)

    def write(number: int) -> None:
        start.wait()
        try:
            store.put("raced/key", b"%d" % number * 1000)
            outcomes[number] = "won"
        except AlreadyStored:
            outcomes[number] = "refused"

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == WRITERS
    (winner,) = [number for number, outcome in outcomes.items() if outcome == "won"]
    assert store.get("raced/key") == b"%d" % winner * 1000


def test_a_key_that_is_taken_keeps_its_object(store: ColdStore) -> None:
    store.put("kept", b"first")
    with pytest.raises(AlreadyStored):
        store.put("kept", b"second")
    assert store.get("kept") == b"first"


def test_a_bad_signature_is_refused(
    s3: ColdStore, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
    guessing = Bucket(BUCKET, "tests/")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        guessing.put("forged", b"data")
    with pytest.raises(ClientError):
        guessing.probe()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(ClientError):
        Bucket(BUCKET, "tests/").get("forged")
    with pytest.raises(NotStored):
        s3.get("forged")


def test_a_bucket_that_is_not_there_is_found_by_the_probe(s3: ColdStore) -> None:
    with pytest.raises(ClientError):
        Bucket("no-such-bucket", "").probe()


def test_objects_outlive_a_restart_of_the_server(s3: ColdStore, seaweedfs: SeaweedFS) -> None:
    s3.put("lasting", b"kept on disk")
    seaweedfs.stop()
    with pytest.raises((EndpointConnectionError, ConnectTimeoutError)):
        s3.probe()
    seaweedfs.start()
    assert s3.get("lasting") == b"kept on disk"

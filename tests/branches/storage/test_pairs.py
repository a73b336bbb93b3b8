"""Triplets and dataset files under encryption: nothing of their words stands at rest, and what was
moved, changed or cut off is found."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.db.models import F
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from branches.datasets import make_dataset
from branches.merges import merge_branches
from branches.models import Dataset, Triplet
from branches.selectors.datasets import open_file
from branches.storage.cold import AlreadyStored, Directory, cold_store
from branches.storage.pairs import UnreadableTriplet, column_json
from branches.storage.sealed_files import (
    FRAME_BYTES,
    UnreadableFile,
    name_key,
    put_bytes,
    put_file,
    read_file,
)
from branches.triplets import deliver_triplet
from tests.branches.test_datasets import pass_undo
from tests.make import append, make_fork, make_message, make_person, make_run, make_user
from tests.sound import faults_of
from tests.verdicts.make import push
from verdicts.admission import admit_merge
from verel_site.access.actors import SYSTEM
from verel_site.access.rights import Role

SECRET = "KINGFISHER"
OLD, NEW = ("2025", bytes(range(32))), ("2026", bytes(32))


@pytest.fixture
def encrypted(settings: Settings) -> Settings:
    settings.VEREL_EVENT_KEYS = [NEW, OLD]
    return settings


def make_merged() -> Triplet:
    trunk = make_run()[1]
    append(trunk, make_message("user", f"Prompt {SECRET}"))
    good, bad = (make_fork(trunk, 2).branch for _ in "ab")
    append(good, make_message("assistant", f"Good {SECRET}"))
    append(bad, make_message("assistant", f"Bad {SECRET}"))
    push(good)
    merge = merge_branches(
        winner_id=good.pk,
        loser_ids=[bad.pk],
        actor=SYSTEM,
        admission=admit_merge(winner=good, actor=SYSTEM),
    )
    pass_undo()
    return Triplet.objects.select_related("project").get(merge=merge)


def stored_bytes(triplet: Triplet) -> bytes:
    row = Triplet.objects.filter(pk=triplet.pk)
    return b"".join(map(bytes, row.values_list("prompt", "chosen", "rejected", "tools")[0]))


def files_of(dataset: Dataset) -> dict[str, bytes]:
    store = cold_store()
    return {name: store.get(key) for name, key in dataset.files.items()}


@pytest.mark.django_db
def test_neither_the_row_nor_a_file_of_it_has_a_word_in_the_clear(encrypted: Settings) -> None:
    triplet = make_merged()
    dataset = make_dataset(project_id=triplet.project_id, actor=SYSTEM)
    deliver_triplet(triplet.pk, "archive")
    root = Path(urlsplit(encrypted.VEREL_ARCHIVE_URL).path)
    at_rest = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    assert len(at_rest) == len(dataset.files) + 1
    assert not any(SECRET.encode() in data for data in [stored_bytes(triplet), *at_rest])
    read = b"".join(
        open_file(actor=make_person(triplet.project), dataset_id=dataset.pk, name="")[1]
    )
    assert json.loads(read)["prompt"][0]["content"] == f"Prompt {SECRET}"
    assert faults_of(triplet.project_id) == []


@pytest.mark.django_db
def test_rows_of_every_setting_are_read_side_by_side(settings: Settings) -> None:
    told = []
    for keys in ([], [OLD], [NEW, OLD]):
        settings.VEREL_EVENT_KEYS = keys
        told.append(make_merged())
    assert [column_json(row, "chosen")[0]["content"] for row in told] == [f"Good {SECRET}"] * 3
    settings.VEREL_EVENT_KEYS = [NEW]
    with pytest.raises(UnreadableTriplet, match="its key '2025'"):
        column_json(told[1], "chosen")


@pytest.mark.django_db
def test_a_column_opens_in_its_own_row_and_place_alone(encrypted: Settings) -> None:
    first, second = make_merged(), make_merged()
    Triplet.objects.filter(pk=first.pk).update(chosen=bytes(second.chosen))
    Triplet.objects.filter(pk=second.pk).update(rejected=F("chosen"))
    for row in (first, second):
        faults = faults_of(row.project_id)
        assert [fault.kind for fault in faults] == ["unreadable"], faults


@pytest.mark.django_db
def test_a_filter_by_text_finds_words_where_they_are_and_is_off_where_they_are_sealed(
    settings: Settings,
) -> None:
    triplet = make_merged()
    client = Client()
    client.force_login(make_user(triplet.project, Role.ADMIN))
    page = f"/p/{triplet.project.slug}/triplets/"
    assert (
        "1</b>&nbsp;triplet of this filter" in client.get(f"{page}?text={SECRET}").content.decode()
    )
    assert "0</b>&nbsp;triplets of" in client.get(f"{page}?text=HERON").content.decode()
    settings.VEREL_EVENT_KEYS = [NEW]
    assert client.get(f"{page}?text={SECRET}").status_code == 400
    assert "messages of triplets are encrypted" in client.get(page).content.decode()
    asked = {"project": triplet.project.slug, "filter": {"text": SECRET}}
    answer = client.post("/api/v1/datasets", asked, content_type="application/json")
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/filter/text")


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES])
def test_a_file_comes_back_byte_for_byte(encrypted: Settings, tmp_path: Path, size: int) -> None:
    data = bytes(index * 7 % 251 for index in range(size))
    store, path = Directory(tmp_path / "store"), tmp_path / "plain"
    path.write_bytes(data)
    put_bytes(store, name_key("a"), data)
    put_file(store, name_key("b"), path)
    for key in ("a.sealed", "b.sealed"):
        assert b"".join(read_file(store, key)) == data
        assert size < 9 or data not in store.get(key)
    with pytest.raises(AlreadyStored):
        put_file(store, name_key("b"), path)
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["plain"]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Directory, bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.VEREL_EVENT_KEYS", [NEW])
        store = Directory(tmp_path_factory.mktemp("sealed"))
        put_bytes(store, "whole.sealed", bytes(2 * FRAME_BYTES + 5))
        yield store, store.get("whole.sealed")


@given(data=st.data())
def test_any_changed_byte_or_any_cut_is_found(
    sealed: tuple[Directory, bytes], data: st.DataObject
) -> None:
    store, whole = sealed
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes((whole[at] ^ data.draw(st.integers(1, 255)),)) + whole[at + 1 :]
    for changed in (flipped, whole[:at]):
        key = f"{uuid4()}.sealed"
        store.put(key, changed)
        with pytest.raises(UnreadableFile):
            list(read_file(store, key))


def test_frames_may_not_change_places_nor_the_last_be_left_out(
    sealed: tuple[Directory, bytes],
) -> None:
    store, whole = sealed
    frames, rest = [], whole
    while rest:
        size = 4 + int.from_bytes(rest[:4])
        frames.append(rest[:size])
        rest = rest[size:]
    assert len(frames) == 3
    first, second, third = frames
    for number, order in enumerate(([second, first, third], [first, second], [first, third])):
        store.put(f"{number}.sealed", b"".join(order))
        with pytest.raises(UnreadableFile):
            list(read_file(store, f"{number}.sealed"))
    store.put("moved.sealed", whole)
    with pytest.raises(UnreadableFile):
        list(read_file(store, "moved.sealed"))

"""What the product says of what it stands on."""

import threading
from uuid import uuid4

import pytest
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django.fixtures import Settings

from memory.ports.embedders import register_embedder
from memory.ports.rests import let_rest, wake_all
from tests.make import make_project, make_user
from tests.memory.model_server import HashedWords
from verel_site import health
from verel_site.health import UP, WAIT_SECONDS, Finding, Part, State
from verel_site.outbox.models import Promise


@pytest.fixture(autouse=True)
def look_anew() -> None:
    look_anew_at_all()


def look_anew_at_all() -> None:
    for part in health.PARTS:
        part.forget()


@pytest.mark.django_db(transaction=True)
def test_ready_names_every_part(settings: Settings) -> None:
    settings.VEREL_REDIS_URL = ""
    answer = Client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": {
            "database": "up",
            "migrations": "up",
            "redis": "absent",
            "archive": "up",
            "embedder": "absent",
            "memory_store": "absent",
        },
        "degraded": [],
    }


@pytest.mark.django_db(transaction=True)
def test_a_database_without_its_last_migration_is_not_ready_and_it_is_named() -> None:
    recorder = MigrationRecorder.Migration.objects
    applied = recorder.get(app="branches", name="0001_initial")
    applied.delete()
    try:
        answer = Client().get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["migrations"] == "down"
        assert "branches.0001_initial" in answer.json()["degraded"][0]
    finally:
        recorder.create(app="branches", name="0001_initial", applied=applied.applied)


@pytest.mark.django_db(transaction=True)
def test_an_archive_that_cannot_be_written_is_degraded_on_ready_and_on_the_bar(
    settings: Settings,
) -> None:
    settings.VEREL_ARCHIVE_URL = "file:///proc/no-such-place"
    answer = Client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"]["archive"] == "degraded"
    project = make_project()
    client = Client()
    client.force_login(make_user(project))
    page = client.get(f"/p/{project.slug}/runs/").content.decode()
    assert "The archive does not answer." in page


@pytest.mark.django_db(transaction=True)
def test_a_rented_store_and_an_embedder_that_rest_are_degraded_on_ready(settings: Settings) -> None:
    settings.VEREL_EMBEDDER = settings.VEREL_MEMORY_STORE = "hashed"
    register_embedder("hashed", HashedWords)
    ports = [f"embedder:{HashedWords.name}", f"store:hashed:{settings.VEREL_MEM0_CONFIG}"]
    for port in ports:
        let_rest(port, "an address that is nobody's business")
    try:
        told = Client().get("/readyz").json()
        assert (
            told["checks"] | {"embedder": "degraded", "memory_store": "degraded"} == told["checks"]
        )
        assert told["degraded"] == [health.EMBEDDER_FAULT.words, health.STORE_FAULT.words]
    finally:
        wake_all()
    look_anew_at_all()
    assert Client().get("/readyz").json()["status"] == "ready"
    # Another process delivers, and met a store that is away.
    Promise.objects.create(
        project=make_project(),
        kind="memory.record",
        subject=uuid4(),
        destination="recall",
        attempts=3,
        last_error="nobody there",
    )
    look_anew_at_all()
    assert Client().get("/readyz").json()["degraded"] == [health.STORE_BEHIND.words]


def test_a_part_that_hangs_is_told_of_in_time_and_asked_once() -> None:
    asked, release = threading.Semaphore(0), threading.Event()

    def hang() -> Finding:
        asked.release()
        release.wait()
        return UP

    fault = Finding(State.DEGRADED, "It hangs.")
    part = Part("slow", hang, fault)
    # It hangs until it is let go: that this returns at all is the proof.
    assert part.finding(wait=WAIT_SECONDS, fresh=0) == fault
    assert part.finding(wait=0, fresh=0) == fault
    release.set()
    assert part.finding(wait=WAIT_SECONDS, fresh=0) == UP
    assert asked.acquire(blocking=False)
    assert not asked.acquire(blocking=False)


def test_an_answer_is_shared_for_as_long_as_it_is_fresh() -> None:
    looks: list[int] = []

    def look() -> Finding:
        looks.append(1)
        return UP

    part = Part("counted", look, Finding(State.DOWN, "It failed."))
    for _ in range(5):
        assert part.finding(wait=WAIT_SECONDS, fresh=60) == UP
    assert len(looks) == 1


def test_whatever_a_look_raises_is_a_fault_of_its_part() -> None:
    def fail() -> Finding:
        raise ZeroDivisionError

    fault = Finding(State.DOWN, "It failed.")
    part = Part("failing", fail, fault)
    assert part.finding(wait=WAIT_SECONDS, fresh=0) == fault

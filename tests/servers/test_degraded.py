"""Redis and the archive stopped or not answering: what goes on, and what the product says."""

import os
import signal
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from branches.models import Branch, Event
from tests.make import append, make_draft, make_key, make_project, make_run, make_user
from tests.servers.conftest import ALL_UP
from verel_site import health
from verel_site.access.models import Project
from verel_site.outbox.models import Promise
from verel_site.outbox.promises import post_promise, sweep_promises
from verel_site.servers.seaweedfs import BUCKET, SeaweedFS
from verel_site.servers.valkey import Valkey

pytestmark = pytest.mark.django_db(transaction=True)
REDIS = "Redis does not answer."
ARCHIVE = "The archive does not answer."


@pytest.fixture(autouse=True)
def on_servers(
    valkey: Valkey, seaweedfs: SeaweedFS, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweedfs.environment.items():
        monkeypatch.setenv(name, value)
    settings.VEREL_REDIS_URL = valkey.url
    settings.VEREL_ARCHIVE_URL = f"s3://{BUCKET}/degraded"


@pytest.fixture(params=["stopped", "frozen"])
def no_redis(request: pytest.FixtureRequest, valkey: Valkey) -> Iterator[None]:
    """Redis refuses connections; or takes them and never answers."""
    assert valkey.process is not None
    if request.param == "frozen":
        os.kill(valkey.process.pid, signal.SIGSTOP)
        yield
        os.kill(valkey.process.pid, signal.SIGCONT)
    else:
        valkey.stop()
        yield
        valkey.start()


@pytest.fixture(params=["stopped", "frozen"])
def no_archive(request: pytest.FixtureRequest, seaweedfs: SeaweedFS) -> Iterator[None]:
    assert seaweedfs.process is not None
    if request.param == "frozen":
        os.kill(seaweedfs.process.pid, signal.SIGSTOP)
        yield
        os.kill(seaweedfs.process.pid, signal.SIGCONT)
    else:
        seaweedfs.stop()
        yield
        seaweedfs.start()


def ready() -> dict[str, object]:
    for part in health.PARTS:
        part.forget()
    answer = Client().get("/readyz")
    assert answer.status_code == 200
    body: dict[str, object] = answer.json()
    return body


def push(project: Project, branch: Branch) -> None:
    event_id = str(uuid4())
    event = {
        "event_id": event_id,
        "type": "data.percept",
        "source": "agent",
        "ts": "2026-11-20T12:00:00Z",
        "payload": {"n": 1},
    }
    answer = Client().post(
        f"/api/v1/branches/{branch.pk}/events",
        {"events": [event]},
        content_type="application/json",
        headers={"Authorization": f"Bearer {make_key(project, 'events:write')}"},
    )
    assert answer.status_code == 201
    assert Event.objects.filter(branch=branch, event_id=event_id).count() == 1


def read_run_page(project: Project, branch: Branch) -> str:
    client = Client()
    client.force_login(make_user(project))
    answer = client.get(f"/runs/{branch.run_id}/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_everything_is_ready_while_both_answer() -> None:
    told = ready()
    assert told["status"] == "ready"
    assert told["checks"] == ALL_UP


def test_without_redis_events_are_stored_and_pages_read_and_the_bar_says_so(
    no_redis: None,
) -> None:
    project = make_project()
    branch = make_run(project)[1]
    push(project, branch)
    told = ready()
    assert told["checks"] == ALL_UP | {"redis": "degraded"}
    page = read_run_page(project, branch)
    assert REDIS in page
    assert ARCHIVE not in page


def test_without_the_archive_events_are_stored_and_pages_read_and_the_bar_says_so(
    no_archive: None,
) -> None:
    project = make_project()
    branch = make_run(project)[1]
    push(project, branch)
    assert ready()["status"] == "degraded"
    page = read_run_page(project, branch)
    assert ARCHIVE in page
    assert REDIS not in page


def test_a_promise_that_the_archive_could_not_take_is_kept_once_it_answers(
    seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    branch = make_run(project)[1]
    append(branch, make_draft())

    from branches.storage.cold import cold_store
    from verel_site.outbox import promises

    def deliver(subject: object, destination: str) -> None:
        cold_store().put(f"{subject}.{destination}", b"delivered")

    monkeypatch.setitem(promises._deliverers, "test", deliver)
    promise = post_promise(
        project_id=project.pk,
        kind="test",
        subject=branch.pk,
        destination="archive",
        due_at=timezone.now(),
    )
    seaweedfs.stop()
    assert sweep_promises() == 0
    promise.refresh_from_db()
    assert (promise.state, promise.attempts) == (Promise.State.DUE, 1)
    seaweedfs.start()
    assert sweep_promises(now=promise.due_at) == 1
    assert cold_store().get(f"{branch.pk}.archive") == b"delivered"

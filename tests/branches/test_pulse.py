"""The pulse sees what any process committed: here, what another thread commits."""

import asyncio
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from branches.models import Branch, Run
from branches.pulse import Pulse
from tests.make import append, make_draft, make_fork, make_project, make_run, make_user
from verel_site.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)

WAIT_SECONDS = 30


async def test_a_commit_is_announced_with_the_branch_and_its_head() -> None:
    run, trunk = await sync_to_async(make_run)()
    heard = Pulse().listen(run.pk)
    now = await asyncio.wait_for(anext(heard), WAIT_SECONDS)
    assert (now.branch, now.seq) == (trunk.pk, 1)
    await sync_to_async(append)(trunk, make_draft())
    news = await asyncio.wait_for(anext(heard), WAIT_SECONDS)
    assert (news.branch, news.seq) == (trunk.pk, 2)
    await heard.aclose()  # type: ignore[attr-defined]


async def test_a_long_poll_wakes_when_a_directive_is_posted() -> None:
    _, trunk = await sync_to_async(make_run)()
    waiting = asyncio.ensure_future(Pulse().wait_for_directive(trunk.project_id, 0, WAIT_SECONDS))
    await asyncio.sleep(0)
    await sync_to_async(make_fork)(trunk, 1)
    assert await waiting is True


async def test_a_long_poll_without_news_ends_in_time() -> None:
    project = await sync_to_async(make_project)()
    assert await Pulse().wait_for_directive(project.pk, 0, 0.1) is False


def connect(
    run: UUID, user: User | None, origin: str = "http://localhost"
) -> WebsocketCommunicator:
    client = Client()
    if user is not None:
        client.force_login(user)
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = [
        (b"origin", origin.encode()),
        (b"host", b"localhost"),
        (b"cookie", cookies.encode()),
    ]
    return WebsocketCommunicator(application, f"/ws/runs/{run}/", headers=headers)


@database_sync_to_async  # type: ignore[untyped-decorator]
def make_reader() -> tuple[Run, Branch, User]:
    run, trunk = make_run()
    return run, trunk, make_user(run.project)


async def test_a_reader_of_the_project_hears_of_its_runs() -> None:
    run, trunk, user = await make_reader()
    socket = await database_sync_to_async(connect)(run.pk, user)
    assert (await socket.connect())[0]
    assert (await socket.receive_json_from(timeout=WAIT_SECONDS))["seq"] == 1
    await sync_to_async(append)(trunk, make_draft())
    news = await socket.receive_json_from(timeout=WAIT_SECONDS)
    assert (news["branch"], news["seq"]) == (str(trunk.pk), 2)
    assert set(news) == {"branch", "seq", "position"}
    await socket.disconnect()


async def test_strangers_and_the_anonymous_are_sent_away() -> None:
    run, _, _ = await make_reader()
    stranger = await sync_to_async(make_user)()
    for user in (stranger, None):
        socket = await database_sync_to_async(connect)(run.pk, user)
        await socket.connect()
        closing = await socket.receive_output(timeout=WAIT_SECONDS)
        assert closing == {"type": "websocket.close", "code": 4404}


async def test_a_socket_from_another_site_is_not_opened() -> None:
    run, _, user = await make_reader()
    socket = await database_sync_to_async(connect)(run.pk, user, "https://evil.example")
    assert (await socket.connect())[0] is False


async def test_who_comes_later_takes_no_news_from_who_listens_already() -> None:
    run, trunk = await sync_to_async(make_run)()
    pulse = Pulse()
    first = pulse.listen(run.pk)
    await anext(first)
    beat = pulse._task
    assert beat is not None
    beat.cancel()  # between two beats
    await sync_to_async(append)(trunk, make_draft())
    second = pulse.listen(run.pk)
    assert (await anext(second)).seq == 2
    assert (await asyncio.wait_for(anext(first), WAIT_SECONDS)).seq == 2
    await first.aclose()  # type: ignore[attr-defined]
    await second.aclose()  # type: ignore[attr-defined]
    assert pulse._seen == {}

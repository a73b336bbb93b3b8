"""The watch tells whose inbox changed, whoever committed, at the cost of one reader."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tests.inbox.make import make_item
from tests.make import make_project
from verel_site.inbox.models import Item
from verel_site.inbox.watch import Watch

pytestmark = pytest.mark.django_db(transaction=True)

WAIT_SECONDS = 30
READERS = 20


async def hear(ear: AsyncIterator[None]) -> None:
    await asyncio.wait_for(anext(ear), WAIT_SECONDS)


async def leave(*ears: AsyncIterator[None]) -> None:
    for ear in ears:
        await ear.aclose()  # type: ignore[attr-defined]


async def make_place() -> UUID:
    return (await sync_to_async(make_project)()).pk


async def test_who_listens_is_told_once_by_itself_and_again_after_a_commit() -> None:
    project = await make_place()
    await sync_to_async(make_item)(project)
    ear = Watch().listen(frozenset({project}))
    await hear(ear)
    waiting = asyncio.ensure_future(hear(ear))
    await sync_to_async(make_item)(project)
    await waiting
    await leave(ear)


async def test_a_commit_in_one_project_is_not_told_to_readers_of_another() -> None:
    watch, mine, theirs = Watch(), await make_place(), await make_place()
    ear, other = watch.listen(frozenset({mine})), watch.listen(frozenset({theirs}))
    await asyncio.gather(hear(ear), hear(other))
    silent = asyncio.ensure_future(anext(other))
    waiting = asyncio.ensure_future(hear(ear))
    await sync_to_async(make_item)(mine)
    await waiting
    # The same beat that told one has passed the other by.
    assert not silent.done()
    await sync_to_async(make_item)(theirs)
    await asyncio.wait_for(silent, WAIT_SECONDS)
    await leave(ear, other)


async def test_who_comes_later_is_told_by_itself_and_disturbs_nobody() -> None:
    watch, project = Watch(), await make_place()
    ear = watch.listen(frozenset({project}))
    await hear(ear)
    silent = asyncio.ensure_future(anext(ear))
    later = watch.listen(frozenset({project}))
    await hear(later)
    assert not silent.done()
    silent.cancel()
    await leave(later)


@database_sync_to_async  # type: ignore[untyped-decorator]
def begin_to_count() -> CaptureQueriesContext:
    return CaptureQueriesContext(connections["default"]).__enter__()


@database_sync_to_async  # type: ignore[untyped-decorator]
def end_counting(counted: CaptureQueriesContext) -> list[str]:
    counted.__exit__(None, None, None)
    return [each["sql"] for each in counted.captured_queries]


async def test_twenty_readers_cost_one_query_a_beat() -> None:
    watch, project = Watch(), await make_place()
    # Every query of the watch goes through the one thread in which these two run as well.
    counted = await begin_to_count()
    ears = [watch.listen(frozenset({project})) for _ in range(READERS)]
    await asyncio.gather(*(hear(ear) for ear in ears))
    asked = [sql for sql in await end_counting(counted) if Item._meta.db_table in sql]
    assert 1 <= len(asked) <= 2, asked
    await leave(*ears)

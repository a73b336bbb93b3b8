"""The watch: one task per web process that sees whose items were touched, by whichever process.

While anybody listens it looks at the database every TICK_SECONDS: one indexed query, however many
listen, so that twenty people at their inboxes cost what one does.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from channels.db import database_sync_to_async
from django.utils import timezone

from verel_site.inbox.models import Item
from verel_site.kit.beats import keep_beating

TICK_SECONDS: Final = 0.25
# A row may be committed this much later than the time that stands in it.
WINDOW_SECONDS: Final = 10
MAX_SEEN: Final = 2_000

type Touched = frozenset[tuple[UUID, UUID, datetime]]
"""Project, item, and when it was touched: what is new in it was committed since."""


@dataclass(eq=False)
class _Listener:
    projects: frozenset[UUID]
    news: asyncio.Event = field(default_factory=asyncio.Event)
    told: bool = False


class Watch:
    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()
        self._seen: Touched = frozenset()
        self._task: asyncio.Task[None] | None = None

    async def listen(self, projects: frozenset[UUID]) -> AsyncIterator[None]:
        """Yields after commits on items of these projects, at most once a tick.

        The first comes by itself, so that whatever was committed between a page's rendering and
        its listening is fetched too.
        """
        listener = _Listener(projects)
        self._listeners.add(listener)
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._beat())
            while True:
                await listener.news.wait()
                listener.news.clear()
                yield
        finally:
            self._listeners.discard(listener)

    async def _beat(self) -> None:
        self._seen = frozenset()
        await keep_beating(
            self._look,
            wanted=lambda: self._listeners,
            tick_seconds=TICK_SECONDS,
            name="the watch over the inbox",
        )

    async def _look(self) -> None:
        # Who comes while the database is asked is told by the next beat.
        listeners = list(self._listeners)
        projects = frozenset().union(*(listener.projects for listener in listeners))
        touched: Touched = await _read_touched(projects)
        changed = {project for project, _, _ in touched - self._seen}
        for listener in listeners:
            if not listener.told or not changed.isdisjoint(listener.projects):
                listener.told = True
                listener.news.set()
        self._seen = touched


@database_sync_to_async  # type: ignore[untyped-decorator]
def _read_touched(projects: frozenset[UUID]) -> Touched:
    after = timezone.now() - timedelta(seconds=WINDOW_SECONDS)
    rows = Item.objects.filter(project_id__in=projects, touched_at__gt=after)
    values = rows.order_by("-touched_at").values_list("project_id", "pk", "touched_at")
    return frozenset(values[:MAX_SEEN])


watch: Final = Watch()

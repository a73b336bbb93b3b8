"""The pulse: one task per web process that sees what was committed, by whichever process.

Sockets and long polls wait here. While anybody waits, the pulse looks at the database every
TICK_SECONDS: two small indexed queries, however many wait and however much was written, so an
announcement can be late by a tick but never lost, and needs no broker. Nobody waiting costs
nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from channels.db import database_sync_to_async
from django.db.models import Max

from branches.models import Branch, Directive
from verel_site.kit.beats import keep_beating

TICK_SECONDS: Final = 0.05
MAX_QUEUED: Final = 1000


@dataclass(frozen=True, slots=True)
class Announcement:
    """A branch has events up to `seq`; `position` is where its head was stored."""

    branch: UUID
    seq: int
    position: int


@dataclass(eq=False)
class _Listener:
    run: UUID
    queue: asyncio.Queue[Announcement] = field(default_factory=lambda: asyncio.Queue(MAX_QUEUED))


class Pulse:
    def __init__(self) -> None:
        self._listeners: dict[UUID, set[_Listener]] = {}
        self._pollers: dict[UUID, dict[asyncio.Event, int]] = {}
        self._seen: dict[UUID, int] = {}
        self._task: asyncio.Task[None] | None = None

    async def listen(self, run: UUID) -> AsyncIterator[Announcement]:
        """Announcements of a run; a slow reader is told the newest, never blocked.

        The first tells the run's newest head as it is now, so that whatever was committed between
        a page's rendering and its listening is heard of too.
        """
        listener = _Listener(run)
        self._listeners.setdefault(run, set()).add(listener)
        try:
            heads = await _read_heads({run: 0})
            newest = heads[-1][1] if heads else None
            # Where others listen already, the next beat tells them what was just read here.
            self._seen.setdefault(run, newest.position if newest else 0)
            self._start()
            if newest is not None:
                yield newest
            while True:
                yield await listener.queue.get()
        finally:
            self._listeners[run].discard(listener)
            if not self._listeners[run]:
                del self._listeners[run]
                self._seen.pop(run, None)

    async def wait_for_directive(self, project: UUID, after: int, seconds: float) -> bool:
        """True as soon as the project has a directive after the cursor; False when time is up."""
        if await _last_directive(project) > after:
            return True
        news = asyncio.Event()
        self._pollers.setdefault(project, {})[news] = after
        self._start()
        try:
            await asyncio.wait_for(news.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            pollers = self._pollers[project]
            del pollers[news]
            if not pollers:
                del self._pollers[project]
        return True

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._beat())

    async def _beat(self) -> None:
        await keep_beating(
            self._look,
            wanted=lambda: self._listeners or self._pollers,
            tick_seconds=TICK_SECONDS,
            name="the pulse",
        )

    async def _look(self) -> None:
        if self._listeners:
            self._announce(await _read_heads(dict(self._seen)))
        if self._pollers:
            self._wake(await _read_directives(list(self._pollers)))

    def _announce(self, heads: Iterable[tuple[UUID, Announcement]]) -> None:
        for run, announcement in heads:
            if run not in self._seen:
                continue  # its last listener has left meanwhile
            self._seen[run] = max(self._seen[run], announcement.position)
            for listener in self._listeners.get(run, ()):
                if listener.queue.full():
                    listener.queue.get_nowait()
                listener.queue.put_nowait(announcement)

    def _wake(self, last: dict[UUID, int]) -> None:
        for project, pollers in self._pollers.items():
            for news, after in pollers.items():
                if last.get(project, 0) > after:
                    news.set()


@database_sync_to_async  # type: ignore[untyped-decorator]
def _last_directive(project: UUID) -> int:
    return Directive.objects.filter(project_id=project).aggregate(at=Max("id"))["at"] or 0


@database_sync_to_async  # type: ignore[untyped-decorator]
def _read_heads(seen: dict[UUID, int]) -> list[tuple[UUID, Announcement]]:
    rows = Branch.objects.filter(run_id__in=seen, head_position__gt=min(seen.values(), default=0))
    values = rows.order_by("head_position").values_list("run_id", "pk", "head_seq", "head_position")
    return [
        (run, Announcement(branch, seq, position))
        for run, branch, seq, position in values
        if position > seen[run]
    ]


@database_sync_to_async  # type: ignore[untyped-decorator]
def _read_directives(projects: list[UUID]) -> dict[UUID, int]:
    rows = Directive.objects.filter(project_id__in=projects).values("project_id")
    return {row["project_id"]: row["at"] for row in rows.annotate(at=Max("id"))}


pulse: Final = Pulse()


async def wait_for_directive(project_id: UUID, after: int, seconds: float) -> bool:
    return await pulse.wait_for_directive(project_id, after, seconds)

"""`/ws/inbox/` says that something changed, and never what: the page fetches."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.utils import timezone

from verel_site.access.projects import actor_of_user
from verel_site.inbox.models import Item

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.25
# A row may be committed this much later than the time that stands in it.
WINDOW_SECONDS: Final = 10
MAX_SEEN: Final = 2_000
NOT_FOUND: Final = 4404

type Seen = frozenset[tuple[UUID, datetime]]


class InboxConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Sends `{"changed": true}` after commits on items of the reader's projects, and once at the
    beginning; at most one a tick."""

    task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()
        projects = await self._projects()
        if not projects:
            await self.close(code=NOT_FOUND)
            return
        self.task = asyncio.create_task(self._tell(projects))

    async def disconnect(self, code: int) -> None:
        if self.task is not None:
            self.task.cancel()

    async def receive(self, text_data: Any = None, bytes_data: Any = None, **kwargs: Any) -> None:
        """Whatever a client sends is dropped unread."""

    async def _tell(self, projects: list[UUID]) -> None:
        seen = await read_touched(projects)
        await self.send_json({"changed": True})
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                now = await read_touched(projects)
            except Exception:
                logger.exception("the inbox missed a beat")
                continue
            if now - seen:
                await self.send_json({"changed": True})
            seen = now

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _projects(self) -> list[UUID]:
        return actor_of_user(self.scope["user"]).projects


@database_sync_to_async  # type: ignore[untyped-decorator]
def read_touched(projects: list[UUID]) -> Seen:
    """Items touched of late, with the moment: what is new in it was committed since."""
    after = timezone.now() - timedelta(seconds=WINDOW_SECONDS)
    rows = Item.objects.filter(project_id__in=projects, touched_at__gt=after)
    return frozenset(rows.order_by("-touched_at").values_list("pk", "touched_at")[:MAX_SEEN])

"""`/ws/inbox/` says that something changed, and never what: the page fetches."""

import asyncio
from typing import Any, Final
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from verel_site.access.projects import actor_of_user
from verel_site.inbox.watch import watch

NOT_FOUND: Final = 4404


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
        self.task = asyncio.create_task(self._tell(frozenset(projects)))

    async def disconnect(self, code: int) -> None:
        if self.task is not None:
            self.task.cancel()

    async def receive(self, text_data: Any = None, bytes_data: Any = None, **kwargs: Any) -> None:
        """Whatever a client sends is dropped unread."""

    async def _tell(self, projects: frozenset[UUID]) -> None:
        async for _ in watch.listen(projects):
            await self.send_json({"changed": True})

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _projects(self) -> list[UUID]:
        return actor_of_user(self.scope["user"]).projects

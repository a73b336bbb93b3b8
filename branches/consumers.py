"""Sockets announce; HTTP renders. A message is a branch and a seq, never content."""

import asyncio
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from branches.models import Run
from branches.pulse import pulse
from verel_site.access.projects import actor_of_user

NOT_FOUND = 4404


class RunConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """`/ws/runs/{run}/`: sends `{branch, seq, position}` after each commit on that run."""

    task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        run = self.scope["url_route"]["kwargs"]["run"]
        # Accepted first, so that the browser can read the close code.
        await self.accept()
        if not await self._may_see(run):
            await self.close(code=NOT_FOUND)
            return
        self.task = asyncio.create_task(self._tell(run))

    async def disconnect(self, code: int) -> None:
        if self.task is not None:
            self.task.cancel()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Clients have nothing to say here."""

    async def receive(self, text_data: Any = None, bytes_data: Any = None, **kwargs: Any) -> None:
        """Whatever a client sends is dropped unread."""

    async def _tell(self, run: UUID) -> None:
        async for news in pulse.listen(run):
            await self.send_json(
                {"branch": str(news.branch), "seq": news.seq, "position": news.position}
            )

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _may_see(self, run: UUID) -> bool:
        actor = actor_of_user(self.scope["user"])
        return Run.objects.visible_to(actor).filter(pk=run).exists()

"""Who else is looking at a run, a pair or an item of the inbox: told between sockets, kept nowhere.

A page tells the others that it is there when it opens, every few seconds after, and when it goes.
Each socket keeps what it has heard; what has not been heard for long is gone. So nothing of it is
in the database, and a process that is killed leaves nobody behind. From process to process it is
told by Redis; without it there is one process (`serve` refuses more), which has every page.
"""

import asyncio
import logging
from dataclasses import dataclass
from time import monotonic
from typing import Any, ClassVar, Final
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from branches.models import Run
from verdicts.models import Comparison
from verel_site.access.actors import Actor
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Right
from verel_site.inbox.items import read_item
from verel_site.kit.refusals import Refusal

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 10.0
# Two beats may be lost.
GONE_SECONDS: Final = 3 * BEAT_SECONDS
MAX_NAMES: Final = 20
NOT_FOUND: Final = 4404


@dataclass(frozen=True, slots=True)
class Seen:
    """Another page of this place, and when it was heard of last, on this process's clock."""

    person: int
    name: str
    at: float


class PresenceConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Sends `{"here": [names]}`, the other people at this place, whenever that changes."""

    place: ClassVar[str]

    async def connect(self) -> None:
        self.others: dict[str, Seen] = {}
        self.told: list[str] | None = None
        self.task: asyncio.Task[None] | None = None
        self.group = ""
        await self.accept()
        actor, may = await self._look()
        if not may or actor.user_id is None:
            await self.close(code=NOT_FOUND)
            return
        self.me = {"person": actor.user_id, "name": actor.name, "channel": self.channel_name}
        self.group = f"presence.{self.place}.{self.scope['url_route']['kwargs']['id'].hex}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self._tell()
        await self._say("presence.came")
        self.task = asyncio.create_task(self._beat())

    async def disconnect(self, code: int) -> None:
        if self.task is not None:
            self.task.cancel()
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)
            await self._say("presence.left")

    async def receive(self, text_data: Any = None, bytes_data: Any = None, **kwargs: Any) -> None:
        """Whatever a client sends is dropped unread."""

    async def _say(self, kind: str) -> None:
        await self.channel_layer.group_send(self.group, {"type": kind, **self.me})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._say("presence.here")
                await self._tell()
            except Exception:
                # The next beat says it again; meanwhile others see this page go.
                logger.exception("a presence missed a beat")

    async def presence_came(self, event: dict[str, Any]) -> None:
        await self.presence_here(event)
        if event["channel"] != self.channel_name:
            answer = {"type": "presence.here", **self.me}
            await self.channel_layer.send(event["channel"], answer)

    async def presence_here(self, event: dict[str, Any]) -> None:
        if event["channel"] != self.channel_name:
            self.others[event["channel"]] = Seen(event["person"], event["name"], monotonic())
            await self._tell()

    async def presence_left(self, event: dict[str, Any]) -> None:
        self.others.pop(event["channel"], None)
        await self._tell()

    async def _tell(self) -> None:
        now = monotonic()
        self.others = {
            key: seen for key, seen in self.others.items() if now - seen.at < GONE_SECONDS
        }
        people = {seen.person: seen.name for seen in self.others.values()}
        people.pop(self.me["person"], None)
        here = sorted(people.values())[:MAX_NAMES]
        if here != self.told:
            self.told = here
            await self.send_json({"here": here})

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _look(self) -> tuple[Actor, bool]:
        actor = actor_of_user(self.scope["user"])
        return actor, self.may_see(actor, self.scope["url_route"]["kwargs"]["id"])

    def may_see(self, actor: Actor, id: UUID) -> bool:
        raise NotImplementedError


class RunPresence(PresenceConsumer):
    place = "run"

    def may_see(self, actor: Actor, id: UUID) -> bool:
        return Run.objects.visible_to(actor).filter(pk=id).exists()


class PairPresence(PresenceConsumer):
    place = "pair"

    def may_see(self, actor: Actor, id: UUID) -> bool:
        found = Comparison.objects.visible_to(actor).filter(pk=id).first()
        return found is not None and actor.may(found.project_id, Right.LABEL)


class ItemPresence(PresenceConsumer):
    place = "item"

    def may_see(self, actor: Actor, id: UUID) -> bool:
        try:
            read_item(actor=actor, item_id=id)
        except Refusal:
            return False
        return True

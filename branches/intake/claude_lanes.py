"""Where the records of a session go: on along their branch, or on a fork where it was rewound.

A record names the one before it. Where that is not the last one told, the session was rewound, if
the record begins a turn: a prompt, or an answer of another message. A result of parallel calls, a
further block of one message and a note name an earlier record too, and part no ways.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from branches.domain import terms
from branches.domain.events import text_of
from branches.intake.claude_records import FORMAT, Record, Told, read_parts, record_ids
from branches.intake.files import (
    Batch,
    Tally,
    derive_id,
    find_event,
    finish_branch,
    fork_off,
    store_fresh,
)
from branches.journal import Draft
from branches.models import Branch, Event, Run
from verel_site.access.actors import Actor

SOURCE: Final = "import:claude-code"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# How many records are remembered. One that is older is looked up, and is surely of another turn.
REMEMBERED: Final = 5000
# A record has no more parts than this to be the last of.
MAX_PARTS: Final = 64


@dataclass
class Lane:
    """One branch of the session. Until something is stored it may be only a place to fork from."""

    branch: Branch | None
    place: Event | None = None
    tip: str = ""
    turn: int = 0
    last: UUID | None = None
    moment: datetime = EPOCH
    batch: Batch = field(default_factory=Batch)


class Lanes:
    """The branches that one session is told on. `home` is the one that it began on."""

    def __init__(
        self, home: Branch, session: str, file_name: str, actor: Actor, tally: Tally
    ) -> None:
        self.home, self.session, self.file_name = home, session, file_name
        self.actor, self.tally = actor, tally
        self.current = Lane(home)
        self.lanes = [self.current]
        self.tips: dict[str, Lane] = {}
        self.turns: OrderedDict[str, int] = OrderedDict()
        self.count, self.message, self.answered = 0, "", False

    def follow(self, record: Record) -> Lane:
        """The lane that the record goes on; it is the current one afterwards."""
        if record.aside:
            return self.current
        begins = self._begins_turn(record)
        lane = self._lane_after(record, begins)
        if begins:
            self.count += 1
            lane.turn = self.count
            self.message = text_of(record.message.get("id"))
            self.answered = self.answered or record.kind == "assistant"
        self.tips.pop(lane.tip, None)
        lane.tip = record.uuid
        self.tips[lane.tip] = self.current = lane
        self.turns[record.uuid] = lane.turn
        if len(self.turns) > REMEMBERED:
            self.turns.popitem(last=False)
        return lane

    def _begins_turn(self, record: Record) -> bool:
        if record.kind == "assistant":
            message = text_of(record.message.get("id"))
            return bool(message) and message != self.message
        if record.kind != "user" or (record.fields and record.fields.get("isMeta")):
            return False
        return any(kind == terms.USER for kind, _ in read_parts(record, Told(EPOCH)))

    def _lane_after(self, record: Record, begins: bool) -> Lane:
        parent = record.parent
        if parent is None or parent == self.current.tip:
            return self.current
        if parent in self.tips:
            return self.tips[parent]
        if not begins or (parent and self.turns.get(parent) == self.current.turn):
            return self.current
        if not parent and not (self.answered and record.kind == "user"):
            return self.current
        return self._rewind(record, parent)

    def _rewind(self, record: Record, parent: str) -> Lane:
        """The lane of a record that goes on from an earlier one; stored before, or new."""
        self.flush()
        known = find_event(self.home.project_id, self._first_id(record))
        if known is not None:
            return self._own_lane(known.branch)
        place = self._find_place(parent)
        if place is None:
            return self.current
        lane = Lane(None, place)
        self.lanes.append(lane)
        return lane

    def _first_id(self, record: Record) -> UUID:
        return record_ids(record, 1, self.home.project_id, self.session)[0]

    def _own_lane(self, branch: Branch) -> Lane:
        """The lane of a branch; what another session tells there, this one goes on from at home."""
        for lane in self.lanes:
            if lane.branch is not None and lane.branch.pk == branch.pk:
                return lane
        run = Run.objects.get(pk=branch.run_id)
        if _rewinds(run).get(str(branch.pk)) != self.session:
            return self.lanes[0]
        lane = Lane(branch)
        self.lanes.append(lane)
        return lane

    def _find_place(self, parent: str) -> Event | None:
        """The last event of the parent; without one, the event before the first message."""
        rows = Event.objects.filter(run_id=self.home.run_id).select_related("branch")
        if parent:
            ids = [
                derive_id(self.home.project_id, FORMAT, parent, index) for index in range(MAX_PARTS)
            ]
            return rows.filter(event_id__in=ids).order_by("-seq").first()
        said = rows.filter(branch=self.home, source=SOURCE, type__startswith="data.")
        first = said.order_by("seq").first()
        if first is None:
            return None
        return rows.filter(branch=self.home, seq=first.seq - 1).first()

    def add(self, lane: Lane, record: Record, drafts: Iterable[Draft], moment: datetime) -> bool:
        """Takes the drafts, and says whether a batch was stored."""
        lane.batch.add(record.line, drafts)
        lane.moment = moment
        if lane.batch.full:
            self.flush()
            return True
        return False

    def flush(self) -> None:
        for lane in self.lanes:
            if lane.batch.drafts:
                with transaction.atomic():
                    lane.branch = lane.branch or self._fork(lane)
                    drafts = lane.batch.take()
                    lane.last = store_fresh(branch=lane.branch, drafts=drafts, tally=self.tally)

    def _fork(self, lane: Lane) -> Branch:
        assert lane.place is not None
        branch = fork_off(
            parent=lane.place.branch,
            fork_seq=lane.place.seq,
            actor=self.actor,
            name=f"session {self.session[:8]}, rewound",
            why=f"imported from {self.file_name}, where the session was rewound",
        )
        run = Run.objects.get(pk=branch.run_id)
        noted = {**_rewinds(run), str(branch.pk): self.session}
        run.metadata = {**run.metadata, "rewinds": noted}
        run.save(update_fields=["metadata"])
        self.tally.branches += 1
        return branch

    def finish(self) -> None:
        """Where the file ends now; a session that has grown since ends anew."""
        self.flush()
        for lane in self.lanes:
            if lane.branch is not None and lane.last is not None:
                key = (FORMAT, self.session, "finished", lane.last)
                finish_branch(
                    branch=lane.branch,
                    source=SOURCE,
                    event_id=derive_id(lane.branch.project_id, *key),
                    ts=lane.moment,
                    payload={"outcome": "imported", "session": self.session},
                )


def _rewinds(run: Run) -> dict[str, str]:
    """Sessions by the branch of a rewind. Metadata is also a client's to give."""
    kept = run.metadata.get("rewinds")
    return kept if isinstance(kept, dict) else {}

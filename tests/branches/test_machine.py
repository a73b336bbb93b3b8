"""A state machine of clients and people against a plain model: what it must be, and stays sound."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from branches.approvals import answer_approval
from branches.domain import terms
from branches.domain.admission import Admission
from branches.domain.terms import ENDED, Status
from branches.journal import BranchEnded, Draft, IdReuse, SeqMoved, append_events
from branches.merges import AlreadyEnded, merge_branches, revert_merge
from branches.models import Approval, Branch, Event, Merge, MergeLoser, Triplet
from branches.selectors.lineage import iter_lineage
from tests.make import make_draft, make_fork, make_message, make_person, make_project, make_run
from tests.sound import faults_of
from verel_site.access.actors import SYSTEM, Actor

pytestmark = pytest.mark.django_db

WORDS = st.sampled_from(["50 mg", "500 mg", "Cap it.", "grüß", ""])
PICK = st.integers(0, 10**6)


class Crash(Exception):
    """The process dies in the middle of an act."""


@dataclass
class Line:
    """What the model knows of a branch: the ids of its own events, in order, and its parent."""

    pk: UUID
    parent: "Line | None" = None
    fork_seq: int = 0
    status: str = Status.RUNNING.value
    ids: list[UUID] = field(default_factory=list)
    asked: list[UUID] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return Status(self.status) in ENDED

    @property
    def lineage(self) -> list[UUID]:
        before = self.parent.lineage[: -len(self.parent.ids) or None] if self.parent else []
        shared = self.parent.ids[: self.fork_seq] if self.parent else []
        return [*before, *shared, *self.ids]


@dataclass
class Won:
    pk: UUID
    winner: Line
    loser: Line
    before: tuple[str, str]
    reverted: bool = False


class Verel(RuleBasedStateMachine):
    person: Actor

    @initialize()
    def begin(self) -> None:
        self.project = make_project()
        self.person = make_person(self.project)
        _, trunk = make_run(self.project)
        self.lines = [self._line(trunk)]
        self.merges: list[Won] = []
        self.sent: list[tuple[Line, Draft]] = []

    def _line(self, branch: Branch, parent: Line | None = None, seq: int = 0) -> Line:
        line = Line(branch.pk, parent, seq)
        self._learn(line)
        return line

    def _learn(self, line: Line) -> None:
        """What Verel itself told: it must stand behind all that the model knows."""
        rows = Event.objects.filter(branch_id=line.pk).order_by("seq")
        told = list(rows.values_list("event_id", flat=True))
        assert told[: len(line.ids)] == line.ids
        line.ids = told

    def _pick(self, number: int) -> Line:
        return self.lines[number % len(self.lines)]

    @rule(
        which=PICK,
        words=st.lists(WORDS, min_size=1, max_size=3),
        role=st.sampled_from(["user", "assistant"]),
    )
    def ingest(self, which: int, words: list[str], role: str) -> None:
        line = self._pick(which)
        drafts = [make_message(role, text) for text in words]
        if line.ended:
            with pytest.raises(BranchEnded):
                append_events(branch_id=line.pk, actor=SYSTEM, drafts=drafts)
            return
        appended = append_events(
            branch_id=line.pk, actor=SYSTEM, drafts=drafts, expected_seq=len(line.ids)
        )
        assert [r.seq for r in appended.results] == [
            len(line.ids) + n for n in range(1, len(drafts) + 1)
        ]
        line.ids += [draft.event_id for draft in drafts]
        self.sent += [(line, draft) for draft in drafts]

    @precondition(lambda self: self.sent)
    @rule(which=PICK, fresh=st.booleans())
    def send_again(self, which: int, fresh: bool) -> None:
        """A client that lost the answer sends its batch once more, with or without something new."""
        line, draft = self.sent[which % len(self.sent)]
        more = [make_message("assistant", "and on")] if fresh and not line.ended else []
        appended = append_events(branch_id=line.pk, actor=SYSTEM, drafts=[draft, *more, draft])
        assert [r.duplicate for r in appended.results] == [True, *(False for _ in more), True]
        assert appended.results[0].seq == line.ids.index(draft.event_id) + 1
        line.ids += [one.event_id for one in more]
        self.sent += [(line, one) for one in more]

    @precondition(lambda self: self.sent)
    @rule(which=PICK, other=PICK)
    def say_otherwise(self, which: int, other: int) -> None:
        """An id that stands for other content, or for another branch, is refused with its batch."""
        _, draft = self.sent[which % len(self.sent)]
        liar = make_draft(draft.type, {"content": "something else"}, event_id=draft.event_id)
        with pytest.raises(IdReuse):
            append_events(
                branch_id=self._pick(other).pk,
                actor=SYSTEM,
                drafts=[make_message("user", "x"), liar],
            )

    @rule(which=PICK, behind=st.integers(1, 3))
    def arrive_late(self, which: int, behind: int) -> None:
        """What was meant for an earlier head comes out of order, and is told so."""
        line = self._pick(which)
        if line.ended:
            return
        with pytest.raises(SeqMoved):
            append_events(
                branch_id=line.pk,
                actor=SYSTEM,
                drafts=[make_message("user", "late")],
                expected_seq=len(line.ids) + behind,
            )

    @rule(which=PICK, at=PICK, override=st.sampled_from(["Dose = 50mg", "Stop.", ""]))
    def fork(self, which: int, at: int, override: str) -> None:
        parent = self._pick(which)
        seq = at % len(parent.ids) + 1
        fork = make_fork(Branch.objects.get(pk=parent.pk), seq, override, note="try")
        self.lines.append(self._line(fork.branch, parent, seq))

    @rule(which=PICK)
    def ask(self, which: int) -> None:
        line = self._pick(which)
        if line.ended:
            return
        approval = uuid4()
        payload = {"approval_id": str(approval), "action": "push", "args": {"to": "main"}}
        append_events(
            branch_id=line.pk, actor=SYSTEM, drafts=[make_draft(terms.APPROVAL_REQUESTED, payload)]
        )
        line.asked.append(approval)
        line.status = Status.PAUSED.value
        self._learn(line)

    @rule(which=PICK, answer=st.sampled_from(["accept", "ignore"]))
    def answer(self, which: int, answer: str) -> None:
        line = self._pick(which)
        if not line.asked:
            return
        approval = Approval.objects.get(pk=line.asked[0])
        digest = bytes(approval.request_digest)
        given: dict[str, Any] = {
            "approval_id": approval.pk,
            "actor": self.person,
            "answer": answer,
            "request_digest": digest,
        }
        if line.ended:
            with pytest.raises(BranchEnded):
                answer_approval(**given)
            return
        answer_approval(**given)
        line.asked.pop(0)
        line.status = line.status if line.asked else Status.RUNNING.value
        self._learn(line)

    @precondition(lambda self: len(self.lines) > 1)
    @rule(left=PICK, right=PICK)
    def merge(self, left: int, right: int) -> None:
        winner, loser = self._pick(left), self._pick(right)
        if winner is loser:
            return
        act = self._merging(winner, loser)
        if winner.ended or loser.ended:
            with pytest.raises(AlreadyEnded):
                merge_branches(**act)
            return
        merge = merge_branches(**act)
        self.merges.append(Won(merge.pk, winner, loser, (winner.status, loser.status)))
        winner.status, loser.status = Status.MERGED.value, Status.ABANDONED.value
        self._learn(winner)
        self._learn(loser)

    def _merging(self, winner: Line, loser: Line) -> dict[str, Any]:
        branch = Branch.objects.get(pk=winner.pk)
        return {
            "winner_id": winner.pk,
            "loser_ids": [loser.pk],
            "actor": SYSTEM,
            "admission": Admission(
                branch.pk, bytes(branch.head_digest), "pass", open=True, policy_version=1
            ),
        }

    @precondition(lambda self: any(not won.reverted for won in self.merges))
    @rule(which=PICK)
    def revert(self, which: int) -> None:
        open_merges = [won for won in self.merges if not won.reverted]
        won = open_merges[which % len(open_merges)]
        revert_merge(merge_id=won.pk, actor=SYSTEM, reason="too soon")
        won.reverted = True
        won.winner.status, won.loser.status = won.before
        self._learn(won.winner)
        self._learn(won.loser)

    @rule(which=PICK, act=st.sampled_from(["append", "fork", "merge", "ask"]))
    def crash(self, which: int, act: str) -> None:
        """Half an act and then death: nothing of it may be left."""
        line = self._pick(which)
        with suppress(Crash), transaction.atomic():
            self._begin_act(line, act)
            raise Crash

    def _begin_act(self, line: Line, act: str) -> None:
        if act == "fork":
            make_fork(Branch.objects.get(pk=line.pk), 1, "never")
        elif act == "merge" and not line.ended and len(self.lines) > 1:
            other = next(other for other in self.lines if other is not line)
            if not other.ended:
                merge_branches(**self._merging(line, other))
        elif not line.ended:
            kind = terms.APPROVAL_REQUESTED if act == "ask" else terms.USER
            payload = {"approval_id": str(uuid4()), "action": "x", "content": "never"}
            append_events(branch_id=line.pk, actor=SYSTEM, drafts=[make_draft(kind, payload)])

    @invariant()
    def branches_are_as_the_model_says(self) -> None:
        rows = {row.pk: row for row in Branch.objects.filter(project=self.project)}
        assert rows.keys() == {line.pk for line in self.lines}
        for line in self.lines:
            row = rows[line.pk]
            assert (row.status, row.head_seq) == (line.status, len(line.ids))

    def teardown(self) -> None:
        if not hasattr(self, "lines"):
            return
        for line in self.lines:
            told = [event.event_id for event in iter_lineage(Branch.objects.get(pk=line.pk))]
            assert told == line.lineage
        self._check_merges()
        # Merged here past the gate, so that no decision of it stands beside the merges.
        assert [f for f in faults_of(self.project.pk) if f.kind != "no_decision"] == []

    def _check_merges(self) -> None:
        assert Merge.objects.filter(project=self.project).count() == len(self.merges)
        for won in self.merges:
            triplets = Triplet.objects.filter(merge_id=won.pk)
            refused = MergeLoser.objects.get(merge_id=won.pk).refused
            assert triplets.count() == (0 if refused else 1)
            assert all((triplet.withdrawn_at is not None) == won.reverted for triplet in triplets)


@contextmanager
def taken_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_whatever_comes_in_whatever_order_everything_stays_sound() -> None:
    with taken_back():
        run_state_machine_as_test(
            Verel,
            settings=settings(
                max_examples=25,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )

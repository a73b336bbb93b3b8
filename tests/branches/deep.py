"""A run of many nested forks, stored at once and yet with whole chains."""

from collections.abc import Mapping
from uuid import UUID, uuid4

from branches.domain import terms
from branches.domain.digest import advance_digest, advance_seal
from branches.models import Branch, Event, Run
from branches.storage.codec import codec
from branches.storage.payloads import bound_data
from tests.make import NOON, make_run
from verel_site.kit.strict_json import encode


class _Writer:
    """Rows behind the trunk's head, sealed as the journal would."""

    def __init__(self, trunk: Branch) -> None:
        self.events: list[Event] = []
        self.branches: list[Branch] = []
        self._position = trunk.head_position

    def fork(self, parent: Branch, number: int) -> Branch:
        branch = Branch(
            id=UUID(int=uuid4().int),
            project_id=parent.project_id,
            run_id=parent.run_id,
            number=number,
            parent=parent,
            fork_seq=parent.head_seq,
            base=parent.base + parent.head_seq,
            head_digest=parent.head_digest,
            head_seal=parent.head_seal,
            fork_digest=parent.head_digest,
            override=f"Step {number}",
            forked_by="Ada",
        )
        self.branches.append(branch)
        return branch

    def tell(self, branch: Branch, kind: str, payload: Mapping[str, object], source: str) -> None:
        self._position += 1
        branch.head_seq += 1
        raw, event_id = encode(payload), uuid4()
        digest = advance_digest(bytes(branch.head_digest), kind, raw)
        row = {"seq": branch.head_seq, "source": source, "parent_id": None}
        seal = advance_seal(
            bytes(branch.head_seal),
            digest=digest,
            position=self._position,
            event_id=event_id,
            run=branch.run_id,
            branch=branch.pk,
            event_type=kind,
            ts=NOON,
            received_at=NOON,
            task_id=None,
            schema_version=1,
            payload=raw,
            **row,  # type: ignore[arg-type]
        )
        bound = bound_data(event_id=event_id, branch=branch.pk, event_type=kind, **row)  # type: ignore[arg-type]
        self.events.append(
            Event(
                position=self._position,
                event_id=event_id,
                project_id=branch.project_id,
                run_id=branch.run_id,
                branch_id=branch.pk,
                type=kind,
                ts=NOON,
                received_at=NOON,
                payload=codec().seal(raw, bound),
                digest=digest,
                seal=seal,
                **row,
            )
        )
        branch.head_digest, branch.head_seal = digest, seal
        branch.head_position = self._position


def tell_deep_run(forks: int) -> tuple[Run, Branch, Branch]:
    """The run, its trunk, and the last of `forks` branches that each fork at their parent's head.

    Each holds a fork, an override and an answer.
    """
    run, trunk = make_run(goal="Go down")
    writer, branch = _Writer(trunk), trunk
    for number in range(1, forks + 1):
        branch = writer.fork(branch, number)
        writer.tell(branch, terms.FORKED, {"fork_seq": branch.fork_seq}, terms.SERVER_SOURCE)
        override = {"text": branch.override, "frame": f"[SYSTEM PRIORITY INTERRUPT] {number}"}
        writer.tell(branch, terms.OVERRIDE, override, terms.SERVER_SOURCE)
        writer.tell(branch, terms.ASSISTANT, {"content": f"Done {number}."}, "agent")
    Branch.objects.bulk_create(writer.branches, batch_size=200)
    Event.objects.bulk_create(writer.events, batch_size=500)
    branch.refresh_from_db()
    return run, trunk, branch

"""Each kind of damage is planted with plain SQL, past every guard, and named by `verify`."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from branches.approvals import answer_approval
from branches.datasets import make_dataset
from branches.domain import terms
from branches.merges import revert_merge
from branches.models import Approval, Branch, Dataset, Event, Merge, Run, Triplet
from branches.storage.payloads import payload_bytes
from tests import make
from tests.sound import faults_of
from tests.verdicts.make import make_issue, make_runner, push, push_proven
from verdicts.gated_merges import merge_through_gate
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.outbox.promises import sweep_promises

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class World:
    """A run with forks, a merge that stands and one that was taken back, and all that follows."""

    project: Project
    run: Run
    trunk: Branch
    fork: Branch
    kept: Merge
    reverted: Merge
    dataset: Dataset

    def triplet(self, merge: Merge) -> Triplet:
        return Triplet.objects.get(merge=merge)

    def event(self, seq: int, branch: Branch | None = None) -> Event:
        return Event.objects.get(branch=branch or self.trunk, seq=seq)


@pytest.fixture(scope="module")
def told(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[World, str]]:
    """The world, told once for all damages, in a transaction that is taken back at the end."""
    url = f"file://{tmp_path_factory.mktemp('archive')}"
    with django_db_blocker.unblock(), transaction.atomic():
        with override_settings(VEREL_ARCHIVE_URL=url):
            world = tell_world()
        yield world, url
        transaction.set_rollback(True)


@pytest.fixture
def world(told: tuple[World, str], settings: Settings) -> World:
    settings.VEREL_ARCHIVE_URL = told[1]
    return told[0]


def tell_world() -> World:
    project = make.make_project()
    run, trunk = make.make_run(project)
    picture = base64.b64encode(bytes(9000)).decode()
    parts = [
        {"kind": "text", "text": "Cap it."},
        {"kind": "image", "mime": "image/png", "data": picture},
    ]
    make.append(
        trunk, make.make_message("user", "Cap the dose."), make.make_message("assistant", "500 mg")
    )
    make.append(
        trunk, make.make_draft(terms.USER, {"content": parts}), make.make_draft(terms.USAGE, {})
    )
    _ask_and_answer(project, trunk)
    fork = make.make_fork(trunk, 2, "Dose = 50mg\nBe careful.").branch
    make.append(fork, make.make_message("assistant", "50 mg"))
    other = make.make_fork(trunk, 2, "Say no.").branch
    make.append(other, make.make_message("assistant", "No."))
    push_proven(make_runner(project), fork, "test", [make_issue("warning")])
    push(trunk, "lint")
    push(trunk, "dom", [make_issue(kind="overflow", locator="main")])
    kept = _merge(fork, trunk)
    push(other, "test")
    reverted = _merge(other, make.make_fork(other, 2, "Again.").branch)
    reverted = revert_merge(merge_id=reverted.pk, actor=SYSTEM, reason="Too soon.")
    Merge.objects.update(undo_until=timezone.now() - timedelta(hours=1))
    dataset = make_dataset(project_id=project.pk, actor=SYSTEM)
    sweep_promises(now=timezone.now() + timedelta(hours=1))
    return World(project, run, trunk, fork, kept, reverted, dataset)


def _ask_and_answer(project: Project, branch: Branch) -> None:
    ask = {"approval_id": str(uuid4()), "action": "dose", "args": {"mg": 50}}
    make.append(branch, make.make_draft(terms.APPROVAL_REQUESTED, ask))
    approval = Approval.objects.get(branch=branch)
    answer_approval(
        approval_id=approval.pk,
        actor=make.make_person(project, Role.REVIEWER),
        answer="accept",
        request_digest=bytes(approval.request_digest),
    )
    branch.refresh_from_db()


def _merge(winner: Branch, loser: Branch) -> Merge:
    make.append(loser, make.make_message("assistant", "5 g"))
    heads = {branch.pk: bytes(branch.head_digest) for branch in (winner, loser)}
    return merge_through_gate(
        winner_id=winner.pk, loser_ids=[loser.pk], actor=SYSTEM, expected_heads=heads
    )


@contextmanager
def past_every_guard() -> Iterator[None]:
    """What a superuser can do: no trigger and no foreign key stands in the way. Undone after."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            run_sql("SET CONSTRAINTS ALL IMMEDIATE")
            run_sql("SET LOCAL session_replication_role = replica")
        yield
        transaction.set_rollback(True)


def run_sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [v.hex if isinstance(v, UUID) else v for v in values])


def double_row(table: str, where: str, value: UUID, **changes: Any) -> None:
    """A second row like the first, in a table without its unique constraints."""
    if connection.vendor == "sqlite":
        # Triggers of other tables name this one, and would have to be there at every step.
        run_sql("PRAGMA legacy_alter_table=ON")
    run_sql(f"CREATE TABLE copied AS SELECT * FROM {table}")
    run_sql(f"DROP TABLE {table}")
    run_sql(f"ALTER TABLE copied RENAME TO {table}")
    if connection.vendor == "sqlite":
        run_sql("PRAGMA legacy_alter_table=OFF")
    run_sql(f"CREATE TABLE doubled AS SELECT * FROM {table} WHERE {where} = %s", value)
    for column, changed in changes.items():
        run_sql(f"UPDATE doubled SET {column} = %s", changed)
    run_sql(f"INSERT INTO {table} SELECT * FROM doubled")


type Damage = Callable[[World], None]


def set_event(seq: int, /, **columns: Any) -> Damage:
    def plant(world: World) -> None:
        for column, value in columns.items():
            told = value(world) if callable(value) else value
            run_sql(
                f"UPDATE branches_event SET {column} = %s WHERE position = %s",
                told,
                world.event(seq).position,
            )

    return plant


def set_row(table: str, pick: Callable[[World], UUID], **columns: Any) -> Damage:
    def plant(world: World) -> None:
        for column, value in columns.items():
            told = value(world) if callable(value) else value
            run_sql(f"UPDATE {table} SET {column} = %s WHERE id = %s", told, pick(world))

    return plant


def do(*statements: str, pick: Callable[[World], UUID] = lambda world: world.trunk.pk) -> Damage:
    """Statements that each take one id, as often as they ask for it."""

    def plant(world: World) -> None:
        for statement in statements:
            run_sql(statement, *[pick(world)] * statement.count("%s"))

    return plant


def swap_events(world: World) -> None:
    first, second = world.event(3), world.event(4)
    for position, seq in ((first.position, 99), (second.position, 3), (first.position, 4)):
        run_sql("UPDATE branches_event SET seq = %s WHERE position = %s", seq, position)


def change_payload(world: World) -> None:
    event = world.event(3)
    plain = payload_bytes(event)
    payload = b"\x00" + plain.replace(b"500 mg", b"900 mg")
    assert payload != b"\x00" + plain
    run_sql("UPDATE branches_event SET payload = %s WHERE position = %s", payload, event.position)


def drop_branch(world: World) -> None:
    for statement in (
        "DELETE FROM branches_event WHERE branch_id = %s",
        "DELETE FROM branches_branch WHERE id = %s",
    ):
        run_sql(statement, Branch.objects.get(run=world.run, number=3).pk)


def drop_merge(world: World) -> None:
    for table in ("branches_triplet", "branches_mergeloser"):
        run_sql(f"DELETE FROM {table} WHERE merge_id = %s", world.kept.pk)
    run_sql("DELETE FROM branches_merge WHERE id = %s", world.kept.pk)


def drop_file(world: World) -> None:
    rows = next(name for name in world.dataset.files if name.endswith(".jsonl"))
    change_key(world, rows, "datasets/nowhere")


def change_file(world: World) -> None:
    rows = next(name for name in world.dataset.files if name.endswith(".jsonl"))
    change_key(world, rows, world.dataset.files["README.md"])


def change_key(world: World, name: str, key: str) -> None:
    files = json.dumps({**world.dataset.files, name: key})
    run_sql("UPDATE branches_dataset SET files = %s WHERE id = %s", files, world.dataset.pk)


def change_entry(world: World) -> None:
    run_sql(
        "UPDATE audit_auditentry SET body = %s WHERE project_id = %s AND number = 2",
        b"{}",
        world.project.pk,
    )


def of_kept(world: World) -> UUID:
    return world.kept.pk


def kept_triplet(world: World) -> UUID:
    return world.triplet(world.kept).pk


def taken_back(world: World) -> UUID:
    return world.triplet(world.reverted).pk


def the_fork(world: World) -> UUID:
    return world.fork.pk


def the_project(world: World) -> UUID:
    return world.project.pk


def the_promise(world: World) -> Any:
    return kept_triplet(world)


EVENT_3 = "event 3 of main"
OTHER = uuid4()
DAMAGE: dict[str, tuple[Damage, str, str]] = {
    "a byte of a payload": (change_payload, "changed", EVENT_3),
    "a payload that nobody can open": (set_event(3, payload=b"\x09x"), "unreadable", EVENT_3),
    "a type": (set_event(3, type=terms.USER), "changed", EVENT_3),
    "a source": (set_event(3, source="someone"), "changed", EVENT_3),
    "a time": (set_event(3, ts="2026-11-20 12:00:00.000001+00:00"), "changed", EVENT_3),
    "an arrival": (set_event(3, received_at="2026-11-20 12:00:00+00:00"), "changed", EVENT_3),
    "a task": (set_event(3, task_id=OTHER), "changed", EVENT_3),
    "a parent": (set_event(3, parent_id=OTHER), "changed", EVENT_3),
    "an event id": (set_event(3, event_id=OTHER), "changed", EVENT_3),
    "a schema version": (set_event(3, schema_version=2), "changed", EVENT_3),
    "a digest": (set_event(3, digest=bytes(32)), "changed", EVENT_3),
    "a seal": (set_event(3, seal=bytes(32)), "changed", EVENT_3),
    "a position": (set_event(11, position=10**9), "changed", "event 11 of main"),
    "a seq": (set_event(11, seq=20), "missing", "event 11 of main"),
    "the project of an event": (
        set_event(3, project_id=lambda w: make.make_project().pk), "misplaced", EVENT_3,
    ),
    "the run of an event": (
        set_event(3, run_id=lambda w: make.make_run(w.project)[0].pk), "misplaced", "event 3 of run r-2",
    ),
    "a run that is not there": (set_event(3, run_id=OTHER), "misplaced", "event 3 of branch"),
    "the branch of an event": (set_event(3, branch_id=OTHER), "misplaced", "event 3 of run r-1"),
    "a missing event": (
        do("DELETE FROM branches_event WHERE branch_id = %s AND seq = 3"), "missing", EVENT_3,
    ),
    "two events that changed places": (swap_events, "reordered", EVENT_3),
    "a cut tail": (
        do("DELETE FROM branches_event WHERE branch_id = %s AND seq > 7"), "cut_tail", "event 11 of main",
    ),
    "a branch without its events": (
        do("DELETE FROM branches_event WHERE branch_id = %s", pick=the_fork), "cut_tail", "of fork 1",
    ),
    "a head that was put back": (
        do("UPDATE branches_branch SET head_seq = 6 WHERE id = %s"), "head", "event 6 of main",
    ),
    "another seal at the head": (
        set_row("branches_branch", the_fork, head_seal=bytes(32)), "head", "of fork 1",
    ),
    "another digest at the fork point": (
        set_row("branches_branch", the_fork, fork_digest=bytes(32)), "fork", "fork 1 of run r-1",
    ),
    "another fork point": (
        set_row("branches_branch", the_fork, fork_seq=3), "fork", "fork 1 of run r-1",
    ),
    "a fork point that is not there": (
        set_row("branches_branch", the_fork, fork_seq=99), "fork", "fork 1 of run r-1",
    ),
    "a branch with its events": (drop_branch, "missing", "branch "),
    "an event id twice": (
        lambda w: double_row(
            "branches_event", "position", w.event(3).position, position=10**9, seq=12,  # type: ignore[arg-type]
        ),
        "doubled",
        "event id",
    ),
    "a triplet without its merge": (
        do(
            "DELETE FROM branches_mergeloser WHERE merge_id = %s",
            "DELETE FROM branches_merge WHERE id = %s",
            pick=of_kept,
        ),
        "no_merge",
        "triplet 1",
    ),
    "a merge that is gone": (drop_merge, "missing", "merge"),
    "a loser that is gone": (
        do("DELETE FROM branches_mergeloser WHERE merge_id = %s", pick=of_kept), "no_merge", "triplet 1",
    ),
    "a loser without its triplet": (
        do("DELETE FROM branches_triplet WHERE merge_id = %s", pick=of_kept), "no_triplet", "merge",
    ),
    "a loser with a triplet and a reason": (
        do("UPDATE branches_mergeloser SET refused = 'no' WHERE merge_id = %s", pick=of_kept),
        "doubled",
        "merge",
    ),
    "a triplet twice": (
        lambda w: double_row("branches_triplet", "id", kept_triplet(w), id=uuid4(), number=3),
        "doubled",
        "merge",
    ),
    "a triplet that lives on after the revert": (
        set_row("branches_triplet", taken_back, withdrawn_at=None), "not_withdrawn", "triplet 2",
    ),
    "a triplet withdrawn while its merge stands": (
        set_row("branches_triplet", kept_triplet, withdrawn_at=timezone.now().isoformat()),
        "withdrawn",
        "triplet 1",
    ),
    "another prompt": (
        set_row("branches_triplet", kept_triplet, prompt=b"\x00[]"), "changed", "triplet 1",
    ),
    "a winner that runs again": (
        set_row("branches_branch", the_fork, status="running"), "status", "merge",
    ),
    "a promise twice": (
        lambda w: double_row("outbox_promise", "subject", the_promise(w), id=uuid4()),
        "doubled",
        "promise of triplet",
    ),
    "a promise that is gone": (
        do("DELETE FROM outbox_promise WHERE subject = %s", pick=kept_triplet), "not_owed", "triplet 1",
    ),
    "a promise of nothing": (
        do(f"UPDATE outbox_promise SET subject = '{OTHER.hex}' WHERE subject = %s", pick=kept_triplet),
        "astray",
        "promise",
    ),
    "a promise due again though withdrawn": (
        do("UPDATE outbox_promise SET state = 'due' WHERE subject = %s", pick=taken_back),
        "not_withdrawn",
        "triplet 2",
    ),
    "a promise kept at no time": (
        do("UPDATE outbox_promise SET sent_at = NULL WHERE subject = %s", pick=kept_triplet),
        "changed",
        "promise",
    ),
    "a file that is gone": (drop_file, "missing", "of dataset"),
    "a file that was changed": (change_file, "changed", "of dataset"),
    "a blob's bytes": (
        lambda w: run_sql("UPDATE branches_blob SET data = %s", b"\x00ab"), "changed", "blob",
    ),
    "what was asked": (
        do("DELETE FROM branches_event WHERE branch_id = %s AND type LIKE '%%requested'"),
        "no_request",
        "approval",
    ),
    "the digest of what was asked": (
        do(
            "UPDATE branches_approval SET request_digest = (SELECT seal FROM branches_event "
            "LIMIT 1) WHERE branch_id = %s"
        ),
        "changed",
        "approval",
    ),
    "a report's verdict": (
        do("UPDATE verdicts_report SET verdict = 'fail' WHERE branch_id = %s", pick=the_fork),
        "changed",
        "report 1 (test) on fork 1",
    ),
    "an issue": (
        do(
            "UPDATE verdicts_issue SET message = 'fine' WHERE report_id IN "
            "(SELECT id FROM verdicts_report WHERE branch_id = %s)",
            pick=the_fork,
        ),
        "changed",
        "report 1 (test) on fork 1",
    ),
    "a receipt": (
        do(
            "UPDATE verdicts_report SET receipt = REPLACE(receipt, 'a', 'b') WHERE branch_id = %s",
            pick=the_fork,
        ),
        "changed",
        "report 1 (test) on fork 1",
    ),
    "the head that was graded": (
        do("UPDATE verdicts_report SET head_seq = 1 WHERE branch_id = %s", pick=the_fork),
        "changed",
        "report 1 (test) on fork 1",
    ),
    "a report's place": (
        do('UPDATE verdicts_report SET "order" = 2 WHERE branch_id = %s', pick=the_fork),
        "missing",
        "report 1 on fork 1",
    ),
    "how often a failure was seen": (
        do("UPDATE verdicts_failure SET sightings = 9 WHERE project_id = %s", pick=the_project),
        "changed",
        "failure ",
    ),
    "a failure that is said to be mended": (
        do("UPDATE verdicts_failure SET open = NOT open WHERE project_id = %s", pick=the_project),
        "changed",
        "failure ",
    ),
    "a turn of the failure ledger": (
        do(
            "UPDATE verdicts_failureentry SET turn = 'resolved' WHERE branch_id IN "
            "(SELECT id FROM branches_branch WHERE project_id = %s)",
            pick=the_project,
        ),
        "changed",
        "failure ",
    ),
    "the gate's decision": (
        do("DELETE FROM verdicts_gatedecision WHERE branch_id = %s", pick=the_fork),
        "no_decision",
        "merge",
    ),
    "an audit entry's body": (change_entry, "changed", "audit entry 2"),
    "an audit entry's column": (
        do("UPDATE audit_auditentry SET actor_name = 'Eve' WHERE project_id = %s AND number = 2", pick=the_project),
        "changed",
        "audit entry 2",
    ),
    "an audit entry": (
        do("DELETE FROM audit_auditentry WHERE project_id = %s AND number = 2", pick=the_project),
        "missing",
        "audit entry 2",
    ),
    "a run's number": (
        do("UPDATE branches_run SET number = 5 WHERE project_id = %s", pick=the_project), "missing", "run r-1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_its_row_is_named(world: World, damage: str) -> None:
    plant, kind, row = DAMAGE[damage]
    with past_every_guard():
        plant(world)
        faults = faults_of(world.project.pk)
    assert [fault for fault in faults if fault.kind == kind and row in fault.row], faults


# What was changed in one row is one fault: those that follow are not blamed.
ONE_ROW = [name for name, (_, kind, row) in DAMAGE.items() if kind == "changed" and row == EVENT_3]


@pytest.mark.parametrize("damage", [*ONE_ROW, "two events that changed places", "a cut tail"])
def test_one_damage_is_one_fault(world: World, damage: str) -> None:
    with past_every_guard():
        DAMAGE[damage][0](world)
        found = [fault for fault in faults_of(world.project.pk) if " of main " in fault.row]
    assert len(found) == 1, found


def test_a_clean_project_has_nothing_wrong_and_says_how_much_was_looked_at(world: World) -> None:
    out = StringIO()
    call_command("verify", project=world.project.slug, stdout=out)
    assert "nothing wrong in" in out.getvalue()
    for looked in ("1 runs", "4 branches", "2 merges", "2 triplets", "1 datasets", "1 blobs"):
        assert looked in out.getvalue()


def test_a_fault_is_printed_and_the_command_exits_with_1(world: World) -> None:
    out = StringIO()
    with past_every_guard():
        change_payload(world)
        with pytest.raises(SystemExit) as stop:
            call_command("verify", json=True, stdout=out)
    assert stop.value.code == 1
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0]["kind"] == "changed"
    assert lines[0]["row"].startswith("event 3 of main of run r-1")
    assert lines[-1]["faults"] == 1
    assert lines[-1]["checked"]["events"] == Event.objects.filter(project=world.project).count()


def test_it_asks_no_more_of_a_run_with_many_branches(world: World) -> None:
    with CaptureQueriesContext(connection) as few:
        faults_of(world.project.pk)
    with transaction.atomic():
        for _ in range(12):
            make.make_fork(world.trunk, 3, "More.")
        with CaptureQueriesContext(connection) as many:
            assert faults_of(world.project.pk) == []
        transaction.set_rollback(True)
    assert len(many) == len(few)

"""Real threads on a real database, each with a connection of its own."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from branches.domain.admission import Admission
from branches.domain.digest import advance_digest, advance_seal
from branches.forks import Fork
from branches.journal import Draft, IdReuse, Receipt, append_events
from branches.leases import Lease, claim_branch
from branches.merges import AlreadyEnded, GateStale, merge_branches
from branches.models import Branch, Directive, Event, Merge, Run, Triplet
from branches.runs import start_run
from branches.steering import pause_branch, resume_branch
from branches.storage.payloads import payload_bytes
from tests.make import append, make_draft, make_fork, make_message, make_project, make_run
from tests.sound import faults_of
from verel_site.access.actors import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS, BATCHES, ROWS = 8, 6, 3
JOIN_SECONDS = 120


def at_once[T](*acts: Callable[[], T]) -> list[T | Exception]:
    """What each act gave, or raised; all begin together, each in a thread of its own."""
    given: list[Any] = [None] * len(acts)
    gate = threading.Barrier(len(acts))

    def run(index: int) -> None:
        try:
            gate.wait()
            given[index] = acts[index]()
        except Exception as error:
            given[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_SECONDS)
        assert not thread.is_alive(), "a thread waits for ever"
    return given


def assert_chains(branch: Branch) -> None:
    """Recomputes both chains from the stored bytes, and finds no gap."""
    digest = seal = bytes(32)
    if branch.parent_id is not None and branch.fork_seq is not None:
        point = Event.objects.get(branch_id=branch.parent_id, seq=branch.fork_seq)
        digest, seal = bytes(point.digest), bytes(point.seal)
        assert bytes(branch.fork_digest) == digest
    rows = list(Event.objects.filter(branch=branch).order_by("seq"))
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert [row.position for row in rows] == sorted(row.position for row in rows)
    for row in rows:
        payload = payload_bytes(row)
        digest = advance_digest(digest, row.type, payload)
        seal = advance_seal(
            seal,
            digest=digest,
            position=row.position,
            event_id=row.event_id,
            run=row.run_id,
            branch=row.branch_id,
            seq=row.seq,
            event_type=row.type,
            source=row.source,
            ts=row.ts,
            received_at=row.received_at,
            task_id=row.task_id,
            parent_id=row.parent_id,
            schema_version=row.schema_version,
            payload=payload,
        )
        assert (bytes(row.digest), bytes(row.seal)) == (digest, seal)
    assert (branch.head_seq, branch.head_position) == (len(rows), rows[-1].position)
    assert (bytes(branch.head_digest), bytes(branch.head_seal)) == (digest, seal)


def test_writers_and_forkers_of_one_branch_leave_whole_chains_and_lose_nothing() -> None:
    run, trunk = make_run()

    def work(writer: int) -> tuple[list[Receipt], list[UUID]]:
        told: list[Receipt] = []
        forks: list[UUID] = []
        for batch in range(BATCHES):
            drafts: list[Draft] = [
                make_message("assistant", f"{writer}/{batch}/{row}") for row in range(ROWS)
            ]
            told += append_events(branch_id=trunk.pk, actor=SYSTEM, drafts=drafts).results
            if batch % 2:
                forks.append(make_fork(trunk, told[-1].seq, f"Writer = {writer}").branch.pk)
        return told, forks

    given = at_once(*(lambda writer=writer: work(writer) for writer in range(WRITERS)))
    assert [item for item in given if isinstance(item, Exception)] == []
    told = [receipt for item in given for receipt in item[0]]  # type: ignore[index]
    forks = {branch for item in given for branch in item[1]}  # type: ignore[index]

    stored = {row.event_id: row for row in Event.objects.filter(branch=trunk)}
    assert len(told) == WRITERS * BATCHES * ROWS == len(stored) - 1
    for receipt in told:
        row = stored[receipt.event_id]
        assert (row.seq, row.position, bytes(row.digest)) == (
            receipt.seq,
            receipt.position,
            receipt.digest,
        )
    branches = list(Branch.objects.filter(run=run).order_by("number"))
    assert [branch.number for branch in branches] == list(range(len(forks) + 1))
    assert {branch.pk for branch in branches} == forks | {trunk.pk}
    for branch in branches:
        assert_chains(branch)
    assert Directive.objects.filter(branch__run=run).count() == len(forks)
    assert faults_of(run.project_id) == []


def test_one_batch_pushed_by_many_at_once_is_stored_once() -> None:
    _, trunk = make_run()
    drafts = [make_draft(payload={"content": str(row)}) for row in range(ROWS)]
    given = at_once(
        *(
            lambda: append_events(branch_id=trunk.pk, actor=SYSTEM, drafts=drafts)
            for _ in range(WRITERS)
        )
    )
    assert [item for item in given if isinstance(item, Exception)] == []
    fresh = [item for item in given if not item.results[0].duplicate]  # type: ignore[union-attr]
    assert len(fresh) == 1
    places = {tuple((r.seq, r.position) for r in item.results) for item in given}  # type: ignore[union-attr]
    assert len(places) == 1
    trunk.refresh_from_db()
    assert trunk.head_seq == 1 + ROWS
    assert_chains(trunk)


def test_one_id_pushed_to_two_branches_at_once_is_stored_once_and_refused_in_words() -> None:
    project = make_project()
    for _ in range(4):
        trunks = [make_run(project)[1] for _ in range(WRITERS)]
        drafts = [make_draft(payload={"content": str(row)}) for row in range(ROWS)]
        given = at_once(
            *(
                lambda trunk=trunk, drafts=drafts: append_events(
                    branch_id=trunk.pk, actor=SYSTEM, drafts=drafts
                )
                for trunk in trunks
            )
        )
        refused = [item for item in given if isinstance(item, Exception)]
        assert [type(item) for item in refused] == [IdReuse] * (WRITERS - 1)
        ids = [draft.event_id for draft in drafts]
        assert Event.objects.filter(project=project, event_id__in=ids).count() == ROWS


def make_siblings() -> tuple[Branch, Branch]:
    _, trunk = make_run()
    append(trunk, make_message("user", "How much?"))
    left, right = (make_fork(trunk, 2, f"Dose = {dose}mg").branch for dose in (50, 60))
    for branch in (left, right):
        append(branch, make_message("assistant", f"I am {branch.pk}"))
    return left, right


def admit(winner: Branch) -> Admission:
    return Admission(winner.pk, bytes(winner.head_digest), "pass", open=True, policy_version=1)


@pytest.mark.parametrize("crossed", [False, True])
def test_of_two_merges_of_one_pair_one_wins_and_the_other_is_told_why(crossed: bool) -> None:
    left, right = make_siblings()
    pairs = [(left, right), (right, left) if crossed else (left, right)]
    given = at_once(
        *(
            lambda winner=winner, loser=loser: merge_branches(
                winner_id=winner.pk, loser_ids=[loser.pk], actor=SYSTEM, admission=admit(winner)
            )
            for winner, loser in pairs
        )
    )
    refused = [item for item in given if isinstance(item, Exception)]
    assert len(refused) == 1
    assert isinstance(refused[0], AlreadyEnded | GateStale), refused
    assert Merge.objects.count() == 1
    assert Triplet.objects.count() == 1
    assert sorted(b.status for b in Branch.objects.filter(pk__in=[left.pk, right.pk])) == [
        "abandoned",
        "merged",
    ]


def test_merges_of_several_runs_at_once_number_their_triplets_without_a_gap() -> None:
    project = make_project()
    pairs = []
    for _ in range(WRITERS):
        _, trunk = make_run(project)
        append(trunk, make_message("user", "How much?"))
        fork = make_fork(trunk, 2).branch
        append(fork, make_message("assistant", "50 mg"))
        append(trunk, make_message("assistant", "500 mg"))
        pairs.append((fork, trunk))
    given = at_once(
        *(
            lambda winner=winner, loser=loser: merge_branches(
                winner_id=winner.pk, loser_ids=[loser.pk], actor=SYSTEM, admission=admit(winner)
            )
            for winner, loser in pairs
        )
    )
    assert [item for item in given if isinstance(item, Exception)] == []
    numbers = Triplet.objects.filter(project=project).values_list("number", flat=True)
    assert sorted(numbers) == list(range(1, WRITERS + 1))
    # These merges were let in by the test itself, past the gate.
    assert {fault.kind for fault in faults_of(project.pk)} == {"no_decision"}


def test_many_workers_claim_each_fork_once() -> None:
    project = make_project()
    _, trunk = make_run(project)
    forks = {make_fork(trunk, 1).branch.pk for _ in range(20)}

    def work(worker: int) -> list[Lease]:
        leases: list[Lease] = []
        # A row that another worker holds for this instant is skipped, so None may come early.
        misses = 0
        while misses < 3:
            lease = claim_branch(
                project_id=project.pk, actor=SYSTEM, worker=f"w{worker}", seconds=600
            )
            if lease is None:
                misses += 1
            else:
                leases.append(lease)
        return leases

    given = at_once(*(lambda worker=worker: work(worker) for worker in range(6)))
    assert [item for item in given if isinstance(item, Exception)] == []
    leases = [lease for item in given for lease in item]  # type: ignore[union-attr]
    assert sorted(lease.branch for lease in leases) == sorted(forks)
    assert {lease.epoch for lease in leases} == {1}


def test_starts_forks_moves_and_appends_in_one_project_do_not_wait_for_each_other() -> None:
    project = make_project()
    run, trunk = make_run(project)
    held = make_fork(trunk, 1).branch

    def start() -> Run:
        return [start_run(project_id=project.pk, actor=SYSTEM, goal="g")[0] for _ in range(8)][-1]

    def fork() -> Fork:
        return [make_fork(trunk, 1) for _ in range(8)][-1]

    def write() -> int:
        for _ in range(8):
            append_events(branch_id=trunk.pk, actor=SYSTEM, drafts=[make_draft()])
        return 8

    def steer() -> Branch:
        for _ in range(4):
            pause_branch(branch_id=held.pk, actor=SYSTEM)
            resume_branch(branch_id=held.pk, actor=SYSTEM)
        return held

    given = at_once(start, start, fork, fork, write, write, steer)
    assert [item for item in given if isinstance(item, Exception)] == []
    numbers = Run.objects.filter(project=project).order_by("number")
    assert list(numbers.values_list("number", flat=True)) == list(range(1, 18))
    for branch in Branch.objects.filter(run=run):
        assert_chains(branch)
    assert faults_of(project.pk) == []

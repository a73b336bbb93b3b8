import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from branches.domain.admission import Admission
from branches.leases import claim_branch
from branches.merges import (
    UNDO_SECONDS,
    AlreadyEnded,
    AlreadyReverted,
    GateShut,
    GateStale,
    HeadMoved,
    OtherRun,
    WinnerAmongLosers,
    merge_branches,
    revert_merge,
)
from branches.models import Branch, Directive, Merge, Triplet
from branches.steering import pause_branch
from branches.storage.cold import NotStored, cold_store
from branches.triplets import DELIVERY, deliver_triplet, triplet_row
from tests.make import append, make_draft, make_fork, make_message, make_person, make_run
from verel_site.access.actors import SYSTEM
from verel_site.access.rights import Role
from verel_site.kit.refusals import Forbidden, NotFound
from verel_site.outbox.models import Promise
from verel_site.outbox.promises import register_deliverer, sweep_promises

pytestmark = pytest.mark.django_db


def admit(branch: Branch, **changes: Any) -> Admission:
    branch.refresh_from_db()
    facts = {"verdict": "pass", "open": True, "policy_version": 1, **changes}
    return Admission(branch.pk, bytes(branch.head_digest), **facts)


@pytest.fixture
def siblings() -> tuple[Branch, Branch, Branch]:
    """A trunk and two finished forks of its second event."""
    _, trunk = make_run()
    append(trunk, make_message("user", "Cap the dose"), make_message("assistant", "45 mg"))
    forks = [make_fork(trunk, 2, f"Dose = {dose}mg").branch for dose in (50, 60)]
    for fork, dose in zip(forks, (50, 60), strict=True):
        append(fork, make_message("assistant", f"The dose is {dose} mg."))
    return trunk, forks[0], forks[1]


def merge(winner: Branch, *losers: Branch, **extra: Any) -> Merge:
    extra.setdefault("admission", admit(winner))
    extra.setdefault("actor", make_person(winner.project))
    return merge_branches(winner_id=winner.pk, loser_ids=[x.pk for x in losers], **extra)


def test_the_winner_is_merged_the_losers_abandoned_and_triplets_come_out(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    trunk, one, other = siblings
    made = merge(one, other, trunk, note="keeps to the cap")
    assert {b.pk: b.status for b in Branch.objects.all()} == {
        trunk.pk: "abandoned",
        one.pk: "merged",
        other.pk: "abandoned",
    }
    rows = [triplet_row(t) for t in made.triplets.order_by("number")]
    assert [row["prompt"] for row in rows] == [[{"role": "user", "content": "Cap the dose"}]] * 2
    assert {row["rejected"][0]["content"] for row in rows} == {"The dose is 60 mg.", "45 mg"}
    assert {row["chosen"][0]["content"] for row in rows} == {"The dose is 50 mg."}
    metadata = json.loads(rows[0]["metadata"])
    assert metadata["schema"] == "verel.dpo/1"
    assert metadata["reason"] == "keeps to the cap"
    assert "INTERRUPT" not in json.dumps([row["prompt"] for row in rows])


def test_the_override_enters_the_prompt_where_the_project_says_so(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    _, one, other = siblings
    one.project.override_in_prompt = True
    one.project.save()
    row = triplet_row(merge(one, other).triplets.get())
    assert row["prompt"][-1]["role"] == "system"
    assert "Dose = 50mg" in row["prompt"][-1]["content"]


def test_nothing_leaves_before_the_undo_window_has_passed(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    _, one, other = siblings
    triplet = merge(one, other).triplets.get()
    key = f"triplets/{one.project.slug}/{triplet.number:08d}-{triplet.pk}.jsonl"
    assert sweep_promises(now=timezone.now() + timedelta(seconds=UNDO_SECONDS - 1)) == 0
    with pytest.raises(NotStored):
        cold_store().get(key)
    assert sweep_promises(now=timezone.now() + timedelta(seconds=UNDO_SECONDS + 1)) == 1
    assert json.loads(cold_store().get(key))["chosen"][0]["content"] == "The dose is 50 mg."


def test_a_revert_reopens_both_sides_and_holds_the_triplet_back(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    trunk, one, other = siblings
    made = merge(one, other, trunk)
    revert_merge(merge_id=made.pk, actor=SYSTEM, reason="too early")
    assert set(Branch.objects.values_list("status", flat=True)) == {"running"}
    assert not Triplet.objects.filter(withdrawn_at=None).exists()
    assert sweep_promises(now=timezone.now() + timedelta(minutes=1)) == 0
    assert set(Promise.objects.values_list("state", flat=True)) == {"withdrawn"}
    with pytest.raises(AlreadyReverted):
        revert_merge(merge_id=made.pk, actor=SYSTEM, reason="again")
    assert merge(one, other).triplets.count() == 1


def test_a_triplet_that_had_left_is_told_back(siblings: tuple[Branch, Branch, Branch]) -> None:
    _, one, other = siblings
    made = merge(one, other)
    sweep_promises(now=timezone.now() + timedelta(minutes=1))
    revert_merge(merge_id=made.pk, actor=SYSTEM, reason="wrong side")
    assert sweep_promises(now=timezone.now() + timedelta(minutes=2)) == 1
    triplet = made.triplets.get()
    stem = f"triplets/{one.project.slug}/{triplet.number:08d}-{triplet.pk}"
    assert json.loads(cold_store().get(f"{stem}.withdrawn.json"))["withdrawn"] is True


def test_refusals_come_in_the_order_of_the_specification(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    trunk, one, other = siblings
    _, stranger = make_run()
    _, foreign = make_run(one.project)
    shut = admit(one, open=False, verdict="fail", reasons=("Tests fail.",))
    moved = {one.pk: bytes(32)}
    with pytest.raises(WinnerAmongLosers):
        merge(one, one, stranger, admission=shut)
    with pytest.raises(NotFound):
        merge(one, stranger, foreign, admission=shut)
    with pytest.raises(OtherRun):
        merge(one, foreign, admission=shut)
    with pytest.raises(GateShut, match="Tests fail"):
        merge(one, other, admission=shut, expected_heads=moved)
    with pytest.raises(HeadMoved) as refusal:
        merge(one, other, expected_heads=moved)
    assert refusal.value.extra["moved"][0]["head"]["seq"] == one.head_seq
    stale = admit(one)
    append(one, make_message("assistant", "One more thing."))
    with pytest.raises(GateStale):
        merge(one, other, admission=stale)
    assert not Merge.objects.exists()
    merge(one, other)
    with pytest.raises(AlreadyEnded):
        merge(trunk, other, admission=admit(trunk, open=False))


def test_pausing_a_branch_does_not_make_its_gate_stale(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    _, one, other = siblings
    admission = admit(one)
    append(one, make_draft("harness.task.note", {"n": 1}))
    assert merge(one, other, admission=admission).winner_id == one.pk


def test_a_bypass_is_kept_on_the_merge_and_in_the_provenance(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    _, one, other = siblings
    admission = admit(one, open=False, verdict="fail", bypass_reason="grader is down")
    made = merge(one, other, admission=admission, actor=make_person(one.project, Role.ADMIN))
    assert made.bypass_reason == "grader is down"
    assert made.triplets.get().metadata["gate"]["bypass_reason"] == "grader is down"


def test_equal_sides_merge_without_a_triplet_and_say_why() -> None:
    _, trunk = make_run()
    append(trunk, make_message("user", "hi"))
    one, other = make_fork(trunk, 2).branch, make_fork(trunk, 2).branch
    for branch in (one, other):
        append(branch, make_message("assistant", "same"))
    made = merge(one, other)
    assert not made.triplets.exists()
    assert "same" in made.losers.get().refused


def test_a_viewer_cannot_merge(siblings: tuple[Branch, Branch, Branch]) -> None:
    _, one, other = siblings
    with pytest.raises(Forbidden):
        merge(one, other, actor=make_person(one.project, Role.VIEWER))


def test_a_parent_may_lose_against_its_fork_and_its_continuation_is_rejected(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    trunk, one, _ = siblings
    row = triplet_row(merge(one, trunk).triplets.get())
    assert row["rejected"] == [{"role": "assistant", "content": "45 mg"}]


def test_a_reverted_merge_gives_a_waiting_fork_back_to_the_workers(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    _, one, other = siblings
    pause_branch(branch_id=one.pk, actor=SYSTEM)
    made = merge(one, other)
    claim: dict[str, Any] = {"project_id": one.project_id, "actor": SYSTEM, "worker": "w"}
    assert claim_branch(**claim, seconds=60) is None
    revert_merge(merge_id=made.pk, actor=SYSTEM, reason="too early")
    told = Directive.objects.order_by("-id").values_list("branch", "kind")[:2]
    assert set(told) == {(one.pk, "pause"), (other.pk, "fork_claimable")}
    lease = claim_branch(**claim, seconds=60)
    assert lease is not None
    assert lease.branch == other.pk


def test_a_triplet_that_left_while_its_merge_was_reverted_is_told_back(
    siblings: tuple[Branch, Branch, Branch],
) -> None:
    _, one, other = siblings
    made = merge(one, other)

    def deliver_slowly(subject: UUID, destination: str) -> None:
        deliver_triplet(subject, destination)
        revert_merge(merge_id=made.pk, actor=SYSTEM, reason="just then")

    register_deliverer(DELIVERY, deliver_slowly)
    try:
        sweep_promises(now=timezone.now() + timedelta(minutes=1))
    finally:
        register_deliverer(DELIVERY, deliver_triplet)
    assert sweep_promises(now=timezone.now() + timedelta(minutes=2)) == 1
    triplet = made.triplets.get()
    stem = f"triplets/{one.project.slug}/{triplet.number:08d}-{triplet.pk}"
    assert json.loads(cold_store().get(f"{stem}.withdrawn.json"))["withdrawn"] is True

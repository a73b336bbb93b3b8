from datetime import timedelta

import pytest
from django.utils import timezone

from branches.journal import StaleLease
from branches.leases import Lease, claim_branch, extend_lease, release_lease
from branches.models import Branch
from branches.steering import abandon_branch, complete_branch, pause_branch
from tests.make import make_fork, make_person, make_run
from verel_site.access.actors import SYSTEM
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db


@pytest.fixture
def fork() -> Branch:
    return make_fork(make_run()[1], 1).branch


def claim(fork: Branch, worker: str = "w") -> Lease | None:
    return claim_branch(project_id=fork.project_id, actor=SYSTEM, worker=worker, seconds=60)


def expire(fork: Branch) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Branch.objects.filter(pk=fork.pk).update(lease_expires_at=past)


def test_one_worker_gets_a_branch_and_the_next_gets_nothing(fork: Branch) -> None:
    assert claim(fork) is not None
    assert claim(fork) is None


def test_the_oldest_waiting_branch_comes_first(fork: Branch) -> None:
    second = make_fork(fork, 1).branch
    first, then = claim(fork), claim(fork)
    assert first is not None
    assert then is not None
    assert [first.branch, then.branch] == [fork.pk, second.pk]


def test_an_expired_lease_is_claimable_again_under_a_higher_epoch(fork: Branch) -> None:
    first = claim(fork, "one")
    expire(fork)
    second = claim(fork, "two")
    assert first is not None
    assert second is not None
    assert second.epoch == first.epoch + 1
    with pytest.raises(StaleLease):
        extend_lease(branch_id=fork.pk, actor=SYSTEM, epoch=first.epoch, seconds=60)


def test_a_heartbeat_extends_a_live_lease_and_no_expired_one(fork: Branch) -> None:
    lease = claim(fork)
    assert lease is not None
    longer = extend_lease(branch_id=fork.pk, actor=SYSTEM, epoch=lease.epoch, seconds=600)
    assert longer.expires_at > lease.expires_at
    expire(fork)
    with pytest.raises(StaleLease):
        extend_lease(branch_id=fork.pk, actor=SYSTEM, epoch=lease.epoch, seconds=60)


def test_a_released_branch_is_claimable_at_once(fork: Branch) -> None:
    lease = claim(fork)
    assert lease is not None
    release_lease(branch_id=fork.pk, actor=SYSTEM, epoch=lease.epoch)
    assert claim(fork) is not None


@pytest.mark.parametrize("move", [pause_branch, complete_branch, abandon_branch])
def test_a_branch_that_does_not_run_is_not_handed_out(fork: Branch, move: object) -> None:
    move(branch_id=fork.pk, actor=SYSTEM, reason="because")  # type: ignore[operator]
    assert claim(fork) is None


def test_people_do_not_claim(fork: Branch) -> None:
    with pytest.raises(Forbidden):
        claim_branch(
            project_id=fork.project_id, actor=make_person(fork.project), worker="w", seconds=1
        )


def test_a_worker_whose_lease_is_over_does_not_complete_what_another_holds(fork: Branch) -> None:
    first = claim(fork, "one")
    expire(fork)
    second = claim(fork, "two")
    assert first is not None
    assert second is not None
    with pytest.raises(StaleLease):
        complete_branch(branch_id=fork.pk, actor=SYSTEM, lease_epoch=first.epoch)
    done = complete_branch(branch_id=fork.pk, actor=SYSTEM, lease_epoch=second.epoch)
    assert done.status == "completed"

"""Twenty reviewers at once, in threads with connections of their own."""

import random
import threading
from collections import Counter, defaultdict
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from tests.branches.test_concurrency import at_once
from tests.inbox.make import make_item
from tests.make import make_person, make_project
from verel_site.access.actors import Actor
from verel_site.inbox.claims import claim_next, release_claim, skip_item
from verel_site.inbox.decisions import decide_item
from verel_site.inbox.models import Claim, Decision, Item

pytestmark = pytest.mark.django_db(transaction=True)

REVIEWERS, ITEMS = 20, 500


class Floor:
    """Who looks at which item now: more than `required` less its answers is a fault."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.looking: dict[UUID, set[int]] = defaultdict(set)
        self.answered: Counter[UUID] = Counter()
        self.crowded: list[UUID] = []

    def enter(self, item: UUID, reviewer: int, required: int) -> None:
        with self.lock:
            self.looking[item].add(reviewer)
            if len(self.looking[item]) + self.answered[item] > required:
                self.crowded.append(item)

    def leave(self, item: UUID, reviewer: int, *, answered: bool) -> None:
        with self.lock:
            self.looking[item].discard(reviewer)
            self.answered[item] += answered


def work_through(actor: Actor, floor: Floor, required: dict[UUID, int], seed: int) -> int:
    """Claims until nothing is left; now and then gives a seat back or skips."""
    assert actor.user_id is not None
    luck = random.Random(seed)
    given = 0
    while (claim := claim_next(actor=actor)) is not None:
        connection.close()  # as at the end of a request: back to the pool
        item, moved = claim.item_id, luck.random()
        floor.enter(item, actor.user_id, required[item])
        # Entered after the claim, left before it ends: a crowd seen here is a crowd in truth.
        if moved < 0.05:
            floor.leave(item, actor.user_id, answered=False)
            release_claim(item_id=item, actor=actor, token=claim.pk)
        elif moved < 0.06:
            floor.leave(item, actor.user_id, answered=False)
            skip_item(item_id=item, actor=actor)
        else:
            floor.leave(item, actor.user_id, answered=True)
            decide_item(item_id=item, actor=actor, answer="yes", digest="01", claim=claim.pk)
            given += 1
        connection.close()
    return given


def test_no_item_is_over_collected_none_is_stuck_and_none_is_shown_to_too_many() -> None:
    project = make_project()
    # SQLite has one writer, and twenty threads wait for each other's files.
    items = [make_item(project.pk, required=2 if n % 5 == 0 else 1) for n in range(ITEMS)]
    required = {item.pk: item.required for item in items}
    people = [make_person(project) for _ in range(REVIEWERS)]
    floor = Floor()
    given = at_once(
        *(
            lambda actor=actor, seed=seed: work_through(actor, floor, required, seed)
            for seed, actor in enumerate(people)
        )
    )
    assert [each for each in given if isinstance(each, Exception)] == []
    assert floor.crowded == []
    counts = Counter(Decision.objects.values_list("item_id", flat=True))
    assert {pk: counts[pk] for pk in required} == required
    assert set(Item.objects.values_list("state", flat=True)) == {Item.State.DONE.value}
    assert not Claim.objects.filter(expires_at__gt=timezone.now()).exists()
    assert sum(each for each in given if isinstance(each, int)) == sum(required.values())


def test_a_seat_that_two_want_at_once_goes_to_one() -> None:
    project = make_project()
    people = [make_person(project) for _ in range(REVIEWERS)]
    item = make_item(project.pk, required=3)
    given = at_once(
        *(
            lambda actor=actor: decide_item(item_id=item.pk, actor=actor, answer="no", digest="01")
            for actor in people
        )
    )
    won = [each for each in given if isinstance(each, Decision)]
    item.refresh_from_db()
    assert (len(won), item.scored, item.state) == (3, 3, Item.State.DONE)
    assert Decision.objects.count() == 3

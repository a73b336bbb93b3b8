from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from tests.make import make_project
from verel_site.outbox import promises
from verel_site.outbox.models import Promise
from verel_site.outbox.promises import (
    LONGEST_RETRY_SECONDS,
    MAX_ATTEMPTS,
    Away,
    post_promise,
    register_deliverer,
    sweep_promises,
    withdraw_promises,
)

pytestmark = pytest.mark.django_db
LATER = timedelta(days=30)


@pytest.fixture
def delivered() -> Iterator[list[UUID]]:
    """What a deliverer of kind `test` was handed."""
    got: list[UUID] = []
    register_deliverer("test", lambda subject, destination: got.append(subject))
    yield got
    del promises._deliverers["test"]


def post(**changes: object) -> Promise:
    facts = {"subject": uuid4(), "due_at": timezone.now(), **changes}
    return post_promise(
        project_id=make_project().pk,
        kind="test",
        destination="there",
        **facts,  # type: ignore[arg-type]
    )


def test_a_due_promise_is_kept_once(delivered: list[UUID]) -> None:
    promise = post()
    assert sweep_promises() == 1
    assert sweep_promises(now=timezone.now() + LATER) == 0
    assert delivered == [promise.subject]


def test_a_withdrawn_promise_never_leaves(delivered: list[UUID]) -> None:
    promise = post(due_at=timezone.now() + timedelta(seconds=5))
    assert withdraw_promises(kind="test", subjects=[promise.subject]) == []
    assert sweep_promises(now=timezone.now() + LATER) == 0
    assert delivered == []


def test_a_failing_destination_is_tried_again_with_growing_waits_and_then_shown() -> None:
    def refuse(subject: UUID, destination: str) -> None:
        raise ConnectionError("nobody there")

    register_deliverer("test", refuse)
    try:
        promise = post()
        waits, now = [], timezone.now()
        for _ in range(MAX_ATTEMPTS):
            assert sweep_promises(now=now) == 0
            promise.refresh_from_db()
            waits.append((promise.due_at - now).total_seconds())
            now = promise.due_at
        assert waits == sorted(waits)
        assert promise.state == Promise.State.FAILED
        assert promise.last_error == "nobody there"
    finally:
        del promises._deliverers["test"]


def test_whoever_is_away_is_waited_for_however_long_and_never_for_long_at_once() -> None:
    answers = [Away("nobody there")] * (5 * MAX_ATTEMPTS)

    def refuse(subject: UUID, destination: str) -> None:
        if answers:
            raise answers.pop()

    register_deliverer("test", refuse)
    try:
        promise, now = post(), timezone.now()
        while answers:
            assert sweep_promises(now=now) == 0
            promise.refresh_from_db()
            assert (promise.state, promise.last_error) == (Promise.State.DUE, "nobody there")
            assert promise.due_at - now <= timedelta(seconds=1.2 * LONGEST_RETRY_SECONDS)
            now = promise.due_at
        assert sweep_promises(now=now) == 1
    finally:
        del promises._deliverers["test"]


def test_a_promise_withdrawn_while_it_failed_stays_withdrawn() -> None:
    def withdraw_and_refuse(subject: UUID, destination: str) -> None:
        # It may have left before it failed, so that it is among those to be told back.
        assert withdraw_promises(kind="test", subjects=[subject]) == [subject]
        raise ConnectionError("nobody there")

    register_deliverer("test", withdraw_and_refuse)
    try:
        promise = post()
        assert sweep_promises() == 0
        promise.refresh_from_db()
        assert promise.state == Promise.State.WITHDRAWN
    finally:
        del promises._deliverers["test"]

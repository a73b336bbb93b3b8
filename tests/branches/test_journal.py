import dataclasses
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branches.domain import terms
from branches.domain.digest import advance_digest
from branches.journal import (
    BranchEnded,
    IdReuse,
    SeqMoved,
    StaleLease,
    UnknownParent,
    append_events,
)
from branches.leases import claim_branch
from branches.models import Branch, Event
from branches.selectors.events import payload_of, read_event
from branches.steering import abandon_branch
from branches.storage.payloads import payload_bytes
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_message,
    make_person,
    make_project,
    make_run,
)
from verel_site.access.actors import SYSTEM, key_actor
from verel_site.kit.refusals import Forbidden, NotFound
from verel_site.kit.strict_json import encode

pytestmark = pytest.mark.django_db


def test_seq_is_gapless_and_positions_rise() -> None:
    _, trunk = make_run()
    append(trunk, make_message("user", "one"), make_message("assistant", "two"))
    append(trunk, make_message("user", "three"))
    rows = list(Event.objects.filter(branch=trunk).order_by("seq"))
    assert [row.seq for row in rows] == [1, 2, 3, 4]
    assert [row.position for row in rows] == sorted({row.position for row in rows})
    assert trunk.head_seq == 4
    assert bytes(trunk.head_digest) == bytes(rows[-1].digest)
    assert bytes(trunk.head_seal) == bytes(rows[-1].seal)


def test_a_repeated_batch_is_answered_with_the_first_rows_and_stores_nothing() -> None:
    _, trunk = make_run()
    drafts = [make_message("user", "one"), make_message("assistant", "two")]
    first = append(trunk, *drafts)
    again = append(trunk, *drafts)
    assert [r.duplicate for r in first.results] == [False, False]
    assert [r._replace(duplicate=False) for r in again.results] == list(first.results)
    assert all(r.duplicate for r in again.results)
    assert Event.objects.filter(branch=trunk).count() == 3


def test_an_event_that_stands_twice_in_one_batch_is_stored_once() -> None:
    _, trunk = make_run()
    draft = make_message("user", "one")
    appended = append(trunk, draft, draft)
    assert [r.duplicate for r in appended.results] == [False, True]
    assert appended.results[0].seq == appended.results[1].seq


@pytest.mark.parametrize(
    "change",
    [
        {"payload": {"content": "other"}},
        {"source": "somebody else"},
        {"type": terms.USER},
        {"task_id": uuid4()},
    ],
)
def test_a_reused_id_with_other_content_refuses_the_whole_batch(change: dict[str, Any]) -> None:
    _, trunk = make_run()
    draft = make_message("assistant", "one")
    append(trunk, draft)
    with pytest.raises(IdReuse) as refusal:
        append(trunk, make_message("user", "new"), dataclasses.replace(draft, **change))
    assert refusal.value.pointer == "/events/1/event_id"
    assert Event.objects.filter(branch=trunk).count() == 2


def test_an_id_is_unique_over_all_branches_of_a_project() -> None:
    project = make_project()
    (_, one), (_, other) = make_run(project), make_run(project)
    draft = make_message("user", "hi")
    append(one, draft)
    with pytest.raises(IdReuse):
        append(other, draft)


def test_the_same_id_may_stand_in_two_projects() -> None:
    (_, one), (_, other) = make_run(), make_run()
    draft = make_message("user", "hi")
    append(one, draft)
    assert not append(other, draft).results[0].duplicate


def test_harness_events_carry_the_digest_on_and_move_the_seal() -> None:
    _, trunk = make_run()
    append(trunk, make_message("user", "hi"))
    digest, seal = bytes(trunk.head_digest), bytes(trunk.head_seal)
    append(trunk, make_draft("harness.task.started", {"n": 1}))
    assert bytes(trunk.head_digest) == digest
    assert bytes(trunk.head_seal) != seal


def test_equal_content_gives_equal_digests_in_different_runs() -> None:
    heads = []
    for _ in range(2):
        _, trunk = make_run()
        append(trunk, make_message("user", "hi"), make_message("assistant", "ho"))
        heads.append(bytes(trunk.head_digest))
    assert heads[0] == heads[1]


def test_the_digest_covers_the_stored_bytes() -> None:
    _, trunk = make_run()
    payload = {"content": "x", "n": 1e22, "z": -0.0, "b": [1, {"k": "ü"}]}
    append(trunk, make_draft(payload=payload))
    row = Event.objects.get(branch=trunk, seq=2)
    stored = payload_bytes(row)
    assert stored == encode(payload)
    assert payload_of(row) == payload
    assert bytes(row.digest) == advance_digest(bytes(32), row.type, stored)


def test_expected_seq_makes_an_append_conditional() -> None:
    _, trunk = make_run()
    with pytest.raises(SeqMoved) as refusal:
        append_events(branch_id=trunk.pk, actor=SYSTEM, drafts=[make_draft()], expected_seq=7)
    assert refusal.value.extra["current_seq"] == 1
    append_events(branch_id=trunk.pk, actor=SYSTEM, drafts=[make_draft()], expected_seq=1)


def test_a_retry_of_a_stored_batch_succeeds_though_its_expected_seq_is_past() -> None:
    _, trunk = make_run()
    drafts = [make_draft()]
    append_events(branch_id=trunk.pk, actor=SYSTEM, drafts=drafts, expected_seq=1)
    again = append_events(branch_id=trunk.pk, actor=SYSTEM, drafts=drafts, expected_seq=1)
    assert again.results[0].duplicate


def test_an_ended_branch_takes_no_event_but_still_answers_repeats() -> None:
    _, trunk = make_run()
    draft = make_message("user", "hi")
    append(trunk, draft)
    abandon_branch(branch_id=trunk.pk, actor=SYSTEM, reason="wrong goal")
    with pytest.raises(BranchEnded):
        append(trunk, make_draft())
    assert append(trunk, draft).results[0].duplicate


def test_a_parent_must_be_an_event_of_the_same_run() -> None:
    project = make_project()
    (_, one), (_, other) = make_run(project), make_run(project)
    foreign = make_message("user", "hi")
    append(other, foreign)
    for parent in (uuid4(), foreign.event_id):
        with pytest.raises(UnknownParent) as refusal:
            append(one, dataclasses.replace(make_draft(), parent_id=parent))
        assert refusal.value.pointer == "/events/0/parent_id"
    first = make_message("user", "hi")
    second = dataclasses.replace(make_draft(), parent_id=first.event_id)
    append(one, first, second)


def test_old_epochs_and_lapsed_leases_write_nothing() -> None:
    _, trunk = make_run()
    fork = make_fork(trunk, 1).branch
    lease = claim_branch(project_id=fork.project_id, actor=SYSTEM, worker="w1", seconds=60)
    assert lease is not None
    assert lease.branch == fork.pk
    write = {"branch_id": fork.pk, "actor": SYSTEM, "drafts": [make_draft()]}
    with pytest.raises(StaleLease):
        append_events(**write)  # type: ignore[arg-type]
    with pytest.raises(StaleLease):
        append_events(**write, lease_epoch=lease.epoch - 1)  # type: ignore[arg-type]
    append_events(**write, lease_epoch=lease.epoch)  # type: ignore[arg-type]
    past = timezone.now() - timedelta(seconds=1)
    Branch.objects.filter(pk=fork.pk).update(lease_expires_at=past)
    write["drafts"] = [make_draft()]
    with pytest.raises(StaleLease):
        append_events(**write, lease_epoch=lease.epoch)  # type: ignore[arg-type]
    again = claim_branch(project_id=fork.project_id, actor=SYSTEM, worker="w2", seconds=60)
    assert again is not None
    assert again.epoch == lease.epoch + 1


def test_who_may_not_see_the_branch_is_told_that_it_does_not_exist() -> None:
    run, trunk = make_run()
    stranger = make_person(make_project())
    with pytest.raises(NotFound):
        append_events(branch_id=trunk.pk, actor=stranger, drafts=[make_draft()])
    reader = key_actor(key_id="k", name="k", project_id=run.project_id, scopes=["context:read"])
    with pytest.raises(Forbidden):
        append_events(branch_id=trunk.pk, actor=reader, drafts=[make_draft()])


def test_a_large_binary_part_is_kept_out_of_line() -> None:
    _, trunk = make_run()
    data = "QUJD" * 4000
    part = {"kind": "image", "mime": "image/png", "data": data}
    draft = make_draft(terms.USER, {"content": [part, {"kind": "text", "text": "look"}]})
    append(trunk, draft)
    row = read_event(actor=SYSTEM, event_id=draft.event_id)
    kept = payload_of(row)["content"][0]
    assert "data" not in kept
    assert kept["size"] == 12000
    assert append(trunk, draft).results[0].duplicate


payloads = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner),
        max_leaves=5,
    ),
    max_size=3,
)  # fmt: skip


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(st.lists(payloads, min_size=1, max_size=4), min_size=1, max_size=4),
    repeats=st.lists(st.integers(0, 3), max_size=3),
)
def test_however_batches_come_and_repeat_the_journal_is_one_whole_chain(
    batches: list[list[dict[str, Any]]], repeats: list[int]
) -> None:
    _, trunk = make_run()
    made = [[make_draft("data.percept", payload) for payload in batch] for batch in batches]
    order = list(range(len(made))) + [index for index in repeats if index < len(made)]
    for index in order:
        append(trunk, *made[index])
    rows = list(Event.objects.filter(branch=trunk).order_by("seq"))
    told = [draft for batch in made for draft in batch]
    assert [row.event_id for row in rows[1:]] == [draft.event_id for draft in told]
    assert [row.seq for row in rows] == list(range(1, len(told) + 2))
    digest = bytes(32)
    for row in rows:
        digest = advance_digest(digest, row.type, payload_bytes(row))
        assert bytes(row.digest) == digest
    assert digest == bytes(trunk.head_digest)

"""Triplets of generated trees: forks of forks at any point, any winner over any of the others."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branches.datasets import make_dataset
from branches.domain import terms
from branches.domain.admission import Admission
from branches.domain.terms import Granularity
from branches.journal import Draft
from branches.merges import merge_branches, revert_merge
from branches.models import Branch, Merge, Triplet
from branches.selectors.datasets import HoldsWithdrawn, open_file
from branches.selectors.lineage import iter_lineage
from branches.selectors.listings import list_triplets
from branches.snapshots import NothingFits, NothingToExport
from branches.storage.pairs import COLUMNS, column_bytes, column_json
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_message,
    make_person,
    make_project,
    make_run,
)
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.outbox.models import Promise
from verel_site.outbox.promises import sweep_promises

pytestmark = pytest.mark.django_db

# Few words, so that sides are often equal; a cut result, so that some are truncated.
SAID = st.sampled_from(["u:Go on.", "a:Yes.", "a:No.", "a:Wait.", "c:ls", "x:cut"])
STEPS = st.lists(SAID, max_size=4)


@dataclass
class Tree:
    project: Project
    reader: Actor
    branches: list[Branch] = field(default_factory=list)


def say(branch: Branch, words: list[str]) -> None:
    if words:
        append(branch, *(draft_of(word, number) for number, word in enumerate(words)))


def draft_of(word: str, number: int) -> Draft:
    kind, _, text = word.partition(":")
    if kind == "c":
        call = {"call_id": f"c{number}", "name": "Bash", "arguments": {"command": text}}
        return make_draft(terms.TOOL_CALL, call)
    if kind == "x":
        cut = {"call_id": "none", "content": text, "truncated": True}
        return make_draft(terms.TOOL_RESULT, cut)
    return make_message("user" if kind == "u" else "assistant", text)


def grow(data: st.DataObject) -> Tree:
    """A trunk and one to four more branches, each forked somewhere of any before it, which may
    have run on after that."""
    project = make_project()
    project.override_in_prompt = data.draw(st.booleans(), label="override in prompt")
    project.save()
    tree = Tree(project, make_person(project))
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose"))
    say(trunk, data.draw(STEPS))
    tree.branches.append(trunk)
    for _ in range(data.draw(st.integers(1, 4), label="forks")):
        parent = data.draw(st.sampled_from(tree.branches))
        at = data.draw(st.integers(2 if parent.parent_id is None else 1, parent.head_seq))
        fork = make_fork(parent, at, data.draw(st.sampled_from(["Dose = 50mg", "Mind the tests."])))
        say(fork.branch, data.draw(STEPS))
        tree.branches.append(fork.branch)
        say(parent, data.draw(st.lists(SAID, max_size=1)))
    for branch in tree.branches:
        branch.refresh_from_db()
    return tree


def merge_some(tree: Tree, data: st.DataObject) -> Merge:
    order = data.draw(st.permutations(tree.branches))
    winner, losers = order[0], order[1 : 1 + data.draw(st.integers(1, len(order) - 1))]
    admission = Admission(winner.pk, bytes(winner.head_digest), "pass", True, 1)
    return merge_branches(
        winner_id=winner.pk,
        loser_ids=[loser.pk for loser in losers],
        actor=SYSTEM,
        admission=admission,
        granularity=data.draw(st.sampled_from(Granularity)),
    )


def parts(triplet: Triplet) -> dict[str, Any]:
    return {column: column_json(triplet, column) for column in COLUMNS if column != "tools"}


def texts(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What people and the agent said; a result that no call waits for is told as a user's."""
    said = [(m["role"], m["content"]) for m in messages if m["role"] in ("user", "assistant")]
    return [told for told in said if not str(told[1]).startswith("[result of ")]


def check_prompt(triplet: Triplet, tree: Tree) -> None:
    """It is the shared prefix to the last event that both have, proven by the digest on both."""
    winner, loser = triplet.chosen_branch, triplet.rejected_branch
    told = [list(iter_lineage(branch)) for branch in (winner, loser)]
    step = triplet.metadata["fork_step"]
    ours, theirs = ([event.event_id for event in events] for events in told)
    assert ours[:step] == theirs[:step]
    assert ours[step : step + 1] != theirs[step : step + 1]
    assert {events[step - 1].digest.hex() for events in told} == {triplet.metadata["prefix_digest"]}
    prompt = parts(triplet)["prompt"]
    assert sha256(column_bytes(triplet, "prompt")).hexdigest() == triplet.prompt_digest
    roles = {terms.USER: "user", terms.ASSISTANT: "assistant"}
    shared = [
        (roles[event.type], event.payload["content"])
        for event in told[0][:step]
        if event.type in roles
    ]
    plain = [message for message in texts(prompt) if message[1] is not None]
    assert plain[: len(shared)] == shared
    # What comes after it was told to both sides before they decided.
    assert {role for role, _ in plain[len(shared) :]} <= {"user"}
    frames = sum("PRIORITY INTERRUPT" in str(message["content"]) for message in prompt)
    common = sum(event.type == terms.OVERRIDE for event in told[0][:step])
    own = triplet.chosen_branch.events.filter(type=terms.OVERRIDE).exists()
    assert common <= frames <= common + (tree.project.override_in_prompt and own)


def check_sides(triplet: Triplet) -> None:
    said = parts(triplet)
    assert said["chosen"] != said["rejected"]
    for side in ("chosen", "rejected"):
        assert any(message["role"] == "assistant" for message in said[side])
        assert "PRIORITY INTERRUPT" not in json.dumps(said[side])
    step = triplet.metadata["fork_step"]
    for branch in (triplet.chosen_branch, triplet.rejected_branch):
        after = list(iter_lineage(branch, after_step=step))
        assert not any(event.payload.get("truncated") for event in after)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_each_loser_gives_one_sound_triplet_or_a_reason_and_none_outlives_a_revert(
    data: st.DataObject,
) -> None:
    tree = grow(data)
    merge = merge_some(tree, data)
    related = merge.triplets.select_related("chosen_branch", "rejected_branch")
    triplets = list(related.order_by("number"))
    losers = list(merge.losers.all())
    assert len(triplets) == len(losers) - sum(bool(loser.refused) for loser in losers)
    assert {t.rejected_branch_id for t in triplets} == {
        loser.branch_id for loser in losers if not loser.refused
    }
    for triplet in triplets:
        check_prompt(triplet, tree)
        check_sides(triplet)
    Merge.objects.filter(pk=merge.pk).update(undo_until=timezone.now() - timedelta(seconds=1))
    made = make_dataset(project_id=tree.project.pk, actor=SYSTEM) if triplets else None
    revert_merge(merge_id=merge.pk, actor=SYSTEM, reason="wrong side")
    check_nothing_left(tree)
    if made is not None:
        assert made.manifest["looked_at"] == len(triplets)
        with pytest.raises(HoldsWithdrawn):
            open_file(actor=tree.reader, dataset_id=made.pk, name="")


def check_nothing_left(tree: Tree) -> None:
    project = tree.project
    listed = list_triplets(actor=tree.reader, project=project, after=0, limit=100)
    assert not listed.rows
    with pytest.raises((NothingToExport, NothingFits)):
        make_dataset(project_id=project.pk, actor=SYSTEM)
    due = Promise.objects.filter(project=project)
    assert set(due.values_list("state", flat=True)) <= {"withdrawn"}
    assert sweep_promises(now=timezone.now() + timedelta(minutes=1)) == 0

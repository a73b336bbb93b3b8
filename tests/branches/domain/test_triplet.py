"""Training pairs: what enters them, what never does, and when there is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branches.domain.context import NO_RESULT, render_context
from branches.domain.events import StoredEvent, compact_json
from branches.domain.formats import trl_dpo
from branches.domain.formats.pair import Pair, Unfit
from branches.domain.override import build_frame
from branches.domain.triplet import (
    Granularity,
    RefusalReason,
    Refused,
    TripletDraft,
    build_triplet,
)
from branches.domain.wire import Json
from tests.branches.domain.make_events import (
    FORK,
    assistant,
    call,
    lineages,
    make_event,
    number,
    override,
    patch,
    result,
    system,
    thought,
    user,
)

SHARED = [system("You are a coding agent."), user("Fix clamp()")]
WINNER = [
    patch("Dose", "50mg"),
    override("Leave the tests alone."),
    thought("Units."),
    assistant(""),
    call("c1", "exec_command", {"cmd": "cat clamp.py"}),
    result("c1", "def clamp(x, lo, hi): return max(lo, x)"),
    assistant("Bounded both sides."),
]
LOSER = [
    assistant("", ("c2", "write_file", {"path": "clamp.py", "text": "pass"})),
    result("c2", "ok"),
    assistant("Done."),
]


def build(
    winner: list[StoredEvent],
    loser: list[StoredEvent],
    granularity: Granularity = "decision",
    *,
    shared: list[StoredEvent] = SHARED,
    override_in_prompt: bool = False,
) -> TripletDraft | Refused:
    return build_triplet(
        shared=number(shared),
        winner=number(winner, branch=FORK),
        loser=number(loser),
        granularity=granularity,
        override_in_prompt=override_in_prompt,
    )


def drafted(*args: Any, **more: Any) -> TripletDraft:
    draft = build(*args, **more)
    assert isinstance(draft, TripletDraft)
    return draft


def row_of(draft: TripletDraft, metadata: Json | None = None, tools: Any = ()) -> Json:
    pair = Pair(draft.prompt, draft.chosen, draft.rejected, tools, metadata or {})
    (row,) = trl_dpo.rows(pair)
    return row


def test_a_decision_is_the_first_assistant_message_with_its_calls() -> None:
    draft = drafted(WINNER, LOSER)
    assert draft.prompt == [
        {"role": "system", "content": "You are a coding agent."},
        {"role": "user", "content": "Fix clamp()"},
    ]
    arguments = '{"cmd":"cat clamp.py"}'
    assert draft.chosen == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "exec_command", "arguments": arguments},
                }
            ],
        }
    ]
    assert [c["id"] for c in draft.rejected[0]["tool_calls"]] == ["c2"]
    assert len(draft.rejected) == 1


def test_a_trajectory_is_every_message_after_the_divergence() -> None:
    draft = drafted(WINNER, LOSER, "trajectory")
    assert [m["role"] for m in draft.chosen] == ["assistant", "assistant", "tool", "assistant"]
    assert [m["role"] for m in draft.rejected] == ["assistant", "tool", "assistant"]


def test_a_final_is_the_last_assistant_message() -> None:
    draft = drafted(WINNER, LOSER, "final")
    assert draft.chosen == [{"role": "assistant", "content": "Bounded both sides."}]
    assert draft.rejected == [{"role": "assistant", "content": "Done."}]


def test_a_side_without_words_ends_with_its_last_calls() -> None:
    draft = drafted([call("c1", "Bash", {}), result("c1", "x")], LOSER, "final")
    assert [c["id"] for c in draft.chosen[0]["tool_calls"]] == ["c1"]


@pytest.mark.parametrize("granularity", ["decision", "trajectory", "final"])
def test_the_row_has_the_shape_that_trainers_load(granularity: Granularity) -> None:
    tool = {"type": "function", "function": {"name": "x", "parameters": {"type": "object"}}}
    row = row_of(drafted(WINNER, LOSER, granularity), {"schema": "verel.dpo/1"}, [tool])
    assert list(row) == ["prompt", "chosen", "rejected", "tools", "metadata"]
    assert json.loads(row["tools"]) == [tool]
    assert json.loads(row["metadata"]) == {"schema": "verel.dpo/1"}


def test_a_row_of_a_trajectory_names_tools_and_carries_arguments_as_objects() -> None:
    winner = [event for event in WINNER if event.type != "data.thought"]
    row = row_of(drafted(winner, LOSER, "trajectory"))
    assert row["chosen"] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "exec_command", "arguments": {"cmd": "cat clamp.py"}},
                }
            ],
        },
        {
            "role": "tool",
            "name": "exec_command",
            "tool_call_id": "c1",
            "content": "def clamp(x, lo, hi): return max(lo, x)",
        },
        {"role": "assistant", "content": "Bounded both sides."},
    ]


def test_a_row_takes_text_parts_as_one_text_and_refuses_what_is_no_text() -> None:
    texts = [{"kind": "text", "text": "See"}, {"kind": "text", "text": "this."}]
    row = row_of(drafted([assistant(texts)], [call("c1", "Bash", {})], shared=[user(texts)]))
    assert row["prompt"] == [{"role": "user", "content": "See\nthis."}]
    assert row["rejected"][0]["content"] == ""
    image = [*texts, {"kind": "image", "mime": "image/png", "data": "aGk="}]
    with pytest.raises(Unfit, match="an image"):
        row_of(drafted([assistant("Yes.")], [assistant("No.")], shared=[user(image)]))


def test_the_override_enters_the_prompt_only_where_the_project_says_so() -> None:
    frame = {"role": "system", "content": build_frame(directive="Leave the tests alone.")}
    without, with_it = drafted(WINNER, LOSER), drafted(WINNER, LOSER, override_in_prompt=True)
    assert with_it.prompt == [*without.prompt, frame]
    assert (with_it.chosen, with_it.rejected) == (without.chosen, without.rejected)
    assert with_it.prompt_digest != without.prompt_digest


def test_a_later_override_of_the_winner_does_not_enter_the_prompt() -> None:
    late = [assistant("First."), override("Stop."), assistant("Second.")]
    draft = drafted(late, LOSER, "trajectory", override_in_prompt=True)
    assert draft.prompt == drafted(late, LOSER).prompt
    assert [m["content"] for m in draft.chosen] == ["First.", "Second."]


def test_an_override_in_the_shared_part_stays_in_the_prompt() -> None:
    draft = drafted(WINNER, LOSER, shared=[*SHARED, override("Be brief.")])
    assert draft.prompt[-1]["content"] == build_frame(directive="Be brief.")


def test_a_call_after_the_divergence_does_not_change_the_prompt() -> None:
    shared = [*SHARED, assistant("Let me see.")]
    draft = drafted([call("c1", "Bash", {})], [call("c2", "Edit", {})], shared=shared)
    assert draft.prompt[-1] == {"role": "assistant", "content": "Let me see."}
    assert draft.chosen[0]["content"] is None
    assert [c["id"] for c in draft.chosen[0]["tool_calls"]] == ["c1"]


def test_a_call_left_open_by_the_shared_part_is_answered_in_a_decisions_prompt() -> None:
    shared = [*SHARED, assistant("Look.", ("c0", "Bash", {}))]
    winner = [override("Stop."), assistant("Stopped.")]
    loser = [call("c0", "Bash", {}), result("c0", "files"), assistant("Found.")]
    decision = drafted(winner, loser, shared=shared)
    assert decision.prompt[-1]["content"] == NO_RESULT
    assert decision.rejected == [{"role": "assistant", "content": "Found."}]
    trajectory = drafted(winner, loser, "trajectory", shared=shared)
    assert trajectory.prompt[-1]["content"] == "Look."
    assert [m["content"] for m in trajectory.chosen] == [NO_RESULT, "Stopped."]
    assert [m["content"] for m in trajectory.rejected] == ["files", "Found."]
    row = row_of(trajectory)
    assert row["rejected"][0]["name"] == "Bash"


@pytest.mark.parametrize(
    ("shared", "winner", "loser", "reason"),
    [
        ([patch("x", "1")], WINNER, LOSER, RefusalReason.EMPTY_PROMPT),
        (SHARED, [override("Stop.")], LOSER, RefusalReason.EMPTY_WINNER),
        (SHARED, [thought("Hm.")], LOSER, RefusalReason.EMPTY_WINNER),
        (SHARED, WINNER, [assistant("")], RefusalReason.EMPTY_LOSER),
        (SHARED, WINNER, [user("Hello?")], RefusalReason.EMPTY_LOSER),
        (SHARED, [assistant("Done.")], LOSER[2:], RefusalReason.EQUAL_SIDES),
        (
            SHARED,
            [call("x", "Bash", {"a": 1})],
            [call("y", "Bash", {"a": 1})],
            RefusalReason.EQUAL_SIDES,
        ),
    ],
)
def test_no_triplet_without_two_different_answers_to_one_prompt(
    shared: list[StoredEvent],
    winner: list[StoredEvent],
    loser: list[StoredEvent],
    reason: RefusalReason,
) -> None:
    assert build(winner, loser, shared=shared) == Refused(reason)


def test_no_triplet_of_a_truncated_side() -> None:
    cut = make_event("data.tool.result", {"call_id": "c1", "content": "…", "truncated": True})
    assert build([*WINNER, cut], LOSER) == Refused(RefusalReason.TRUNCATED_WINNER)
    assert build(WINNER, [*LOSER, cut]) == Refused(RefusalReason.TRUNCATED_LOSER)


def test_ids_of_calls_do_not_make_trajectories_differ() -> None:
    def side(call_id: str) -> list[StoredEvent]:
        return [call(call_id, "Bash", {}), result(call_id, "ok"), assistant("Done.")]

    assert build(side("a"), side("b"), "trajectory") == Refused(RefusalReason.EQUAL_SIDES)


@settings(max_examples=80)
@given(
    lineages,
    lineages,
    lineages,
    st.sampled_from(["decision", "trajectory", "final"]),
    st.booleans(),
)
def test_drafts_share_their_prompt_with_the_context_and_hold_no_override_of_a_side(
    shared: list[StoredEvent],
    winner: list[StoredEvent],
    loser: list[StoredEvent],
    granularity: Granularity,
    override_in_prompt: bool,
) -> None:
    draft = build(winner, loser, granularity, shared=shared, override_in_prompt=override_in_prompt)
    if isinstance(draft, Refused):
        assert str(draft.reason).endswith(".")
        return
    context = render_context(shared, format="openai").messages
    assert compact_json(draft.prompt[: len(context)]) == compact_json(context)
    for side in (draft.chosen, draft.rejected):
        assert not any("PRIORITY INTERRUPT" in compact_json(message) for message in side)
        assert any(message["role"] == "assistant" for message in side)
    told = (*draft.prompt, *draft.chosen, *draft.rejected)
    parts = [part for m in told if isinstance(m["content"], list) for part in m["content"]]
    if any(part["type"] != "text" for part in parts):
        with pytest.raises(Unfit):
            row_of(draft)
        return
    row = row_of(draft, {"n": 1})
    for part in ("prompt", "chosen", "rejected"):
        assert all(isinstance(message["content"], str) for message in row[part])
    assert json.loads(compact_json(row)) == row


@pytest.mark.samples
def test_a_row_has_the_keys_of_the_sample() -> None:
    sample = Path(__file__).parents[4] / "shared" / "samples" / "trl_dpo.jsonl"
    if not sample.exists():
        pytest.skip("the folder of samples is not beside the checkout")
    with sample.open() as lines:
        expected = json.loads(next(lines))
    winner = [event for event in WINNER if event.type != "data.thought"]
    draft = drafted(winner, LOSER, "trajectory")
    row = row_of(draft, json.loads(expected["metadata"]), json.loads(expected["tools"]))
    assert row == expected


def test_what_both_sides_were_told_before_they_spoke_ends_the_prompt() -> None:
    told = user("Is it safe?")
    draft = drafted([told, assistant("Yes.")], [told, assistant("No.")])
    assert draft.prompt[-1] == {"role": "user", "content": "Is it safe?"}
    assert draft.chosen == [{"role": "assistant", "content": "Yes."}]


def test_sides_that_answer_different_messages_share_no_prompt() -> None:
    outcome = build(
        [user("Is it safe?"), assistant("Yes.")], [user("Is it fast?"), assistant("No.")]
    )
    assert outcome == Refused(RefusalReason.OTHER_PROMPT)

"""Two sides, row by row; and words and lines that differ."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branches.domain import alignment
from branches.domain.alignment import (
    DiffLine,
    Row,
    Step,
    align_suffixes,
    edit_of,
    final_step,
    line_diff,
    mark_words,
    visible_steps,
)
from branches.domain.events import Call, StoredEvent
from tests.branches.domain.make_events import (
    assistant,
    call,
    lineages,
    make_event,
    number,
    override,
    patch,
    result,
    thought,
    user,
)

words = st.text(st.sampled_from("ab. \n(é1"), max_size=30)


def joined(spans: tuple[tuple[bool, str], ...]) -> str:
    return "".join(text for _, text in spans)


def shape(rows: tuple[Row, ...]) -> list[tuple[str, str | None, str | None, int]]:
    return [
        (
            row.rel,
            row.left.text if row.left else None,
            row.right.text if row.right else None,
            row.count,
        )
        for row in rows
    ]


def unfolded(rows: tuple[Row, ...], side: str) -> list[Step]:
    steps: list[Step] = []
    for row in rows:
        pairs = row.folded or [(row.left, row.right)]
        shown = [pair[0 if side == "left" else 1] for pair in pairs]
        steps += [step for step in shown if step]
    return steps


# Steps


def test_a_reader_sees_messages_thoughts_calls_results_overrides_and_approvals() -> None:
    steps = visible_steps(
        number(
            [
                make_event("harness.branch.forked"),
                patch("x", "1"),
                override("Stop."),
                make_event("data.usage"),
                user("hi"),
                thought("Hm."),
                assistant("Look.", ("c1", "Bash", {"cmd": "ls"})),
                call("c1", "Bash", {"cmd": "ls"}),
                result("c1", "a"),
                assistant("", ("c2", "Bash", {})),
                make_event(
                    "harness.approval.requested", {"action": "push", "description": "May I?"}
                ),
                make_event("harness.approval.resolved", {"answer": "respond", "text": "No."}),
                assistant("Done."),
            ]
        )
    )
    assert [(step.kind, step.name, step.text) for step in steps] == [
        ("override", "", "Stop."),
        ("user", "", "hi"),
        ("thought", "", "Hm."),
        ("assistant", "", "Look."),
        ("call", "Bash", '{"cmd":"ls"}'),
        ("result", "", "a"),
        ("call", "Bash", "{}"),
        ("approval", "push", "May I?"),
        ("approval", "", "respond No."),
        ("assistant", "", "Done."),
    ]
    assert [step.text for step in steps if step.final] == ["Done."]


def test_the_final_step_is_the_last_assistant_message_with_words() -> None:
    events = number([assistant("One."), assistant("Two."), assistant("", ("c1", "Bash", {}))])
    found = final_step(events)
    assert found is not None
    assert (found.text, found.event) == ("Two.", events[1])
    assert final_step(number([thought("Hm."), call("c1", "Bash", {})])) is None


@pytest.mark.parametrize(
    ("arguments", "edit"),
    [
        ({"file_path": "a.py", "old_string": "x", "new_string": "y"}, ("a.py", "x", "y")),
        ({"path": "a.py", "old": "", "new": "y"}, ("a.py", "", "y")),
        ('{"path": "a.py", "old": "x", "new": "y"}', ("a.py", "x", "y")),
        ({"path": "a.py", "content": "y"}, None),
        ({"path": 3, "old": "x", "new": "y"}, None),
        ("no json", None),
        (None, None),
    ],
)
def test_an_edit_is_read_from_a_calls_arguments(
    arguments: Any, edit: tuple[str, str, str] | None
) -> None:
    assert edit_of(Call("c", "Edit", arguments)) == edit


def test_what_is_no_call_is_no_edit() -> None:
    assert edit_of(None) is None


# Rows


def test_the_comparison_of_the_design_comes_out_as_drawn() -> None:
    left = [
        thought("typo"),
        call("e", "Edit", {"path": "tests"}),
        *(call(f"r{n}", "Read", {"n": n}) for n in range(6)),
        result("r", "214 passed in 3.91 s"),
        assistant("I updated the test."),
    ]
    right = [
        override("Do not edit the tests."),
        assistant("Understood."),
        thought("units"),
        call("e", "Edit", {"path": "src"}),
        *(call(f"q{n}", "Read", {"n": n}) for n in range(6)),
        result("q", "214 passed in 4.02 s"),
        call("m", "Bash", {"cmd": "mypy"}),
        result("m", "No issues"),
        assistant("The cap is 50 mg."),
    ]
    assert shape(align_suffixes(number(left), number(right))) == [
        ("right", None, "Do not edit the tests.", 1),
        ("right", None, "Understood.", 1),
        ("differs", "typo", "units", 1),
        ("differs", '{"path":"tests"}', '{"path":"src"}', 1),
        ("same", '{"n":0}', '{"n":0}', 6),
        ("differs", "214 passed in 3.91 s", "214 passed in 4.02 s", 1),
        ("right", None, '{"cmd":"mypy"}', 1),
        ("right", None, "No issues", 1),
        ("differs", "I updated the test.", "The cap is 50 mg.", 1),
    ]


def test_fewer_than_three_same_rows_are_not_folded() -> None:
    side = number([user("a"), user("b")])
    assert [row.count for row in align_suffixes(side, side)] == [1, 1]


def test_the_final_answer_is_never_folded_away() -> None:
    side = number([user("a"), user("b"), user("c"), assistant("Done.")])
    assert shape(align_suffixes(side, side)) == [
        ("same", "a", "a", 3),
        ("same", "Done.", "Done.", 1),
    ]


def test_a_final_answer_is_not_paired_with_a_remark_on_the_way() -> None:
    rows = align_suffixes(
        number([assistant("Answer A")]), number([assistant("A remark"), assistant("Answer B")])
    )
    assert shape(rows) == [
        ("right", None, "A remark", 1),
        ("differs", "Answer A", "Answer B", 1),
    ]


def test_a_call_is_paired_with_a_call_of_the_same_tool_where_there_is_one() -> None:
    rows = align_suffixes(
        number([call("1", "Edit", {"n": 1})]),
        number([call("2", "Bash", {"n": 2}), call("3", "Edit", {"n": 3})]),
    )
    assert shape(rows) == [
        ("right", None, '{"n":2}', 1),
        ("differs", '{"n":1}', '{"n":3}', 1),
    ]


def test_long_sides_are_compared_at_both_ends_and_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alignment, "MAX_STEPS", 4)
    left = number([user("same"), *(user(f"l{n}") for n in range(9)), assistant("Done.")])
    right = number([user("same"), user("r"), assistant("Done.")])
    rows = align_suffixes(left, right)
    (gap,) = [row for row in rows if row.truncated]
    assert (gap.left, gap.right, gap.count) == (None, None, 9 - 4)
    assert shape(rows)[0] == ("same", "same", "same", 1)
    assert shape(rows)[-1] == ("same", "Done.", "Done.", 1)


@pytest.mark.parametrize("letters", ["a", "ab", "abcdefgh"])
def test_repetitive_sides_take_no_cubic_time(letters: str) -> None:
    # Cubic work on these sizes would take hours, so a generous limit is proof enough.
    left = number([user(letters[n * n % 7 % len(letters)]) for n in range(1999)])
    right = number([user(letters[n * 3 % 5 % len(letters)]) for n in range(1998)])
    begun = time.process_time()
    align_suffixes(left, right)
    assert time.process_time() - begun < 20


@settings(max_examples=60)
@given(lineages, lineages)
def test_rows_keep_every_step_of_both_sides_in_order(
    left: list[StoredEvent], right: list[StoredEvent]
) -> None:
    rows = align_suffixes(left, right)
    assert unfolded(rows, "left") == list(visible_steps(left))
    assert unfolded(rows, "right") == list(visible_steps(right))
    for row in rows:
        match row.rel:
            case "same":
                assert row.left is not None
                assert row.right is not None
                assert row.left.key == row.right.key
            case "differs":
                assert row.left is not None
                assert row.right is not None
                assert row.left.kind == row.right.kind
            case "left":
                assert row.right is None
            case "right":
                assert row.left is None


@given(lineages)
def test_a_side_is_the_same_as_itself(events: list[StoredEvent]) -> None:
    assert {row.rel for row in align_suffixes(events, events)} <= {"same"}


# Words


def test_differing_words_are_marked_on_both_sides() -> None:
    assert mark_words("214 passed in 3.91 s", "214 passed in 4.02 s") == (
        ((False, "214 passed in "), (True, "3.91"), (False, " s")),
        ((False, "214 passed in "), (True, "4.02"), (False, " s")),
    )


def test_blanks_between_differing_words_differ_too() -> None:
    assert mark_words("one two", "three four") == (((True, "one two"),), ((True, "three four"),))


def test_a_text_of_too_many_words_differs_as_a_whole() -> None:
    long = "word " * 5_000
    assert mark_words(long, long + "more") == (((True, long),), ((True, long + "more"),))
    assert mark_words(long, long) == (((False, long),), ((False, long),))


@given(words, words)
def test_spans_give_back_their_text(a: str, b: str) -> None:
    spans_a, spans_b = mark_words(a, b)
    assert (joined(spans_a), joined(spans_b)) == (a, b)
    assert all(text for _, text in (*spans_a, *spans_b))
    if a == b:
        assert not any(differs for differs, _ in spans_a)
    else:
        assert any(differs for differs, _ in (*spans_a, *spans_b))


# Lines


def test_a_diff_marks_the_words_of_changed_lines() -> None:
    old = "def bolus_cap(patient):\n    return clamp(dose, 0, cap)"
    new = (
        "def bolus_cap(patient):\n    mg = dose_ml * concentration\n    return clamp(mg, 0, CAP_MG)"
    )
    assert line_diff(old, new) == (
        DiffLine(" ", 1, 1, ((False, "def bolus_cap(patient):"),)),
        DiffLine(
            "-",
            2,
            None,
            (
                (False, "    return clamp("),
                (True, "dose"),
                (False, ", 0, "),
                (True, "cap"),
                (False, ")"),
            ),
        ),
        DiffLine("+", None, 2, ((False, "    "), (True, "mg = dose_ml * concentration"))),
        DiffLine(
            "+",
            None,
            3,
            (
                (False, "    return clamp("),
                (True, "mg"),
                (False, ", 0, "),
                (True, "CAP_MG"),
                (False, ")"),
            ),
        ),
    )


def test_an_empty_text_has_no_lines() -> None:
    assert line_diff("", "") == ()
    assert [line.op for line in line_diff("", "a\nb")] == ["+", "+"]


@pytest.mark.parametrize("size", [199, 3_000])
def test_a_repetitive_diff_takes_no_cubic_time(size: int) -> None:
    old = "\n".join("ab"[n * n % 7 % 2] for n in range(size))
    new = "\n".join("ba"[n * n % 5 % 2] for n in range(size))
    begun = time.process_time()
    line_diff(old, new)
    assert time.process_time() - begun < 20


@given(st.lists(words, max_size=6).map("\n".join), st.lists(words, max_size=6).map("\n".join))
def test_a_diff_gives_back_both_texts_and_numbers_their_lines(old: str, new: str) -> None:
    lines = line_diff(old, new)
    before = [line for line in lines if line.op != "+"]
    after = [line for line in lines if line.op != "-"]
    assert "\n".join(joined(line.spans) for line in before) == old
    assert "\n".join(joined(line.spans) for line in after) == new
    assert [line.old_no for line in before] == list(range(1, len(before) + 1))
    assert [line.new_no for line in after] == list(range(1, len(after) + 1))

from typing import Any

import pytest

from verdicts.domain.changes import changed_files
from verdicts.domain.labels import Choice, pick_sides


@pytest.mark.parametrize(
    ("name", "arguments", "paths"),
    [
        ("edit_file", {"path": "./tests/test_a.py"}, {"tests/test_a.py"}),
        ("Edit", {"file_path": "limits.py", "old_string": "a"}, {"limits.py"}),
        ("apply_patch", {"input": "*** Update File: a.py\n*** Add File: b.py"}, {"a.py", "b.py"}),
        ("apply_patch", {"patch": "--- a/a.py\n+++ b/a.py\n"}, {"a.py"}),
        ("str_replace_editor", {"command": "view", "path": "a.py"}, set()),
        ("read_file", {"path": "a.py"}, set()),
        ("edit_file", {"path": 7}, set()),
        ("edit_file", {}, set()),
    ],
)
def test_only_tools_that_write_change_files(
    name: str, arguments: dict[str, Any], paths: set[str]
) -> None:
    assert changed_files([(name, arguments)]) == paths


def test_a_choice_names_the_winner_and_the_loser() -> None:
    assert pick_sides(Choice.LEFT, left="a", right="b") == ("a", "b")
    assert pick_sides(Choice.RIGHT, left="a", right="b") == ("b", "a")
    assert pick_sides(Choice.EQUAL, left="a", right="b") is None
    assert pick_sides(Choice.BOTH_BAD, left="a", right="b") is None

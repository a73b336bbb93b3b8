import re
from itertools import pairwise

import pytest

from branches.domain.lanes import (
    COLUMNS,
    Span,
    Start,
    TreeRow,
    assign_lanes,
    branch_cell,
    lane_cell,
    walk_tree,
)

# A trunk forked twice after position 30, its first fork forked again after 60 and merged back at
# 130. Positions have gaps, as those of a journal that several runs share.
SPANS = {
    "main": Span(lane=0, first=10, last=100, end="abandoned", root=True),
    "fix": Span(lane=1, first=30, last=170, end="running"),
    "ask": Span(lane=2, first=30, last=120, end="stasis"),
    "caps": Span(lane=3, first=60, last=110, end="merged", merged_at=130),
}


def draw(at: int, branch: str, kind: str = "call") -> str:
    return lane_cell(at=at, branch=branch, kind=kind, spans=SPANS)


def paths(cell: str, css: str = "lane") -> set[tuple[str, str]]:
    """(hue, path) of every line of this class."""
    return set(re.findall(rf'<path class="{css}" data-lane="(\d)" d="([^"]+)"/>', cell))


def test_a_fork_leaves_its_node_to_the_right_and_turns_down() -> None:
    lines = paths(draw(30, "main"))
    assert ("1", "M14 18H23Q28 18 28 23V28") in lines
    assert ("2", "M14 14H37Q42 14 42 19V28") in lines


def test_of_two_forks_the_farther_leaves_higher_so_that_none_cross() -> None:
    starts = {
        hue: int(re.findall(r"M14 (\d+)H", d)[0]) for hue, d in paths(draw(30, "main")) if "Q" in d
    }
    assert starts["2"] < starts["1"]


def test_a_merge_comes_down_and_turns_into_the_diamond() -> None:
    cell = draw(130, "fix", "merge")
    assert ("3", "M56 0V9Q56 14 51 14H28") in paths(cell)
    assert 'class="node solid" data-lane="1" d="M28 7.5L34.5 14L28 20.5L21.5 14Z"' in cell


def test_a_merge_into_a_lane_further_right_turns_right() -> None:
    spans = {
        "main": Span(lane=0, first=1, last=5, merged_at=9, root=True),
        "fix": Span(lane=1, first=3, last=9),
    }
    cell = lane_cell(at=9, branch="fix", kind="merge", spans=spans)
    assert ("0", "M14 0V9Q14 14 19 14H28") in paths(cell)


@pytest.mark.parametrize(
    ("at", "branch", "passing"),
    [
        (10, "main", set()),
        (30, "main", set()),
        (31, "main", {"1", "2"}),
        (60, "fix", {"0", "2"}),
        (61, "fix", {"0", "2", "3"}),
        (100, "main", {"1", "2", "3"}),
        (120, "ask", {"1", "3"}),
        (125, "fix", {"3"}),
        (130, "fix", set()),
        (170, "fix", set()),
    ],
)
def test_lanes_pass_through_only_between_their_fork_and_their_end(
    at: int, branch: str, passing: set[str]
) -> None:
    own = str(SPANS[branch].lane)
    through = {hue for hue, d in paths(draw(at, branch)) if re.fullmatch(r"M\d+ 0V28", d)}
    assert through - {own} == passing


@pytest.mark.parametrize(
    ("at", "branch", "line"),
    [
        (10, "main", "M14 14V28"),
        (20, "main", "M14 0V28"),
        (100, "main", "M14 0V14"),
        (40, "fix", "M28 0V28"),
        (170, "fix", "M28 0V14"),
        (110, "caps", "M56 0V28"),
    ],
)
def test_a_row_draws_its_own_lane_above_and_below_as_far_as_it_goes(
    at: int, branch: str, line: str
) -> None:
    assert (str(SPANS[branch].lane), line) in paths(draw(at, branch))


@pytest.mark.parametrize(
    ("at", "branch", "kind", "mark"),
    [
        (20, "main", "call", 'r="3.6"'),
        (20, "main", "user", 'r="5"'),
        (30, "main", "thought", '<circle class="node ring" data-lane="0"'),
        (40, "fix", "override", '<rect class="node pencil"'),
        (100, "main", "assistant", "H18.5"),
        (120, "ask", "approval", 'class="node bars" data-lane="2"'),
        (170, "fix", "call", '<circle class="node ring live" data-lane="1"'),
    ],
)
def test_the_node_says_what_the_event_is(at: int, branch: str, kind: str, mark: str) -> None:
    assert mark in draw(at, branch, kind)


def test_a_fold_is_dotted_and_has_no_node() -> None:
    cell = draw(20, "main", "fold")
    assert 'class="lane folded"' in cell
    assert "node" not in cell


def test_only_order_matters_so_scaled_positions_draw_the_same() -> None:
    scaled = {
        k: Span(
            s.lane,
            s.first * 7 + 3,
            s.last * 7 + 3,
            s.end,
            s.merged_at and s.merged_at * 7 + 3,
            s.root,
        )
        for k, s in SPANS.items()
    }
    for at, branch in [(30, "main"), (60, "fix"), (110, "caps"), (130, "fix"), (170, "fix")]:
        assert lane_cell(at=at * 7 + 3, branch=branch, kind="call", spans=scaled) == draw(
            at, branch
        )


def many(count: int) -> dict[int, Span]:
    spans = {0: Span(lane=0, first=0, last=1000, root=True)}
    return spans | {n: Span(lane=n, first=n * 10, last=1000 + n) for n in range(1, count)}


def test_fifty_branches_draw_eight_columns_and_the_last_is_shared() -> None:
    spans = many(50)
    cell = lane_cell(at=999, branch=0, kind="call", spans=spans)
    assert 'width="118"' in cell
    assert len(re.findall("<path", cell)) == COLUMNS
    assert len(re.findall('class="lane shared"', cell)) == 1
    xs = {float(x) for x in re.findall(r'[MH"](\d+) 0V28', cell)}
    assert max(xs) <= 118


def test_a_fork_inside_the_shared_column_draws_no_connector_but_a_ring() -> None:
    cell = lane_cell(at=200, branch=19, kind="call", spans=many(30))
    assert "Q" not in cell
    assert "node ring" in cell


def test_every_cell_of_a_run_is_equally_wide() -> None:
    widths = {re.findall(r'width="(\d+)"', draw(at, "fix"))[0] for at in (40, 60, 130, 170)}
    assert widths == {"62"}


def test_the_sixth_lane_repeats_the_first_hue_dashed() -> None:
    cell = lane_cell(at=999, branch=0, kind="call", spans=many(7))
    assert 'data-lane="1" data-again' in cell


def test_no_text_that_was_passed_in_is_printed() -> None:
    spans = {"<script>": Span(lane=0, first=1, last=2, root=True)}
    cell = lane_cell(at=1, branch="<script>", kind="<b>", spans=spans)
    assert "script" not in cell
    assert "<b>" not in cell


def test_a_fork_takes_the_lowest_free_lane_right_of_its_parent_and_keeps_it() -> None:
    branches = [Start("m", None, 1), Start("a", "m", 5), Start("b", "m", 9), Start("c", "a", 12)]
    lanes = assign_lanes(branches)
    assert lanes == {"m": 0, "a": 1, "b": 2, "c": 3}
    assert assign_lanes(reversed(branches)) == lanes
    later = assign_lanes([*branches, Start("d", "m", 20), Start("e", "c", 21)])
    assert {k: later[k] for k in lanes} == lanes


def test_forks_that_come_before_their_parent_still_lie_right_of_it() -> None:
    lanes = assign_lanes([Start("c", "a", 2), Start("a", "m", 3), Start("m", None, 4)])
    assert lanes["m"] < lanes["a"] < lanes["c"]


def test_a_second_root_and_an_unknown_parent_get_lanes_of_their_own() -> None:
    lanes = assign_lanes([Start("m", None, 1), Start("n", None, 2), Start("x", "gone", 3)])
    assert lanes == {"m": 0, "n": 1, "x": 2}


def test_branches_that_are_each_others_parents_do_not_hang() -> None:
    assert sorted(assign_lanes([Start("a", "b", 1), Start("b", "a", 2)]).values()) == [1, 2]


def test_the_tree_lists_each_parent_before_its_forks() -> None:
    rows = walk_tree({"m": None, "a": "m", "b": "m", "c": "a", "x": "gone"})
    assert rows == [("m", 0, None), ("a", 1, 0), ("c", 2, 1), ("b", 1, 0), ("x", 0, None)]


def test_a_deep_chain_is_walked_without_recursion() -> None:
    rows = walk_tree({n: n - 1 if n else None for n in range(5000)})
    assert rows[-1] == (4999, 4999, 4998)


def test_the_branch_list_draws_one_elbow_per_fork() -> None:
    rows = [TreeRow(0, 0), TreeRow(1, 1, 0), TreeRow(3, 2, 1), TreeRow(2, 1, 0)]
    cells = [branch_cell(i, rows) for i in range(4)]
    assert paths(cells[0]) == {("1", "M9 15V44")}
    assert paths(cells[1]) == {
        ("1", "M9 0V10Q9 15 14 15H21"),
        ("3", "M21 15V44"),
        ("2", "M9 0V44"),
    }
    assert paths(cells[2]) == {("3", "M21 0V10Q21 15 26 15H33"), ("2", "M9 0V44")}
    assert paths(cells[3]) == {("2", "M9 0V10Q9 15 14 15H21")}


def test_depths_beyond_the_sixth_are_drawn_at_the_sixth() -> None:
    rows = [TreeRow(n, n, n - 1 if n else None) for n in range(12)]
    cells = [branch_cell(i, rows) for i in range(12)]
    assert 'width="90"' in cells[0]
    assert "M81 0V15" in cells[11]
    for upper, lower in pairwise(cells):
        assert upper != lower or "81" in lower

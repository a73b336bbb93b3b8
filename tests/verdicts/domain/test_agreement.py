"""Agreement by hand: tables small enough to reckon on paper, and those of the literature."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts.domain.agreement import (
    OUTCOMES,
    Outcome,
    Rating,
    Weight,
    cohen_kappa,
    consensus,
    count_units,
    cross,
    group_ratings,
    percent,
    place_choice,
    place_score,
    prefer,
    without_bad,
)
from verdicts.domain.labels import Choice

A, E, B, X = OUTCOMES
outcomes = st.sampled_from(OUTCOMES)
tables = st.dictionaries(st.tuples(outcomes, outcomes), st.integers(1, 40), min_size=1)


@pytest.mark.parametrize(
    ("choice", "swapped", "outcome"),
    [
        (Choice.LEFT, False, A),
        (Choice.LEFT, True, B),
        (Choice.RIGHT, False, B),
        (Choice.RIGHT, True, A),
        (Choice.EQUAL, True, E),
        (Choice.BOTH_BAD, True, X),
    ],
)
def test_a_choice_is_told_by_the_pairs_own_order(
    choice: Choice, swapped: bool, outcome: Outcome
) -> None:
    assert place_choice(choice, swapped=swapped) == outcome


@pytest.mark.parametrize(
    ("score", "swapped", "outcome"),
    [(-1, False, A), (-1, True, B), (1, False, B), (0.25, True, A), (0, True, E), (0.0, False, E)],
)
def test_a_score_is_told_by_its_sign(score: float, swapped: bool, outcome: Outcome) -> None:
    assert place_score(score, swapped=swapped) == outcome


def test_two_reviewers_who_saw_the_sides_turned_and_picked_one_branch_agree() -> None:
    said = [place_choice(Choice.LEFT, swapped=False), place_choice(Choice.RIGHT, swapped=True)]
    assert len(set(said)) == 1


def test_the_later_of_two_ratings_by_one_rater_counts() -> None:
    units = group_ratings([Rating("p", 1, A), Rating("p", 2, B), Rating("p", 1, E)])
    assert units == {"p": {1: E, 2: B}}


def test_percent_is_the_mean_share_of_agreeing_pairs_of_raters() -> None:
    # Three agree: 1. Two of three: 1 of 3 pairs. Two of two differ: 0. One alone is not counted.
    spreads = count_units([[A, A, A], [A, A, B], [A, B], [A]], OUTCOMES)
    assert sum(spreads.values()) == 3
    assert percent(spreads) == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert percent({}) is None


def test_kappa_of_a_table_reckoned_by_hand() -> None:
    # 50 pairs: 20 both first, 15 both second, 5 and 10 differing. po = 35/50 = 0.7;
    # pe = (25*30 + 25*20) / 2500 = 0.5; kappa = 0.2 / 0.5.
    assert cohen_kappa({(A, A): 20, (A, B): 5, (B, A): 10, (B, B): 15}) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("cells", "kappa"),
    [
        # Fleiss, Levin & Paik, "Statistical Methods for Rates and Proportions", section 18.1:
        # two raters, 100 subjects, three diagnoses.
        ((75, 1, 4, 5, 4, 1, 0, 0, 10), 0.676),
        # Cohen 1968, "Weighted kappa", table 1: 200 cases, three diagnoses, unweighted 0.492.
        ((88, 14, 18, 10, 40, 10, 2, 6, 12), 0.4915),
    ],
)
def test_kappa_of_published_tables(cells: tuple[int, ...], kappa: float) -> None:
    squares = product((A, E, B), (A, E, B))
    table = {square: n for square, n in zip(squares, cells, strict=True) if n}
    assert cohen_kappa(table) == pytest.approx(kappa, abs=0.0005)


def test_kappa_is_undefined_where_nothing_varies() -> None:
    assert cohen_kappa({}) is None
    assert cohen_kappa({(A, A): 12}) is None
    assert cohen_kappa({(A, B): 12}) == 0, "always apart, and no better than chance"


@given(tables)
def test_kappa_is_the_same_for_both_raters_and_never_above_one(
    table: dict[tuple[Outcome, Outcome], int],
) -> None:
    turned = {(column, row): times for (row, column), times in table.items()}
    kappa = cohen_kappa(table)
    other = cohen_kappa(turned)
    assert (kappa is None) == (other is None)
    if kappa is not None:
        assert kappa == pytest.approx(other)
        assert -1 <= kappa <= 1 + 1e-12
        assert (kappa == 1) == all(row == column for row, column in table)


@given(st.dictionaries(st.integers(0, 9), outcomes), st.dictionaries(st.integers(0, 9), outcomes))
def test_a_table_counts_the_pairs_that_both_have_rated(
    one: dict[int, Outcome], other: dict[int, Outcome]
) -> None:
    assert sum(cross(one, other).values()) == len(one.keys() & other.keys())
    assert cross(one, other) == Counter(
        {(row, column): n for (column, row), n in cross(other, one).items()}
    )


@pytest.mark.parametrize(
    ("values", "agreed"),
    [([], None), ([A], A), ([A, B], None), ([A, A, B], A), ([A, B, E], None), ([X, X, X, A], X)],
)
def test_a_consensus_takes_more_than_half(values: list[Outcome], agreed: Outcome | None) -> None:
    assert consensus(values) == agreed


def test_graders_prefer_the_head_with_fewer_of_the_worst_findings() -> None:
    assert prefer(Weight(error=1), Weight(warning=9)) == B
    assert prefer(Weight(error=1), Weight(critical=1)) == A
    assert prefer(Weight(warning=1), Weight(warning=1)) == E
    assert prefer(Weight(claim=0), Weight(claim=2)) == A, "its verdict, where findings are alike"
    assert Weight(1, 2, 3, 0) + Weight(0, 1, 0, 2) == Weight(1, 3, 3, 2)
    assert [without_bad(one) for one in OUTCOMES] == [A, E, B, E]

import pytest

from verdicts.domain.findings import (
    Stretch,
    duration,
    median,
    tell_change,
    tell_pace,
    tell_triplets,
    tell_waits,
)

NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("events", "decisions", "told"),
    [
        ((0, 0), (0, 0), "Nothing happened in this time"),
        ((1, 0), (0, 0), "Agents sent 1 event, and nobody decided anything"),
        ((0, 0), (2, 0), "People took 2 decisions while agents were quiet"),
        ((4, 2), (6, 0), "A decision for every event; agents were busiest around Thu"),
        (
            (1_000, 3_000),
            (1, 1),
            "One decision for every 2,000 events; agents were busiest around Fri",
        ),
    ],
)
def test_the_pace_is_told_from_both_sides(
    events: tuple[int, int], decisions: tuple[int, int], told: str
) -> None:
    days = zip(("Thu", "Fri"), events, decisions, strict=True)
    assert tell_pace([Stretch(*day) for day in days]) == told


@pytest.mark.parametrize(
    ("ages", "told"),
    [
        ([], "Nothing waits for a person"),
        ([59], f"One item waits, for 59{NBSP}s"),
        ([60, 7_300], f"2 items wait, the oldest for 2{NBSP}h"),
        ([3 * 86_400], f"One item waits, for 3{NBSP}d"),
        ([-1], f"One item waits, for 0{NBSP}s"),
    ],
)
def test_what_waits_is_told_with_its_oldest_age(ages: list[float], told: str) -> None:
    assert tell_waits(ages) == told


def test_triplets_are_told_with_those_withdrawn() -> None:
    assert tell_triplets(standing=0, withdrawn=0) == "No triplet has come of a merge yet"
    assert tell_triplets(standing=1, withdrawn=0) == "1 triplet stands"
    assert tell_triplets(standing=1_184, withdrawn=3) == "1,184 triplets stand, 3 withdrawn"


def test_a_change_is_told_against_the_span_before() -> None:
    assert tell_change(5, 5, "7 days") == "as many as in the 7 days before"
    assert tell_change(7, 5, "7 days") == "2 more than in the 7 days before"
    assert tell_change(5, 1_005, "24 hours") == "1,000 fewer than in the 24 hours before"


def test_median_and_duration() -> None:
    assert median([]) is None
    assert median([3, 1, 2]) == 2
    assert median([4, 1]) == 2.5
    assert duration(599) == f"9{NBSP}min"

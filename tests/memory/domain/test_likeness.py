import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.likeness import same_value, says_the_same, signs_of, similarity, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The bolus cap is 45 mg.", "the bolus cap is 45 mg"),
        ("Bolus tests live in /spec", "The bolus tests live in /spec."),
        ("Bolus events carry patient weights", "Bolus event carries patient weights"),
        ("", "  "),
    ],
)
def test_near_duplicates_say_the_same(one: str, other: str) -> None:
    # The third pair shares four of six words and stays apart: better two records than a wrong one.
    assert says_the_same(one, other) == ("carries" not in other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "The bolus cap is 45 mg for patients under 40 kg",
            "The bolus cap is 50 mg for patients under 40 kg",
        ),
        (
            "Retry a failed upload before it is reported",
            "Never retry a failed upload before it is reported",
        ),
        (
            "Clamp in limits.py before the dose is logged",
            "Clamp in doses.py before the dose is logged",
        ),
        (
            "The pump does send its alarm twice to the ward",
            "The pump doesn’t send its alarm twice to the ward",
        ),
        ("Ask a nurse", "Tell the pharmacist"),
    ],
)
def test_a_number_a_negation_or_a_name_keeps_texts_apart(one: str, other: str) -> None:
    assert not says_the_same(one, other)


@given(st.text(), st.text())
def test_likeness_is_symmetric_and_every_text_is_like_itself(one: str, other: str) -> None:
    assert says_the_same(one, other) == says_the_same(other, one)
    assert says_the_same(one, one)
    assert 0 <= similarity(words_of(one), words_of(other)) <= 1


few = st.lists(
    st.sampled_from(["bolus", "cap", "ward", "pump", "alarm", "45", "never", "limits.py", "dose"]),
    min_size=0,
    max_size=12,
).map(" ".join)


@given(few, few)
def test_what_says_the_same_shares_a_sign(one: str, other: str) -> None:
    if says_the_same(one, other):
        assert signs_of(one) & signs_of(other)


@given(few, st.sampled_from(["bolus", "pumps"]))
def test_a_word_more_in_a_long_text_still_shares_a_sign(one: str, more: str) -> None:
    other = f"{one} {more}"
    if says_the_same(one, other):
        assert signs_of(one, about=("fact",)) & signs_of(other, about=("FACT ",))
    assert not signs_of(one, about=("fact",)) & signs_of(one, about=("rule",))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("500 mg", " 500  MG ", True),
        ("500 mg", "'500mg'.", True),
        ("500 mg", "500 m\N{ZERO WIDTH SPACE}g", True),
        ("500 mg", "50 mg", False),
        (".5", "5", False),
        ("-5", "5", False),
        (">", "<", False),
        ("C", "C++", False),
        ("on", "in", False),
        ("after the migration job finished", "After the migration jobs finished!", True),
        ("after the migration job finished", "before the migration job finished", False),
        ("it may be retried once by the worker", "it may not be retried once by the worker", False),
    ],
)
def test_a_value_is_one_however_it_is_spelled_and_another_by_one_sign(
    one: str, other: str, same: bool
) -> None:
    assert same_value(one, other) is same
    assert same_value(other, one) is same

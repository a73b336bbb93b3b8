import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.terms import Grounding, Tier, Trust
from memory.domain.trust import (
    INFERRED_CEILING,
    Attested,
    Corroborated,
    Demoted,
    Move,
    Regressed,
    SignedOff,
    contradict_confidence,
    first_confidence,
    may_reach,
    move_trust,
    support_confidence,
)

U, C, V = Trust.UNVERIFIED, Trust.CORROBORATED, Trust.VERIFIED


@pytest.mark.parametrize(
    ("before", "move", "support", "after"),
    [
        (U, Corroborated(2), 2, U),
        (U, Corroborated(3), 3, C),
        (C, Corroborated(1), 1, C),
        (V, Corroborated(9), 9, V),
        (C, Attested(passed=True, held_out=True, receipt=True), 3, V),
        (C, Attested(passed=True, held_out=False, receipt=True), 3, C),
        (C, Attested(passed=True, held_out=True, receipt=False), 3, C),
        (U, Attested(passed=False, held_out=True, receipt=True), 0, U),
        (U, SignedOff("Ines"), 0, V),
        (U, SignedOff(""), 0, U),
        (V, Regressed("the cap test fails"), 5, C),
        (V, Regressed("suite retired"), 1, U),
        (C, Regressed("the cap test fails"), 5, C),
        (V, Demoted("Ines"), 3, C),
        (V, Demoted("Ines"), 2, U),
        (C, Demoted("Ines"), 9, U),
        (U, Demoted("Ines"), 0, U),
    ],
)
def test_trust_moves_by_evidence_alone(
    before: Trust, move: Move, support: int, after: Trust
) -> None:
    assert move_trust(before, move, support=support) is after


moves = (
    st.builds(Corroborated, st.integers(0, 9))
    | st.builds(Attested, st.booleans(), st.booleans(), st.booleans())
    | st.builds(Regressed, st.text())
    | st.builds(Demoted, st.text(min_size=1))
)


@given(st.sampled_from([U, C]), st.lists(moves), st.integers(0, 9))
def test_nothing_is_verified_without_a_person_or_a_full_attestation(
    trust: Trust, told: list[Move], support: int
) -> None:
    full = Attested(passed=True, held_out=True, receipt=True)
    for move in told:
        if move != full:
            trust = move_trust(trust, move, support=support)
    assert trust is not V


@given(st.sampled_from(list(Trust)), st.text(), st.integers(0, 9))
def test_a_regression_never_raises(trust: Trust, reason: str, support: int) -> None:
    assert move_trust(trust, Regressed(reason), support=support).rank <= trust.rank


@given(st.floats(0, 1))
def test_support_raises_confidence_and_contradiction_lowers_it_within_bounds(value: float) -> None:
    assert value <= support_confidence(value) <= 1
    assert 0 <= contradict_confidence(value) <= value


@pytest.mark.parametrize(
    ("entailment", "grounding", "confidence"),
    [
        (0.94, Grounding.PRECISE, 0.94),
        (0.94, Grounding.INFERRED, INFERRED_CEILING),
        (0.3, Grounding.ADVISORY, 0.3),
        (None, Grounding.INFERRED, INFERRED_CEILING / 2),
    ],
)
def test_without_a_precise_source_confidence_starts_low(
    entailment: float | None, grounding: Grounding, confidence: float
) -> None:
    assert first_confidence(entailment=entailment, grounding=grounding) == confidence


@pytest.mark.parametrize("trust", list(Trust))
def test_only_what_is_verified_goes_global(trust: Trust) -> None:
    assert may_reach(Tier.GLOBAL, trust) == (trust is V)
    assert may_reach(Tier.TEAM, trust)

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.conflict import Claim, Settlement, settle
from memory.domain.terms import Trust

THEN = datetime(2026, 1, 1, tzinfo=UTC)
U, C, V = Trust.UNVERIFIED, Trust.CORROBORATED, Trust.VERIFIED


def claim(value: str, trust: Trust, days: int = 0, key: str = "limits|cap") -> Claim:
    return Claim(key, value, trust, THEN + timedelta(days=days))


@pytest.mark.parametrize(
    ("living", "newcomer", "found"),
    [
        (claim("45 mg", U), claim(" 45  MG ", U, 1), Settlement.SUPPORTS),
        (claim("45 mg", V), claim("45 mg", U, 1), Settlement.SUPPORTS),
        (claim("45 mg", U), claim("50 mg", C, -9), Settlement.WINS),
        (claim("45 mg", C), claim("50 mg", U, 9), Settlement.LOSES),
        (claim("45 mg", U), claim("50 mg", U, 1), Settlement.WINS),
        (claim("45 mg", U), claim("50 mg", U, -1), Settlement.LOSES),
        (claim("45 mg", C), claim("50 mg", C, 0), Settlement.LOSES),
        (claim("45 mg", V), claim("50 mg", U, 9), Settlement.WAITS),
        (claim("45 mg", V), claim("50 mg", V, 9), Settlement.WAITS),
    ],
)
def test_trust_wins_then_recency_and_the_verified_wait_for_a_person(
    living: Claim, newcomer: Claim, found: Settlement
) -> None:
    assert settle(living, newcomer) is found


claims = st.builds(
    claim, st.sampled_from(["45 mg", "50 mg"]), st.sampled_from([U, C, V]), st.integers(-3, 3)
)


@given(claims, claims)
def test_no_rule_beats_a_verified_claim(living: Claim, newcomer: Claim) -> None:
    if living.trust is V:
        assert settle(living, newcomer) in (Settlement.SUPPORTS, Settlement.WAITS)


@given(claims, claims)
def test_of_two_unverified_claims_never_both_win(one: Claim, other: Claim) -> None:
    both = {settle(one, other), settle(other, one)}
    assert both != {Settlement.WINS}


def test_claims_under_two_keys_are_no_conflict() -> None:
    with pytest.raises(ValueError, match="one key"):
        settle(claim("45 mg", U), claim("45 mg", U, key="limits|floor"))
    with pytest.raises(ValueError, match="one key"):
        settle(claim("45 mg", U, key=""), claim("45 mg", U, key=""))

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.strength import SECURITY, TABLE, Curve, curve_of, may_prune
from memory.domain.terms import ItemType, Trust

curves = st.builds(Curve, st.floats(1, 400), st.floats(0.05, 3), st.floats(0, 0.9), st.floats(0, 3))
days = st.floats(0, 10_000)


@pytest.mark.parametrize(
    ("item_type", "base", "beta", "floor"),
    [
        (ItemType.SECURITY, 365, 0.3, 0.5),
        (ItemType.API_CONTRACT, 180, 0.4, 0.3),
        (ItemType.UI_FIX, 90, 0.6, 0.15),
        (ItemType.COSMETIC_TIP, 21, 0.8, 0.05),
    ],
)
def test_the_table_has_the_numbers_of_the_specification(
    item_type: ItemType, base: float, beta: float, floor: float
) -> None:
    curve = TABLE[item_type]
    assert (curve.base_days, curve.beta, curve.floor) == (base, beta, floor)
    assert not curve.fitted
    # By hand: at an age of one half-life the power law says 2^−β.
    assert curve.strength(base) == pytest.approx(max(floor, 2**-beta))
    assert curve.strength(1e9) == floor


def test_a_half_life_grows_with_the_logarithm_of_retrievals() -> None:
    curve = Curve(100, 1, 0, gain=0.5)
    assert curve.half_life(0) == 100
    assert curve.half_life(4) == pytest.approx(100 * (1 + 0.5 * math.log(5)))
    assert curve.strength(curve.half_life(4), 4) == pytest.approx(0.5)


@pytest.mark.parametrize("item_type", list(ItemType))
def test_whatever_is_verified_fades_like_security(item_type: ItemType) -> None:
    adopted = {**TABLE, item_type: Curve(9, 2, 0.1, fitted=True)}
    for curves in (TABLE, adopted):
        assert curve_of(item_type, Trust.VERIFIED, curves) == SECURITY
        assert curve_of(item_type, Trust.CORROBORATED, curves) == curves[item_type]


@given(curves, days, days, st.integers(0, 1000))
def test_strength_falls_with_age_and_stays_between_its_floor_and_one(
    curve: Curve, one: float, other: float, retrievals: int
) -> None:
    younger, older = sorted((one, other))
    assert curve.floor <= curve.strength(older, retrievals)
    assert curve.strength(older, retrievals) <= curve.strength(younger, retrievals) <= 1
    assert curve.strength(one, retrievals) <= curve.strength(one, retrievals + 1)


@given(curves, st.floats(-1000, 0))
def test_a_fresh_record_is_at_full_strength_even_if_the_clock_ran_back(
    curve: Curve, age: float
) -> None:
    assert curve.strength(age) == 1


@pytest.mark.parametrize(
    ("strength", "confidence", "support", "trust", "pruned"),
    [
        (0.14, 0.39, 1, Trust.UNVERIFIED, True),
        (0.15, 0.39, 1, Trust.UNVERIFIED, False),
        (0.14, 0.40, 1, Trust.UNVERIFIED, False),
        (0.14, 0.39, 2, Trust.UNVERIFIED, False),
        (0.14, 0.39, 1, Trust.CORROBORATED, True),
        (0.14, 0.39, 1, Trust.VERIFIED, False),
    ],
)
def test_a_record_is_pruned_only_if_everything_speaks_against_it(
    strength: float, confidence: float, support: int, trust: Trust, pruned: bool
) -> None:
    found = may_prune(strength=strength, confidence=confidence, support=support, trust=trust)
    assert found is pruned

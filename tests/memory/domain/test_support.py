import pytest

from memory.domain.entailment import LEAST_ENTAILMENT
from memory.domain.support import overlap

PREMISE = "We looked at the pump. The bolus cap is 45 mg in src/limits.py. It never resets itself."


@pytest.mark.parametrize(
    ("hypothesis", "low", "high"),
    [
        ("The bolus cap is 45 mg", 1.0, 1.0),
        ("Bolus caps are 45 mg in src/limits.py", 1.0, 1.0),
        ("The bolus cap of the ward is 45 mg", 0.7, 0.9),
        # Another number, a name that is not there, a negation more or less: near, and not supported.
        ("The bolus cap is 50 mg", 0.0, 0.3),
        ("The bolus cap is 45 mg in src/other.py", 0.0, 0.3),
        ("The bolus cap is not 45 mg", 0.0, 0.3),
        ("It resets itself", 0.0, 0.3),
        ("It never resets itself", 1.0, 1.0),
        ("Bananas are yellow", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_words_support_what_one_sentence_says(hypothesis: str, low: float, high: float) -> None:
    assert low <= overlap(PREMISE, hypothesis) <= high
    assert low < LEAST_ENTAILMENT or high >= LEAST_ENTAILMENT


def test_an_endless_premise_is_read_to_a_bound() -> None:
    assert overlap("x. " * 100_000 + "The cap is set.", "The cap is set") < 0.5

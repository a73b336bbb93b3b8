import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.entailment import Corroborator, Entailed, class_of, grounding_of
from memory.domain.terms import Grounding

HERE = "e-1"
TEST = Corroborator("test", HERE, agrees=True)


@pytest.mark.parametrize(
    ("score", "beside", "found"),
    [
        (0.85, [TEST], Entailed.PRECISE),
        (0.8499, [TEST], Entailed.INFERRED),
        (0.99, [], Entailed.INFERRED),
        (0.99, [Corroborator("test", "e-2", agrees=True)], Entailed.INFERRED),
        (0.99, [Corroborator("vision", HERE, agrees=True)], Entailed.INFERRED),
        (0.99, [Corroborator("dom", HERE, agrees=False)], Entailed.INFERRED),
        (0.99, [TEST, Corroborator("dom", HERE, agrees=False)], Entailed.INFERRED),
        (0.5, [], Entailed.INFERRED),
        (0.4999, [TEST], Entailed.DROPPED),
        (0.0, [TEST], Entailed.DROPPED),
        (None, [TEST], Entailed.INFERRED),
    ],
)
def test_a_candidate_is_precise_only_with_a_precise_source_in_its_own_episode(
    score: float | None, beside: list[Corroborator], found: Entailed
) -> None:
    assert class_of(score, episode=HERE, corroborators=beside) is found


@given(st.floats(0, 1), st.lists(st.sampled_from(["vision", "llm_judge", "lint", "other"])))
def test_no_score_makes_a_candidate_precise_without_a_precise_source(
    score: float, sources: list[str]
) -> None:
    beside = [Corroborator(source, HERE, agrees=True) for source in sources]
    assert class_of(score, episode=HERE, corroborators=beside) is not Entailed.PRECISE


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        class_of(score, episode=HERE)


def test_a_models_word_is_advisory() -> None:
    assert grounding_of(Entailed.PRECISE, source="test") is Grounding.PRECISE
    assert grounding_of(Entailed.INFERRED, source="vision") is Grounding.ADVISORY
    assert grounding_of(Entailed.INFERRED, source="test") is Grounding.INFERRED

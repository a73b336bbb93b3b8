"""The model of the extra `ml`, as it runs on this machine, with nothing fetched."""

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from memory.entailment import score_pairs
from memory.models import Record
from memory.ports.embedders import current_embedder
from tests.make import make_project
from tests.memory.steps import consolidate, tell_runs

pytestmark = [pytest.mark.heavy, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def local(settings: Settings) -> None:
    settings.VEREL_EMBEDDER = "local"
    settings.VEREL_ENTAILMENT = "embedding"


def test_texts_that_mean_the_same_lie_close() -> None:
    embedder = current_embedder()
    assert embedder is not None
    rows = embedder.embed(
        ["The car is parked outside.", "The automobile is parked outdoors.", "Tax law"]
    )
    assert rows.shape == (3, 384)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > 0.5 > rows[0] @ rows[2] + 0.2


def test_a_text_has_the_same_vector_alone_and_among_longer_ones() -> None:
    embedder = current_embedder()
    assert embedder is not None
    text = "The bolus cap is 45 mg"
    alone = embedder.embed([text])[0]
    among = embedder.embed([text, f"{text} of the pump. " * 40])[0]
    assert alone @ among > 0.99
    assert embedder.embed([]).shape == (0, 384)


def test_it_scores_what_a_source_supports_and_not_what_it_only_resembles() -> None:
    told = [
        ("The clinic caps every bolus at 45 mg.", "A bolus is limited to 45 mg"),
        ("The clinic caps every bolus at 45 mg.", "A bolus is limited to 50 mg"),
        ("The clinic caps every bolus at 45 mg.", "The cafeteria opens at noon"),
    ]
    supported, otherwise, unrelated = score_pairs(make_project(), told)
    assert supported.value > 0.5 > max(otherwise.value, unrelated.value)
    assert supported.source == "embedding:minilm-l6-v2-int8"


def test_a_consolidation_is_gated_by_it() -> None:
    project = make_project()
    tell_runs(project)
    job = consolidate(project)
    assert job.count("written") > 2
    facts = job.candidates.filter(kind="fact")
    assert {row.scorer for row in facts} == {"embedding:minilm-l6-v2-int8"}
    fault = Record.objects.get(project=project, text__startswith="pytest failed: FAILED test_cap")
    assert (fault.grounding, fault.support_count) == ("precise", 3)

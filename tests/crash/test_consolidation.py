"""A consolidation whose worker is killed at any step, between two windows and within one."""

import json
from typing import Any

import pytest

from memory.domain.consolidation import Step
from tests.crash.conftest import Place

type Outcomes = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def outcomes(place: Place) -> Outcomes:
    """All of them from one process, since starting it is the most of what it costs."""
    served = place.serve()
    if place.postgresql is not None:
        served.manage("migrate", "--verbosity", "0")
    told: Outcomes = json.loads(served.run("-m", "tests.crash.consolidating"))
    return told


def test_nobody_killed_it_and_it_wrote_records(outcomes: Outcomes) -> None:
    whole = outcomes["whole"]
    assert whole["state"] == "done"
    assert whole["counts"]["written"] > 2
    assert whole["counts"]["pruned"] == 1
    assert whole["orphans"] == [0, 0, 0]


@pytest.mark.parametrize("step", list(Step))
def test_killed_twice_at_a_step_it_is_gone_on_with_to_the_same_end(
    outcomes: Outcomes, step: Step
) -> None:
    assert outcomes[step.value] == outcomes["whole"]

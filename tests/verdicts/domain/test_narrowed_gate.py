"""What a run leaves out opens no gate, whatever else was reported."""

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.verdicts.domain.strategies import reports
from tests.verdicts.domain.test_gate import RANK, checks, decide, settings
from verdicts.domain.coverage import LeftOut, Unlooked
from verdicts.domain.facts import ReportFacts
from verdicts.domain.terms import Grader, Verdict

unlooked_ones = st.lists(
    st.builds(
        Unlooked,
        st.sampled_from([Grader.TEST, Grader.DOM, Grader.LINT]),
        st.sampled_from(["", "mypy", "pyright"]),
        st.sampled_from(["a" * 16, "b" * 16]),
        st.sampled_from(["unit::a", "unit::b"]),
    ),
    max_size=3,
)


@given(st.lists(reports(), max_size=5), settings, unlooked_ones, unlooked_ones)
def test_a_failure_that_nobody_looked_for_again_shuts_a_gate_and_opens_none(
    given_reports: list[ReportFacts],
    extra: dict[str, Any],
    some: list[Unlooked],
    more: list[Unlooked],
) -> None:
    before = decide(*given_reports, unlooked=some, **extra)
    after = decide(*given_reports, unlooked=[*more, *some], **extra)
    assert RANK[after.verdict] >= RANK[before.verdict]
    ran = {report.grader for report in given_reports if not report.errored}
    if any(one.grader in ran for one in some):
        assert before.verdict == Verdict.FAIL
        assert "narrowed" in checks(before)
    held = frozenset({"a" * 16, "b" * 16})
    assert decide(*given_reports, unlooked=some, quarantined=held, **extra) == decide(
        *given_reports, quarantined=held, **extra
    )


@given(st.lists(reports(), min_size=1, max_size=5), settings, st.data())
def test_a_report_that_left_something_out_never_passes_and_opens_nothing(
    given_reports: list[ReportFacts], extra: dict[str, Any], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(given_reports) - 1))
    lost = LeftOut("tests", 5, ("unit::a", "unit::b", "unit::c"))
    narrowed = list(given_reports)
    # The newest of its tool, so that it counts.
    narrowed[index] = dataclasses.replace(
        narrowed[index], left_out=(lost,), order=9, tool="one of its own", errored=False
    )
    whole = [*narrowed]
    whole[index] = dataclasses.replace(whole[index], left_out=())
    before, after = decide(*whole, **extra), decide(*narrowed, **extra)
    assert RANK[after.verdict] == max(RANK[before.verdict], RANK[Verdict.WARN])
    text = (
        f"{narrowed[index].grader} (one of its own): it left out 5 tests that it looked at here "
        "before: unit::a, unit::b, unit::c and 2 more"
    )
    assert text in [reason.text for reason in after.reasons]

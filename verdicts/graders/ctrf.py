"""CTRF, the Common Test Report Format 1.0."""

from typing import Final

import msgspec

from verdicts.domain.terms import Grader, Severity
from verdicts.graders.decoding import Whole, decode
from verdicts.graders.printed import Printed, Reading, clean_word, milliseconds, missing
from verdicts.graders.trials import ERROR, FAILED, PASSED, SKIPPED, Trials, name_test

# What a tool calls a test that did not get to its end; CTRF itself knows only `failed`.
_ERRORS: Final = frozenset({"setup_failed", "teardown_failed", "error", "broken", "errored"})
_OUTCOMES: Final = {
    "passed": PASSED,
    "failed": FAILED,
    "skipped": SKIPPED,
    "pending": SKIPPED,
}


class _Tool(msgspec.Struct):
    name: str
    version: str = ""


class _Summary(msgspec.Struct):
    tests: Whole
    failed: Whole
    duration: float | None = None


class _Test(msgspec.Struct):
    name: str
    status: str
    raw_status: str = msgspec.field(name="rawStatus", default="")
    message: str = ""
    trace: str = ""
    suite: str | list[str] = ""
    file_path: str = msgspec.field(name="filePath", default="")
    line: Whole | None = None
    browser: str = ""
    flaky: bool = False


class _Results(msgspec.Struct):
    tool: _Tool
    summary: _Summary
    tests: list[_Test]


class _Document(msgspec.Struct):
    results: _Results
    format: str = msgspec.field(name="reportFormat", default="CTRF")


def read_ctrf(raw: bytes, reading: Reading) -> Printed:
    """One test report. A status that CTRF does not name counts as an error."""
    results = decode(raw, _Document).results
    trials = Trials(reading)
    for test in results.tests:
        _read_test(test, trials)
    bad = trials.counts.get(FAILED, 0) + trials.counts.get(ERROR, 0)
    faults = [
        *missing(Grader.TEST, "failed tests", results.summary.failed, bad),
        *missing(Grader.TEST, "tests", results.summary.tests, len(results.tests)),
    ]
    duration = results.summary.duration
    report = trials.report(
        reading.tool or clean_word(results.tool.name) or "ctrf",
        issues=faults,
        elapsed_ms=milliseconds(None if duration is None else duration / 1000),
    )
    return Printed((report,))


def _read_test(test: _Test, trials: Trials) -> None:
    test_id = _name(test)
    outcome = _OUTCOMES.get(test.status, ERROR)
    if outcome == FAILED and test.raw_status.lower() in _ERRORS:
        outcome = ERROR
    trials.count(outcome, test_id)
    if outcome in (FAILED, ERROR) or test.flaky:
        flaky = outcome == PASSED
        trials.add(
            outcome,
            test_id,
            test.message or ("It passed only when it was run again" if flaky else test.status),
            trace=test.trace,
            path=test.file_path if test.line else "",
            line=test.line,
            severity=Severity.INFO if flaky else Severity.ERROR,
            raw_status=clean_word(test.raw_status),
            **({"flaky": True} if test.flaky else {}),
        )


def _name(test: _Test) -> str:
    """A name that is a whole node id stands alone; another goes behind its suites."""
    if "::" in test.name:
        return name_test(test.name, test.browser)
    suites = [test.suite] if isinstance(test.suite, str) else test.suite
    return name_test(*suites, test.name, test.browser)

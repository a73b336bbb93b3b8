"""pytest-json-report (`--json-report`)."""

from typing import Final

import msgspec

from verdicts.domain.terms import Grader, Severity
from verdicts.graders.decoding import Whole, decode
from verdicts.graders.printed import (
    Printed,
    PrintedIssue,
    Reading,
    clean,
    hollow,
    milliseconds,
    missing,
    name_fault,
)
from verdicts.graders.trials import ERROR, FAILED, PASSED, SKIPPED, Trials, name_test

TOOL: Final = "pytest"
# pytest's exit codes; 1 is "tests failed".
_BROKEN: Final = {
    2: "pytest was interrupted",
    3: "pytest failed inside",
    4: "pytest was called wrongly",
    5: "no test was collected",
}
_OUTCOMES: Final = {
    "passed": PASSED,
    "failed": FAILED,
    "error": ERROR,
    "skipped": SKIPPED,
    "xfailed": SKIPPED,
    # Passed where it was expected to fail; under `strict` pytest says `failed` itself.
    "xpassed": PASSED,
}


class _Crash(msgspec.Struct):
    path: str = ""
    lineno: Whole | None = None
    message: str = ""


class _Phase(msgspec.Struct):
    outcome: str
    crash: _Crash | None = None
    longrepr: str = ""


class _Test(msgspec.Struct):
    nodeid: str
    outcome: str
    setup: _Phase | None = None
    call: _Phase | None = None
    teardown: _Phase | None = None


class _Collector(msgspec.Struct):
    nodeid: str
    outcome: str
    longrepr: str = ""


class _Summary(msgspec.Struct):
    failed: Whole = 0
    error: Whole = 0
    total: Whole = 0


class _Document(msgspec.Struct):
    exitcode: Whole
    summary: _Summary
    root: str = ""
    duration: float | None = None
    tests: list[_Test] = []
    collectors: list[_Collector] = []


def read_pytest_json(raw: bytes, reading: Reading) -> Printed:
    """One test report; setup and teardown errors apart from failures."""
    document = decode(raw, _Document)
    trials = Trials(reading, roots=(document.root,))
    for test in document.tests:
        _read_test(test, trials)
    for collector in document.collectors:
        if collector.outcome == FAILED:
            test_id = name_test(collector.nodeid)
            trials.count(ERROR, test_id)
            last = collector.longrepr.strip().rpartition("\n")[2]
            trials.add(ERROR, test_id, f"It cannot be collected: {last}", trace=collector.longrepr)
    tool, faults = reading.tool or TOOL, _faults(document, trials)
    elapsed = milliseconds(document.duration)
    if document.exitcode in _BROKEN:
        why = _BROKEN[document.exitcode]
        issues = [*trials.issues, *faults]
        return Printed((hollow(Grader.TEST, tool, why, issues=issues, elapsed_ms=elapsed),))
    return Printed((trials.report(tool, issues=faults, elapsed_ms=elapsed),))


def _read_test(test: _Test, trials: Trials) -> None:
    test_id = name_test(test.nodeid)
    outcome = _OUTCOMES.get(test.outcome, ERROR)
    trials.count(outcome, test_id)
    if outcome not in (FAILED, ERROR):
        return
    phases = [phase for phase in (test.setup, test.call, test.teardown) if phase]
    failed = [phase for phase in phases if phase.outcome == FAILED]
    for phase in failed or [_Phase(outcome)]:
        crash = phase.crash or _Crash()
        message = crash.message or clean(phase.longrepr).rpartition("\n")[2]
        path, line = crash.path, crash.lineno
        trials.add(outcome, test_id, message, trace=phase.longrepr, path=path, line=line)


def _faults(document: _Document, trials: Trials) -> list[PrintedIssue]:
    told, counts = document.summary, trials.counts
    faults = [
        *missing(Grader.TEST, "failed tests", told.failed, counts.get(FAILED, 0)),
        *missing(Grader.TEST, "errors", told.error, counts.get(ERROR, 0)),
        *missing(Grader.TEST, "tests", told.total, len(document.tests)),
    ]
    if document.exitcode not in (0, *_BROKEN) and not trials.issues:
        message = f"pytest ended with code {document.exitcode}, and nothing that failed is listed"
        faults.append(name_fault(Grader.TEST, "exit-code", message, severity=Severity.ERROR))
    return faults

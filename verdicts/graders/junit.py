"""JUnit XML, as pytest, surefire, jest, gtest and many others write it.

Read as a stream, by a parser that refuses DTDs and entities: what is held is one test at a time
and what failed. An expected failure is `skipped` here, and so proves nothing.
"""

import math
import re
from typing import Final
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from verdicts.domain.terms import Grader, Severity
from verdicts.graders.printed import (
    MAX_TEXT,
    MalformedOutput,
    Printed,
    PrintedReport,
    Reading,
    UnreadableOutput,
    clean_word,
    milliseconds,
    missing,
)
from verdicts.graders.trials import ERROR, FAILED, PASSED, SKIPPED, Trials, name_test

MAX_DEPTH: Final = 64
CHUNK_BYTES: Final = 64 * 1024
_FAULTS: Final = {"failure": FAILED, "error": ERROR}
# Surefire tells a test that failed and then passed by these; it passed.
_FLAKES: Final = frozenset({"flakyFailure", "flakyError"})
_NOT_RUN: Final = frozenset({"notrun", "skipped", "disabled", "suppressed", "ignored"})
_BAD: Final = {"failed": FAILED, "failure": FAILED, "error": ERROR}
_COUNTED: Final = (("failures", FAILED), ("errors", ERROR), ("tests", "tests"))
_ENCODED: Final = re.compile(rb"<\?xml[^>]{0,200}encoding=[\"'](?!utf-?8[\"'])", re.IGNORECASE)
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ANSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_REFERENCE: Final = re.compile(r"&#(x[0-9a-fA-F]{1,8}|[0-9]{1,9});")


def read_junit(raw: bytes, reading: Reading) -> Printed:
    """One test report of all suites. Raises MalformedOutput, or UnreadableOutput for another
    document."""
    collector = _Collector(reading)
    parser = DefusedXMLParser(target=collector, forbid_dtd=True)
    mended = _mend(raw)
    try:
        for start in range(0, len(mended), CHUNK_BYTES):
            parser.feed(mended[start : start + CHUNK_BYTES])
        parser.close()
    except DefusedXmlException as error:
        detail = "It has a document type or an entity, which no test report needs."
        raise MalformedOutput(detail) from error
    except (ParseError, ValueError, LookupError) as error:
        raise MalformedOutput(f"This is no XML: {error}.") from error
    return Printed((collector.finish(),))


def _mend(raw: bytes) -> bytes:
    """UTF-8 that XML can hold: test runners paste output as it was, controls and all."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or _ENCODED.match(raw.lstrip()[:300]):
        return raw
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _ANSI.sub("", raw.decode("utf-8", "replace")))
    return _REFERENCE.sub(_mend_reference, text).encode()


def _mend_reference(found: re.Match[str]) -> str:
    number = int(found[1][1:], 16) if found[1][0] == "x" else int(found[1])
    legal = number in (9, 10, 13) or 32 <= number < 0xD800 or 0xE000 <= number < 0xFFFE
    return found[0] if legal or 0x10000 <= number < 0x110000 else "\N{REPLACEMENT CHARACTER}"


class _Collector:
    """What the parser calls. An element inside a test is read; one outside any is passed over."""

    def __init__(self, reading: Reading) -> None:
        self.trials = Trials(reading)
        self.tool = ""
        self.depth = 0
        self.suites: list[dict[str, str]] = []
        self.claimed = {"failures": 0, "errors": 0, "tests": 0}
        self.seconds = 0.0
        self.listed = 0
        self.case: dict[str, str] | None = None
        self.loose = False
        self.inner: tuple[str, dict[str, str]] | None = None
        self.text: list[str] = []
        self.found: list[tuple[str, dict[str, str], str]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        name = tag.rpartition("}")[2]
        if self.depth > MAX_DEPTH:
            raise UnreadableOutput(f"Elements are nested deeper than {MAX_DEPTH}.")
        if self.depth == 1 and name not in ("testsuites", "testsuite"):
            raise UnreadableOutput("The root of a JUnit file is testsuites or testsuite.")
        if self.case is not None:
            self._start_inside(name, attributes)
        elif name == "testcase":
            self.case, self.found, self.loose = attributes, [], False
        elif name in ("testsuite", "testsuites"):
            self._start_suite(name, attributes)
        elif name in _FAULTS:
            # A suite whose set-up failed: some writers put its error beside the tests.
            suite = self.suites[-1].get("name", "") if self.suites else ""
            self.case, self.found, self.loose = {"name": suite or "suite"}, [], True
            self._start_inside(name, attributes)

    def _start_suite(self, name: str, attributes: dict[str, str]) -> None:
        self.tool = self.tool or clean_word(attributes.get("name"))
        if name == "testsuites":
            return
        # Of nested suites the outer one counts the inner ones too.
        if not self.suites:
            for key in self.claimed:
                self.claimed[key] += _whole(attributes.get(key))
            self.seconds += _seconds(attributes.get("time"))
        self.suites.append(attributes)

    def _start_inside(self, name: str, attributes: dict[str, str]) -> None:
        if self.inner is None and (name in _FAULTS or name == SKIPPED or name in _FLAKES):
            self.inner, self.text = (name, attributes), []

    def data(self, text: str) -> None:
        if self.inner is not None:
            self.text.append(text)

    def end(self, tag: str) -> None:
        self.depth -= 1
        name = tag.rpartition("}")[2]
        if self.inner is not None and name == self.inner[0]:
            self.found.append((*self.inner, "".join(self.text)))
            self.inner = None
            if self.loose:
                self._end_case()
        elif name == "testcase" and self.case is not None:
            self._end_case()
        elif name == "testsuite" and self.suites:
            self.suites.pop()

    def _end_case(self) -> None:
        case, self.case = self.case or {}, None
        self.listed += not self.loose
        test_id = name_test(case.get("classname", ""), case.get("name", ""))
        outcome = self._outcome(case)
        self.trials.count(outcome, test_id)
        for name, attributes, text in self.found:
            if name in _FAULTS or name in _FLAKES:
                self._add(test_id, case, name, attributes, text)
        if outcome in (FAILED, ERROR) and not any(name in _FAULTS for name, *_ in self.found):
            self.trials.add(outcome, test_id, "", path=case.get("file", ""))

    def _outcome(self, case: dict[str, str]) -> str:
        names = [name for name, *_ in self.found]
        for fault, outcome in _FAULTS.items():
            if fault in names:
                return outcome
        told = {case.get("status", "").lower(), case.get("result", "").lower()}
        if SKIPPED in names or told & _NOT_RUN:
            return SKIPPED
        return next((_BAD[word] for word in sorted(told) if word in _BAD), PASSED)

    def _add(
        self, test_id: str, case: dict[str, str], name: str, attributes: dict[str, str], text: str
    ) -> None:
        flaky = name in _FLAKES
        line = _whole(case.get("line"))
        self.trials.add(
            _FAULTS.get(name, FAILED),
            test_id,
            attributes.get("message") or text.strip().partition("\n")[0],
            trace=text[-4 * MAX_TEXT :],
            path=case.get("file", "") if line else "",
            line=line or None,
            severity=Severity.INFO if flaky else Severity.ERROR,
            exception=clean_word(attributes.get("type")),
            **({"flaky": True} if flaky else {}),
        )

    def close(self) -> None:
        """The parser's end; `finish` gives the report."""

    def finish(self) -> PrintedReport:
        counts = self.trials.counts | {"tests": self.listed}
        faults = [
            fault
            for key, outcome in _COUNTED
            for fault in missing(Grader.TEST, key, self.claimed[key], counts.get(outcome, 0))
        ]
        tool = self.trials.reading.tool or self.tool or "junit"
        return self.trials.report(tool, issues=faults, elapsed_ms=milliseconds(self.seconds))


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0


def _seconds(text: str | None) -> float:
    try:
        value = float((text or "").replace(",", ""))
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0

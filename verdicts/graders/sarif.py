"""SARIF 2.1.0: what linters, type checkers and security scanners write for code hosts."""

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from verdicts.domain.fingerprint import scrub
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity
from verdicts.graders.decoding import Whole, decode
from verdicts.graders.places import Places, all_names, first_name, relative_path, spot
from verdicts.graders.printed import (
    Printed,
    PrintedIssue,
    PrintedReport,
    Reading,
    UnreadableOutput,
    clean,
    clean_word,
    hollow,
    name_fault,
)

VERSION: Final = "2.1"
_SECURITY: Final = re.compile(
    r"bandit|codeql|semgrep|trivy|snyk|gitleaks|trufflehog|checkov|gosec|brakeman|grype|kics"
    r"|tfsec|osv|dependency-check|njsscan|terrascan|security",
    re.IGNORECASE,
)
_TYPES: Final = re.compile(
    r"\b(mypy|pyright|basedpyright|pyre|pytype|tsc|typescript)\b", re.IGNORECASE
)
_LEVELS: Final = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "note": Severity.INFO,
    "none": Severity.INFO,
}
# Kinds of result that are no finding; `fail` is the default, and what is left waits for a person.
_GOOD: Final = frozenset({"pass", "notApplicable"})
_PRECISIONS: Final = {"low": Confidence.LOW, "medium": Confidence.MEDIUM}
# `security-severity` is a CVSS score; these are the bands that code hosts show.
_SCORES: Final = ((9.0, Severity.CRITICAL), (7.0, Severity.ERROR), (4.0, Severity.WARNING))
_KINDS: Final = {
    Grader.SECURITY: IssueKind.VULNERABILITY,
    Grader.TYPECHECK: IssueKind.TYPE_ERROR,
    Grader.LINT: IssueKind.LINT,
}
_TARGET: Final = "analysisTarget"
_CWE: Final = re.compile(r"cwe[-/_ ]*0*(\d{1,6})", re.IGNORECASE)
_ARGUMENT: Final = re.compile(r"\{(\d{1,3})\}")


class _Base(msgspec.Struct, rename="camel"):
    pass


class _Message(_Base):
    text: str = ""
    markdown: str = ""
    id: str = ""
    arguments: list[str] = []


class _Artifact(_Base):
    uri: str = ""
    uri_base_id: str = ""
    index: Whole = -1


class _ArtifactEntry(_Base):
    location: _Artifact | None = None
    roles: list[str] = []


class _Region(_Base):
    start_line: Whole | None = None
    start_column: Whole | None = None
    end_line: Whole | None = None
    end_column: Whole | None = None


class _Physical(_Base):
    artifact_location: _Artifact | None = None
    region: _Region | None = None


class _Logical(_Base):
    fully_qualified_name: str = ""
    name: str = ""


class _Location(_Base):
    physical_location: _Physical | None = None
    logical_locations: list[_Logical] = []


class _Properties(msgspec.Struct):
    tags: list[str] = []
    precision: str = ""
    security_severity: str | float = msgspec.field(name="security-severity", default="")


class _Configuration(_Base):
    level: str = ""


class _Rule(_Base):
    id: str
    default_configuration: _Configuration | None = None
    message_strings: dict[str, _Message] = {}
    properties: _Properties | None = None
    name: str = ""


class _RuleReference(_Base):
    id: str = ""
    index: Whole = -1


class _Suppression(_Base):
    kind: str = ""
    status: str = "accepted"


class _Result(_Base):
    message: _Message
    rule_id: str = ""
    rule_index: Whole = -1
    rule: _RuleReference | None = None
    level: str = ""
    kind: str = "fail"
    locations: list[_Location] = []
    suppressions: list[_Suppression] | None = None
    baseline_state: str = ""


class _Driver(_Base):
    name: str
    rules: list[_Rule] = []
    version: str = ""


class _Tool(_Base):
    driver: _Driver


class _Notification(_Base):
    message: _Message
    level: str = "warning"


class _Invocation(_Base):
    execution_successful: bool = True
    working_directory: _Artifact | None = None
    tool_execution_notifications: list[_Notification] = []
    tool_configuration_notifications: list[_Notification] = []


class _Automation(_Base):
    id: str = ""


class _Run(_Base):
    tool: _Tool
    results: list[_Result] | None = None
    invocations: list[_Invocation] = []
    original_uri_base_ids: dict[str, _Artifact] = {}
    artifacts: list[_ArtifactEntry] = []
    automation_details: _Automation | None = None


class _Document(msgspec.Struct):
    version: str
    runs: list[_Run]


def read_sarif(raw: bytes, reading: Reading) -> Printed:
    """One report a run: security, typecheck or lint, by the tool's name and its rules."""
    document = decode(raw, _Document)
    if not document.version.startswith(VERSION):
        raise UnreadableOutput(f"This reads SARIF {VERSION}.", pointer="/version")
    if not document.runs:
        raise UnreadableOutput("It has no run, so nothing was graded.", pointer="/runs")
    return Printed(tuple(_read_run(run, reading) for run in document.runs))


def _read_run(run: _Run, reading: Reading) -> PrintedReport:
    driver = run.tool.driver
    part = clean_word(run.automation_details.id) if run.automation_details else ""
    tool = reading.tool or clean_word(f"{driver.name} {part}") or "sarif"
    grader = reading.grader or _grader_of(driver)
    faults = [
        name_fault(grader, "tool-error", f"The tool says: {_text(told.message, None)}")
        for ran in run.invocations
        for told in (*ran.tool_execution_notifications, *ran.tool_configuration_notifications)
        if told.level == "error"
    ]
    reader = _Reader(run, grader, reading)
    issues = [*reader.read(), *faults]
    if run.results is None:
        return hollow(grader, tool, "the run lists no results", issues=issues)
    if not all(ran.execution_successful for ran in run.invocations):
        return hollow(grader, tool, "the tool did not come to its end", issues=issues)
    return PrintedReport(
        grader,
        tool,
        f"{len(issues)} findings",
        issues,
        capabilities=(_KINDS.get(grader, IssueKind.OTHER).value,),
        trace=spot(version=clean_word(driver.version)),
        files=reader.targets(),
    )


def _grader_of(driver: _Driver) -> Grader:
    if _SECURITY.search(driver.name):
        return Grader.SECURITY
    if _TYPES.search(driver.name):
        return Grader.TYPECHECK
    scored = any(rule.properties and rule.properties.security_severity for rule in driver.rules)
    return Grader.SECURITY if scored else Grader.LINT


@dataclass(slots=True)
class _Reader:
    """The results of one run; rules and places that they only point at are looked up."""

    run: _Run
    grader: Grader
    reading: Reading

    def read(self) -> list[PrintedIssue]:
        places = Places()
        rules = {rule.id: rule for rule in self.run.tool.driver.rules}
        return [
            self._issue(result, self._rule_of(result, rules), places)
            for result in self.run.results or ()
            if result.kind not in _GOOD and result.baseline_state != "absent"
        ]

    def targets(self) -> frozenset[str] | None:
        """The files that it says it analysed. Those without a role may only be pointed at."""
        told = [one.location for one in self.run.artifacts if _TARGET in one.roles]
        return frozenset(path for one in told if (path := self._path(one))) or None

    def _rule_of(self, result: _Result, rules: dict[str, _Rule]) -> _Rule:
        reference = result.rule or _RuleReference()
        index = max(result.rule_index, reference.index)
        listed = self.run.tool.driver.rules
        if 0 <= index < len(listed):
            return listed[index]
        name = result.rule_id or reference.id
        # `CA1000/1` is a part of the rule CA1000.
        return rules.get(name) or rules.get(name.partition("/")[0]) or _Rule(id=name or "unnamed")

    def _issue(self, result: _Result, rule: _Rule, places: Places) -> PrintedIssue:
        message = _text(result.message, rule)
        rule_id = clean(result.rule_id or rule.id, 80)
        path, region, symbol = self._place(result)
        name = first_name(message) if self.grader == Grader.LINT else ""
        names = symbol or all_names(message)
        identity = scrub(message) if self.grader == Grader.SECURITY else names
        suppressed = _is_suppressed(result)
        return PrintedIssue(
            kind=_KINDS.get(self.grader, IssueKind.OTHER),
            severity=Severity.INFO if suppressed else _severity(result, rule),
            message=message,
            locator=places.locate(path, name, rule_id, identity),
            locator_precise=region.start_line is not None,
            confidence=_confidence(rule),
            detail=_detail(self.grader, rule, rule_id, names)
            | spot(
                path=path,
                line=region.start_line,
                column=region.start_column,
                end_line=region.end_line,
                end_column=region.end_column,
            )
            | ({"suppressed": True} if suppressed else {}),
        )

    def _place(self, result: _Result) -> tuple[str, _Region, str]:
        """Path, region and symbol of the first location."""
        location = result.locations[0] if result.locations else _Location()
        logical = location.logical_locations[0] if location.logical_locations else _Logical()
        symbol = clean(logical.fully_qualified_name or logical.name, 200)
        physical = location.physical_location or _Physical()
        return self._path(physical.artifact_location), physical.region or _Region(), symbol

    def _path(self, artifact: _Artifact | None) -> str:
        if artifact is None:
            return ""
        if not artifact.uri and 0 <= artifact.index < len(self.run.artifacts):
            artifact = self.run.artifacts[artifact.index].location or artifact
        bases = self.run.original_uri_base_ids
        roots = [base.uri for base in bases.values()]
        roots += [
            ran.working_directory.uri for ran in self.run.invocations if ran.working_directory
        ]
        return relative_path(artifact.uri, self.reading.root, *roots)


def _severity(result: _Result, rule: _Rule) -> Severity:
    """The level, or where a CVSS score says worse, the score's."""
    if result.kind == "informational":
        return Severity.INFO
    default = rule.default_configuration.level if rule.default_configuration else ""
    level = result.level or default or "warning"
    severity = _LEVELS.get(level, Severity.ERROR)
    score = _score(rule)
    told = next((band for least, band in _SCORES if score >= least), Severity.INFO)
    return max(severity, told, key=lambda one: one.rank)


def _score(rule: _Rule) -> float:
    told = rule.properties.security_severity if rule.properties else ""
    try:
        return float(told or 0)
    except ValueError:
        return 0.0


def _confidence(rule: _Rule) -> Confidence:
    precision = rule.properties.precision if rule.properties else ""
    return _PRECISIONS.get(precision, Confidence.HIGH)


def _is_suppressed(result: _Result) -> bool:
    """Suppressed, where no review is open or refused it."""
    told = result.suppressions or []
    return bool(told) and all(one.status == "accepted" for one in told)


def _detail(grader: Grader, rule: _Rule, rule_id: str, names: str) -> dict[str, Any]:
    tags = rule.properties.tags if rule.properties else []
    if grader == Grader.SECURITY:
        numbers = (_CWE.search(tag) for tag in tags)
        found = next((number for number in numbers if number), None)
        return {"rule_id": rule_id, "cwe": f"CWE-{found[1]}" if found else rule_id}
    if grader == Grader.TYPECHECK:
        return {"rule_code": rule_id, **spot(symbol=names)}
    return {"rule_id": rule_id, **spot(name=clean(rule.name, 80))}


def _text(message: _Message, rule: _Rule | None) -> str:
    """The message, with its arguments put in."""
    text = message.text or message.markdown
    if not text and rule is not None and message.id in rule.message_strings:
        string = rule.message_strings[message.id]
        text = string.text or string.markdown
    told = message.arguments

    def fill(found: re.Match[str]) -> str:
        index = int(found[1])
        return told[index] if index < len(told) else found[0]

    return clean(_ARGUMENT.sub(fill, text) if told else text) or "no message"

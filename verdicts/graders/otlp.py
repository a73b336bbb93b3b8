"""OTLP log records named `gen_ai.evaluation.result`, as JSON or protobuf.

An evaluation is most likely a model's, so its grader is `llm_judge`, whose word is advice; who
imports it may say otherwise, and so may the record's `verel.grader`. The model that judged is the
record's `verel.judge.model`: the names of the conventions are of the model that was judged.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from verdicts.domain.terms import Grader, IssueKind, Severity
from verdicts.graders.decoding import decode
from verdicts.graders.printed import (
    MalformedOutput,
    Printed,
    PrintedIssue,
    PrintedReport,
    Reading,
    UnreadableOutput,
    clean,
    clean_word,
    hollow,
)

EVENT: Final = "gen_ai.evaluation.result"
_PREFIX: Final = "gen_ai.evaluation."
MAX_RECORDS: Final = 100_000
_PASSED: Final = frozenset(
    ["pass", "passed", "ok", "success", "succeeded", "correct", "true", "yes", "good"]
)
_FAILED: Final = frozenset(
    ["fail", "failed", "failure", "incorrect", "false", "no", "bad", "error"]
)


class _Value(msgspec.Struct, rename="camel", frozen=True):
    string_value: str | None = None
    double_value: float | str | None = None
    int_value: int | str | None = None
    bool_value: bool | None = None


class _Pair(msgspec.Struct):
    key: str
    value: _Value = _Value()


class _Record(msgspec.Struct, rename="camel"):
    attributes: list[_Pair] = []
    event_name: str = ""
    trace_id: str = ""
    span_id: str = ""


class _Scope(msgspec.Struct, rename="camel"):
    log_records: list[_Record] = []


class _Resource(msgspec.Struct, rename="camel"):
    scope_logs: list[_Scope] = []


class _Document(msgspec.Struct, rename="camel"):
    resource_logs: list[_Resource]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One record. `score` is None where there is none, or none that is a number."""

    name: str
    label: str
    score: float | None
    explanation: str
    error: str
    response: str
    trace: str
    grader: str
    branch: str
    model: str


def read_otlp(raw: bytes, reading: Reading) -> Printed:
    """One report for each name of an evaluation and each model that judged, over all of its
    records in this body. A second model is a second tool: neither replaces the other's word."""
    found = [
        _evaluation(name, attributes, trace)
        for name, attributes, trace in _records(raw)
        if EVENT in (name, attributes.get("event.name"))
    ]
    if not found:
        raise UnreadableOutput(f"It has no log record named {EVENT}.")
    if len(found) > MAX_RECORDS:
        raise UnreadableOutput(f"It has more than {MAX_RECORDS} evaluations.")
    named: dict[tuple[Grader, str, str], list[Evaluation]] = {}
    for one in found:
        grader = reading.grader or _grader_of(one.grader)
        named.setdefault((grader, reading.tool or one.name, one.model), []).append(one)
    reports = (
        _report(grader, clean_word(f"{tool} {model}"), told, model)
        for (grader, tool, model), told in named.items()
    )
    return Printed(tuple(reports))


def branches_named(raw: bytes) -> set[UUID]:
    """The branches that records say they are about, as far as those are ids of Verel."""
    found = set()
    for _, attributes, _ in _records(raw):
        try:
            found.add(UUID(attributes.get("verel.branch.id", "")))
        except ValueError:
            continue
    return found


type _Plain = tuple[str, dict[str, str], str]


def _records(raw: bytes) -> Iterable[_Plain]:
    return _json_records(raw) if raw.lstrip()[:1] == b"{" else _protobuf_records(raw)


def _json_records(raw: bytes) -> Iterable[_Plain]:
    for resource in decode(raw, _Document).resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                pairs = {pair.key: _told(pair.value) for pair in record.attributes}
                yield record.event_name, pairs, record.trace_id


def _told(value: _Value) -> str:
    plain = (value.string_value, value.double_value, value.int_value, value.bool_value)
    known = next((one for one in plain if one is not None), "")
    return str(known)


def _protobuf_records(raw: bytes) -> Iterable[_Plain]:
    try:
        request = ExportLogsServiceRequest.FromString(raw)
    except (DecodeError, RecursionError) as error:
        raise MalformedOutput("This is neither OTLP JSON nor OTLP protobuf.") from error
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                pairs = {}
                for pair in record.attributes:
                    kind = pair.value.WhichOneof("value")
                    simple = kind in ("string_value", "double_value", "int_value", "bool_value")
                    pairs[pair.key] = str(getattr(pair.value, kind)) if simple else ""
                yield record.event_name, pairs, record.trace_id.hex()


def _evaluation(event: str, attributes: dict[str, str], trace: str) -> Evaluation:
    def told(name: str) -> str:
        return attributes.get(_PREFIX + name, "")

    return Evaluation(
        name=clean_word(told("name")) or "evaluation",
        label=clean_word(told("score.label")),
        score=_number(told("score.value")),
        explanation=clean(told("explanation")),
        error=clean_word(attributes.get("error.type", "")),
        response=clean(attributes.get("gen_ai.response.id", ""), 200),
        trace=clean_word(trace),
        grader=attributes.get("verel.grader", ""),
        branch=attributes.get("verel.branch.id", ""),
        model=clean_word(attributes.get("verel.judge.model", "")),
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _grader_of(text: str) -> Grader:
    named = next((grader for grader in Grader if grader.value == text), Grader.LLM_JUDGE)
    return Grader.LLM_JUDGE if named == Grader.HUMAN else named


def _report(grader: Grader, tool: str, told: list[Evaluation], model: str) -> PrintedReport:
    ran = [one for one in told if not one.error]
    issues = [issue for one in told if (issue := _issue(one)) is not None]
    if not ran:
        return hollow(
            grader, tool, f"every evaluation errored: {told[0].error}", issues=issues, model=model
        )
    only = told[0]
    summary = f"{len(told) - len(issues)} of {len(told)} passed"
    if len(told) == 1:
        summary = " ".join(part for part in (only.label, only.explanation) if part) or summary
    return PrintedReport(
        grader, tool, clean(summary), issues, capabilities=(only.name,), model=model
    )


def _issue(one: Evaluation) -> PrintedIssue | None:
    """An evaluation that failed or errored, or that says neither pass nor fail: a warning."""
    label = one.label.lower()
    if label in _PASSED and not one.error:
        return None
    bad = bool(one.error) or label in _FAILED
    if one.error:
        message = f"{one.name} did not come to a result: {one.error}"
    elif bad:
        message = one.explanation or f"{one.name}: {one.label}"
    else:
        message = f"{one.name} says {one.label or 'nothing'}, which is neither pass nor fail"
    return PrintedIssue(
        kind=IssueKind.OTHER,
        severity=Severity.ERROR if bad else Severity.WARNING,
        message=message,
        locator=one.name,
        detail={
            "test_id": one.name,
            "rule_id": one.name,
            "score": one.score,
            "label": one.label,
            "response": one.response,
            "trace_id": one.trace,
        },
    )

"""Output that an agent, a broken tool or a cut pipe can make: a clear refusal, or a report that
does not open the gate; never a hollow green, and never anything else."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verdicts.graders.printouts import (
    FORMAT_OF,
    HEAD,
    filed,
    fingerprints,
    one,
    reports,
    sample,
)
from verdicts.domain.facts import ReportFacts
from verdicts.domain.gate import decide_gate
from verdicts.domain.terms import Grader, IssueKind, Severity, Verdict
from verdicts.graders.formats import FORMATS
from verdicts.graders.printed import MAX_KEPT, MalformedOutput, Reading, UnreadableOutput
from verdicts.report_form import MAX_ISSUES, ReadReport
from verel_site.kit.refusals import Refusal

JSON_SAMPLES = sorted(name for name in FORMAT_OF if name.endswith((".json", ".jsonl")))


def gate(*reports: ReadReport) -> Verdict:
    """The verdict of a gate that requires nothing, on these reports alone."""
    facts = [
        ReportFacts(
            report.grader,
            errored=report.errored,
            issues=tuple(issue.facts for issue in report.issues),
            tool=report.tool,
            order=order,
        )
        for order, report in enumerate(reports, 1)
    ]
    return decide_gate(
        reports=facts,
        required=(),
        frozen_suites={},
        changed_files=frozenset(),
        inputs_digest="",
    ).verdict


def suite(inner: str, head: str = "", **attributes: object) -> str:
    told = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f'<?xml version="1.0"?>{head}<testsuite {told}>{inner}</testsuite>'


PASSED = '<testcase classname="t" name="a"/>'
BOMB = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    "raw",
    [
        suite("&l9;", f'<!DOCTYPE r [<!ENTITY l0 "lol">{BOMB}]>'),
        suite("&x;", '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        suite("&x;", '<!DOCTYPE r [<!ENTITY x SYSTEM "http://127.0.0.1:9/">]>'),
        suite(PASSED, '<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1:9/"> %p;]>'),
        suite(PASSED, '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/r.dtd">'),
        suite(PASSED, "<!DOCTYPE testsuite>"),
        suite(PASSED, f'<!DOCTYPE r [<!ENTITY a "{"a" * 50_000}">]>'),
    ],
)
def test_a_document_type_or_an_entity_is_refused(raw: str) -> None:
    with pytest.raises(MalformedOutput, match="document type"):
        filed(raw, "junit")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<",
        b"<testsuite>",
        b"<testsuite></testcase>",
        b"<testsuite>&nope;</testsuite>",
        b"<testsuite/><testsuite/>",
        b'<?xml version="1.0" encoding="klingon"?><testsuite/>',
        b"\xff\xfe<\x00t\x00",
        b"<html><body>502 Bad Gateway</body></html>",
        b"<testsuite>" + b"<a>" * 5_000,
    ],
)
def test_what_is_no_junit_is_refused(raw: bytes) -> None:
    with pytest.raises((MalformedOutput, UnreadableOutput)):
        filed(raw, "junit")


@pytest.mark.parametrize(
    ("format", "raw"),
    [
        ("junit", suite("")),
        ("junit", "<testsuites/>"),
        ("junit", suite("<testcase name='a'><skipped/></testcase>", tests=1)),
        ("junit", suite("<testcase name='a' status='notrun'/>", tests=1)),
        ("junit", suite("<testcase name='a'><error/></testcase>", tests=1)),
        ("pytest-json-report", '{"exitcode": 5, "summary": {}}'),
        ("pytest-json-report", '{"exitcode": 0, "summary": {}, "tests": []}'),
        ("pytest-json-report", sample("pytest_json_report.json").replace(b'code": 1', b'code": 3')),
        ("ctrf", '{"results":{"tool":{"name":"x"},"summary":{"tests":0,"failed":0},"tests":[]}}'),
        ("mypy", ""),
        ("pyright", '{"generalDiagnostics":[],"summary":{"filesAnalyzed":0,"errorCount":0}}'),
        ("bandit", '{"results":[],"metrics":{"_totals":{"loc":0}}}'),
        ("sarif", '{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}}}]}'),
        (
            "sarif",
            '{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[],'
            '"invocations":[{"executionSuccessful":false}]}]}',
        ),
    ],
)
def test_a_run_in_which_nothing_was_graded_errors_and_shuts_the_gate(
    format: str, raw: str | bytes
) -> None:
    report = one(raw, format)
    assert report.errored
    assert gate(report) == Verdict.FAIL
    clean = one(suite(PASSED), "junit")
    assert gate(clean, report) == Verdict.FAIL, "and another grader's pass does not cover it"


@pytest.mark.parametrize(
    ("format", "raw"),
    [
        ("junit", suite(PASSED, failures=1, tests=1)),
        ("junit", suite(PASSED, errors=2, tests=1)),
        ("junit", suite(PASSED, tests=300)),
        ("junit", suite("<testcase name='a' status='failed'/>" + PASSED)),
        ("junit", suite(PASSED + "<error message='set-up'/>")),
        ("ctrf", '{"results":{"tool":{"name":"x"},"summary":{"tests":2,"failed":0},'
                 '"tests":[{"name":"a","status":"passed"},{"name":"b","status":"other"}]}}'),
        ("ctrf", '{"results":{"tool":{"name":"x"},"summary":{"tests":1,"failed":1},'
                 '"tests":[{"name":"a","status":"passed"}]}}'),
        ("pytest-json-report", '{"exitcode":1,"summary":{"total":1},'
                               '"tests":[{"nodeid":"a","outcome":"passed"}]}'),
        ("pytest-json-report", '{"exitcode":0,"summary":{"failed":4,"total":1},'
                               '"tests":[{"nodeid":"a","outcome":"passed"}]}'),
        ("pytest-json-report", '{"exitcode":0,"summary":{},"tests":[{"nodeid":"a","outcome":'
                               '"passed"}],"collectors":[{"nodeid":"b.py","outcome":"failed"}]}'),
        ("pyright", '{"generalDiagnostics":[],"summary":{"filesAnalyzed":9,"errorCount":2}}'),
        ("mypy", "Found 3 errors in 2 files (checked 9 source files)\n"),
        ("bandit", '{"results":[],"metrics":{"a.py":{"loc":3}},'
                   '"errors":[{"filename":"b.py","reason":"syntax error"}]}'),
        ("bandit", '{"results":[{"filename":"a","issue_text":"t","issue_severity":"UNDEFINED",'
                   '"test_id":"B1"}],"metrics":{"a.py":{"loc":3}}}'),
        ("sarif", '{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[],'
                  '"invocations":[{"toolExecutionNotifications":'
                  '[{"level":"error","message":{"text":"out of memory"}}]}]}]}'),
    ],
)  # fmt: skip
def test_output_that_does_not_add_up_shuts_the_gate(format: str, raw: str) -> None:
    assert gate(*filed(raw, format)) == Verdict.FAIL


@pytest.mark.parametrize(
    ("format", "raw"),
    [
        ("ruff", "[]"),
        ("mypy", "\n"),
        ("mypy", "Success: no issues found in 7 source files\n"),
        ("junit", suite(PASSED, tests=1, failures=0)),
        ("pyright", '{"generalDiagnostics":[],"summary":{"filesAnalyzed":9,"errorCount":0}}'),
        ("bandit", '{"results":[],"metrics":{"a.py":{"loc":3}}}'),
        ("agentvision", sample("agentvision/1_clean.json")),
    ],
)
def test_a_clean_run_passes(format: str, raw: str | bytes) -> None:
    assert gate(*filed(raw, format)) == Verdict.PASS


SHOWN = [
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x1b]0;title\x07text", "text"),
    ("\x1b]unterminated text", "�]unterminated text"),
    ("a\x00b", "a�b"),
    ("a\x08b", "a�b"),
    ("a\u202eb", "a�b"),
    ("a\r\nb", "a\nb"),
]


@pytest.mark.parametrize(("message", "shown"), SHOWN)
def test_control_bytes_never_reach_a_report_nor_keep_one_from_being_told(
    message: str, shown: str
) -> None:
    row = {"code": "X", "filename": "a.py", "message": f"[{message}]"}
    assert one(json.dumps([row]), "ruff").issues[0].facts.message == f"[{shown}]"


@pytest.mark.parametrize(
    ("inner", "shown"),
    [
        ("a\x1b[31mb", "ab"),
        ("a\x00b", "a�b"),
        ("a&#0;b", "a�b"),
        ("a&#27;b", "a�b"),
        ("a&#xD800;b", "a�b"),
        ("a\udc80b", "a�b"),
        ("<![CDATA[a\x08b]]>", "a�b"),
    ],
)
def test_xml_that_a_runner_wrote_carelessly_is_mended(inner: str, shown: str) -> None:
    failing = f"<testcase name='x'><failure>{inner}</failure></testcase>"
    raw = suite(failing).encode("utf-8", "surrogateescape")
    assert one(raw, "junit").issues[0].facts.message == shown


@pytest.mark.parametrize(
    "escape", [rb"\u0000", rb"\ud800", rb"\udc00\ud800", b"\xff", b"\xed\xa0\x80"]
)
def test_json_text_that_no_store_takes_is_mended(escape: bytes) -> None:
    raw = b'[{"code":"X","filename":"a.py","message":"<' + escape + b'>"}]'
    message = one(raw, "ruff").issues[0].facts.message
    assert message.strip("<>").strip("�") == ""
    assert "�" in message


def test_a_backslash_before_an_escape_is_kept() -> None:
    raw = rb'[{"code":"X","filename":"a.py","message":"\\u0000 \ud83d\ude00"}]'
    assert one(raw, "ruff").issues[0].facts.message == "\\u0000 😀"


DEEP = 200_000


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest.mark.parametrize(
    "raw",
    [
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b'{"runs":' + b"[" * DEEP,
        b'{"report":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b"\x80\x81\x82",
        b"\x00",
        suite("&l9;", f'<!DOCTYPE r [<!ENTITY l0 "lol">{BOMB}]>').encode(),
        b"null",
        b"7",
        b'"text"',
        b"{}",
        b"[{}]",
        b"[null]",
        b'{"version":NaN}',
        b'{"results":1e999}',
    ],
)
def test_no_format_takes_nonsense(format: str, raw: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        filed(raw, format)
    assert refused.value.status in (400, 422)


# Colours, a title, a control, a mark that turns text round, and what no store takes.
ESCAPES = "\x1b[31m\x1b]0;t\x07\x08\u202e\x00"


def spoil(value: Any) -> Any:
    """Every text in a document with those behind it; numbers in text stay as they are."""
    if isinstance(value, dict):
        return {key: spoil(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [spoil(inner) for inner in value]
    if isinstance(value, str) and value and not value.replace(".", "").isdigit():
        return value + ESCAPES
    return value


def spoilt(name: str) -> str:
    raw = sample(name)
    if name.endswith(".xml"):
        told = raw.decode().replace('message="', 'message="&#27;[31m\x08\u202e')
        return told.replace('name="test_', 'name="\x1b[31m\u202etest_')
    if name.endswith(".jsonl"):
        return "\n".join(json.dumps(spoil(json.loads(row))) for row in raw.splitlines())
    # What a format turns on must stay what it is, or all that is seen is a refusal.
    document = spoil(json.loads(raw))
    text = json.dumps(document)
    end = json.dumps(ESCAPES)[1:-1]
    for word in KEPT_WORDS:
        text = text.replace(f'"{word}{end}"', f'"{word}"')
    return text


KEPT_WORDS = (
    "2.1.0", "gen_ai.evaluation.result", "gen_ai.evaluation.name", "gen_ai.evaluation.score.label",
    "gen_ai.evaluation.score.value", "gen_ai.evaluation.explanation", "passed", "failed",
    "skipped", "xfailed", "error", "warning", "dom", "ocr", "high", "medium", "low", "fail", "pass",
    *IssueKind,
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(name for name in FORMAT_OF if not name.endswith(".pb")))
def test_no_escape_leaves_any_adapter(name: str) -> None:
    """Wherever it stands in the output, and nothing that was found is lost for it."""
    read = reports(spoilt(name), FORMAT_OF[name])
    before = reports(sample(name), FORMAT_OF[name])
    assert [len(report.issues) for report in read] == [len(report.issues) for report in before]
    for report in read:
        told = json.dumps(report.as_json(HEAD), ensure_ascii=False)
        assert not set(told) & {"\x1b", "\x07", "\x08", "\x00", "\u202e"}
        assert "\\u0000" not in told
        assert "\\u001b" not in told


ROOT = "/ci/build-7/work"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("bandit.json", "pkg/clamp.py"), ("mypy.jsonl", "pkg/clamp.py"),
        ("pyright.json", "/repo/pkg/clamp.py"), ("ruff.json", "/repo/pkg/clamp.py"),
        ("sarif.json", "pkg/clamp.py"), ("ctrf.json", "test_clamp.py:9"),
        ("junit.xml", "test_clamp.py:"), ("pytest_json_report.json", "/repo/test_clamp.py"),
    ],
)  # fmt: skip
def test_an_absolute_path_of_another_machine_is_the_same_finding(name: str, path: str) -> None:
    raw = sample(name).decode()
    assert path in raw
    moved = raw.replace(path, f"{ROOT}/{path.removeprefix('/repo/')}")
    told = one(moved, FORMAT_OF[name], Reading(root=ROOT))
    before = one(raw, FORMAT_OF[name])
    assert fingerprints(told) == fingerprints(before)
    assert ROOT not in "".join(issue.facts.locator for issue in told.issues)


def huge_ruff(count: int, **extra: Any) -> str:
    row = {"code": "F821", "filename": "a.py", "message": "Undefined name `x`", **extra}
    return json.dumps([row] * count)


def test_more_findings_than_are_kept_leave_the_worst_and_one_that_names_the_rest() -> None:
    rows = json.loads(huge_ruff(120_000, severity="warning"))
    rows[100_000]["severity"] = "error"
    report = one(json.dumps(rows), "ruff")
    assert len(report.issues) == MAX_KEPT + 1 == MAX_ISSUES
    assert report.issues[0].facts.severity == Severity.ERROR
    rest = report.issues[-1]
    assert rest.facts.message == f"{120_000 - MAX_KEPT} more findings were printed than are kept"
    assert rest.facts.severity == Severity.WARNING, "no more than the worst that was left out"
    assert gate(report) == Verdict.FAIL
    # The number may move: it is the same finding.
    again = one(huge_ruff(6_000, severity="warning"), "ruff").issues[-1]
    assert again.facts.fingerprint == rest.facts.fingerprint


def test_what_is_left_out_of_a_long_list_of_errors_is_an_error() -> None:
    report = one(huge_ruff(6_000), "ruff")
    assert report.issues[-1].facts.severity == Severity.ERROR


def test_a_message_a_path_and_a_name_without_end_are_cut() -> None:
    row = {"code": "X" * 10**6, "filename": "a/" * 10**6, "message": "m" * 10**7}
    issue = one(json.dumps([row]), "ruff").issues[0]
    assert len(issue.facts.message) == 4_000
    assert len(issue.facts.locator) <= 2_000


wrong = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 2**31, 2**63, 10**30, 10**400]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["", "\0", "\x1b[31m", "error", "pass", "../../x", "file:///", "{0}"]),
    st.lists(st.integers() | st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a document."""
    found = [path]
    if isinstance(value, dict):
        found += [way for key, child in value.items() for way in places(child, (*path, key))]
    elif isinstance(value, list):
        found += [way for i, child in enumerate(value) for way in places(child, (*path, i))]
    return found


def changed(document: Any, way: tuple[Any, ...], value: Any, drop: bool) -> Any:
    if not way:
        return value
    document = copy.deepcopy(document)
    node = document
    for step in way[:-1]:
        node = node[step]
    if drop:
        del node[way[-1]]
    else:
        node[way[-1]] = value
    return document


def load(name: str) -> tuple[Any, Callable[[Any], bytes]]:
    raw = sample(name)
    if not name.endswith(".jsonl"):
        return json.loads(raw), lambda value: json.dumps(value).encode()
    rows = [json.loads(line) for line in raw.splitlines()]
    return (
        rows,
        lambda value: (
            b"\n".join(json.dumps(row).encode() for row in value)
            if isinstance(value, list)
            else json.dumps(value).encode()
        ),
    )


def check(raw: bytes, format: str) -> None:
    """It reads as reports that a gate can weigh, or is refused; any other exception is the test's."""
    refused: Refusal | None = None
    try:
        verdict = gate(*filed(raw, format))
    except Refusal as refusal:
        refused = refusal
    assert verdict in Verdict if refused is None else refused.status in (400, 422)


@pytest.mark.parametrize("name", JSON_SAMPLES)
def test_a_wrong_value_anywhere_is_a_report_or_a_clear_refusal(name: str) -> None:
    document, dump = load(name)
    ways = places(document)

    @settings(max_examples=50, deadline=None)
    @given(st.sampled_from(ways), wrong, st.booleans())
    def mutate(way: tuple[Any, ...], value: Any, drop: bool) -> None:
        raw = dump(changed(document, way, value, drop))
        for format in {FORMAT_OF[name], "auto"}:
            check(raw, format)

    mutate()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["junit.xml", "otlp_logs_evaluation.pb"]), st.data())
def test_bytes_changed_anywhere_are_a_report_or_a_clear_refusal(
    name: str, data: st.DataObject
) -> None:
    raw = bytearray(sample(name))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
        if not raw:
            break
    check(bytes(raw), FORMAT_OF[name])


@given(st.lists(st.sampled_from(["passed", "failed", "skipped", "error"]), max_size=6))
def test_a_junit_file_passes_only_where_a_test_passed_and_none_failed(outcomes: list[str]) -> None:
    inner = {"passed": "", "failed": "<failure/>", "skipped": "<skipped/>", "error": "<error/>"}
    cases = "".join(
        f"<testcase classname='t' name='n{i}'>{inner[outcome]}</testcase>"
        for i, outcome in enumerate(outcomes)
    )
    passes = "passed" in outcomes and not {"failed", "error"} & set(outcomes)
    assert (gate(one(suite(cases), "junit")) == Verdict.PASS) == passes


def test_a_judge_s_evaluation_can_not_shut_the_gate() -> None:
    report = one(sample("otlp_logs_evaluation.json"))
    assert (report.grader, gate(report)) == (Grader.LLM_JUDGE, Verdict.WARN)

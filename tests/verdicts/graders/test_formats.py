import json
from typing import Any

import pytest

from tests.verdicts.graders.printouts import (
    FORMAT_OF,
    filed,
    fingerprints,
    one,
    reports,
    sample,
)
from verdicts.domain.coverage import Covered
from verdicts.domain.terms import Grader
from verdicts.graders.formats import guess_format
from verdicts.graders.printed import Reading, UnreadableOutput
from verdicts.report_form import ReadReport

# Sample: for each report its grader and tool, whether it errored, its summary, and for each issue
# severity, confidence, locator, line, fingerprint.
EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "agentvision/1_clean.json": [
        ("dom", "agentvision", False, []),
        ("ocr", "agentvision", False, []),
    ],
    "agentvision/2_overflow.json": [
        ("dom", "agentvision", False, [("error", "high", "", None, "5d6987fbddfa652f")]),
        ("ocr", "agentvision", False, []),
    ],
    "agentvision/4_broken.json": [
        (
            "dom",
            "agentvision",
            False,
            [
                ("error", "high", "16,81 58×19", None, "de020d6e63239cbe"),
                ("warning", "medium", "16,116 1248×19", None, "faf42ab565672f4a"),
                ("warning", "medium", "16,151 1248×19", None, "4d3c9ca61c92132f"),
            ],
        ),
        (
            "ocr",
            "agentvision",
            False,
            [
                ("warning", "low", "16,84 57×13", None, "ad486e3bcd811e39"),
                ("warning", "low", "16,119 80×12", None, "b5ab48729b139c1e"),
            ],
        ),
    ],
    "bandit.json": [
        (
            "security",
            "bandit",
            False,
            [
                ("info", "high", "pkg/clamp.py", 2, "a2a533b1fbcd8dd7"),
                ("error", "high", "pkg/clamp.py", 8, "28dd430eb6d11b8d"),
            ],
        )
    ],
    "ctrf.json": [
        (
            "test",
            "pytest",
            False,
            [
                ("error", "high", "test_clamp.py:9", 9, "7dbd775e9c4fa1ab"),
                ("error", "high", "test_clamp.py:20", 20, "6be31b7ea5d36d67"),
            ],
        )
    ],
    "junit.xml": [
        (
            "test",
            "pytest tests",
            False,
            [
                ("error", "high", "test_clamp.py:9", 9, "77b9be4713893aeb"),
                ("error", "high", "test_clamp.py:20", 20, "edbb0d2aeccf7871"),
            ],
        )
    ],
    "mypy.jsonl": [
        (
            "typecheck",
            "mypy",
            False,
            [
                ("error", "high", "pkg/clamp.py", 7, "8e7539ba9ab0b36b"),
                ("error", "high", "pkg/clamp.py", 9, "25366a605a160434"),
            ],
        )
    ],
    "otlp_logs_evaluation.json": [
        ("llm_judge", "py-unit", False, [("error", "high", "py-unit", None, "91a5cb867d51a249")])
    ],
    "pyright.json": [
        (
            "typecheck",
            "pyright",
            False,
            [
                ("error", "high", "pkg/clamp.py", 7, "2f2e80b15ffdf662"),
                ("error", "high", "pkg/clamp.py", 9, "9c63c3edbf5f45e3"),
            ],
        )
    ],
    "ruff.json": [
        (
            "lint",
            "ruff",
            False,
            [
                ("error", "high", "pkg/clamp.py", 1, "60a408bdd31d82c2"),
                ("error", "high", "pkg/clamp.py::os", 1, "c322452ea97b5696"),
                ("error", "high", "pkg/clamp.py::y", 7, "fda6bdba020f4ade"),
                ("error", "high", "pkg/clamp.py::undefined_name", 9, "80be155d6063098e"),
            ],
        )
    ],
}
# The same run in two formats is the same failures.
EXPECTED["otlp_logs_evaluation.pb"] = EXPECTED["otlp_logs_evaluation.json"]
EXPECTED["pytest_json_report.json"] = EXPECTED["ctrf.json"]
EXPECTED["sarif.json"] = EXPECTED["ruff.json"]


@pytest.mark.parametrize("name", sorted(FORMAT_OF))
def test_a_sample_reads_as_the_table_says(name: str) -> None:
    raw = sample(name)
    assert guess_format(raw) == FORMAT_OF[name]
    told = [
        (
            report.grader.value,
            report.tool,
            report.errored,
            [
                (
                    issue.facts.severity.value,
                    issue.facts.confidence.value,
                    issue.facts.locator,
                    issue.detail.get("line"),
                    issue.facts.fingerprint,
                )
                for issue in report.issues
            ],
        )
        for report in filed(raw)
    ]
    assert told == EXPECTED[name]
    assert all(report.cost_usd is None for report in filed(raw)), "nobody said what it cost"


# What a sample names as run and as read; None where it does not say.
COVERED: dict[str, tuple[int | None, list[str] | None]] = {
    "bandit.json": (None, ["pkg/__init__.py", "pkg/clamp.py"]),
    "ctrf.json": (4, None),
    "junit.xml": (4, None),
    "pytest_json_report.json": (4, None),
}


@pytest.mark.parametrize("name", sorted(FORMAT_OF))
def test_a_report_names_what_it_ran_or_read_where_its_output_does(name: str) -> None:
    tests, files = COVERED.get(name, (None, None))
    for report in filed(sample(name)):
        covered = report.covered
        told = (None, None) if covered is None else (covered.tests, covered.files)
        assert told[0] is None if tests is None else len(told[0] or ()) == tests
        assert told[1] == (None if files is None else frozenset(files))


def test_sarif_names_what_it_analysed_and_not_what_it_points_at() -> None:
    def read(*roles: str) -> ReadReport:
        artifact = {"location": {"uri": "file:///repo/src/a.py"}, "roles": list(roles)}
        run = {"tool": {"driver": {"name": "x"}}, "results": [], "artifacts": [artifact]}
        return one(json.dumps({"version": "2.1.0", "runs": [run]}), "sarif")

    assert read("analysisTarget").covered == Covered(files=frozenset({"src/a.py"}))
    assert read("resultFile").covered is None


def test_an_import_may_say_what_a_tool_was_pointed_at() -> None:
    reading = Reading(root="/ci/x", covers=("/ci/x/src", "./b.py"))
    assert one("[]", "ruff", reading).covered == Covered(files=frozenset({"src", "b.py"}))
    # What the output itself names says more.
    told = one(sample("bandit.json"), "bandit", reading).covered
    assert told is not None
    assert told.files == frozenset({"pkg/__init__.py", "pkg/clamp.py"})


def moved(name: str) -> str:
    """The sample as another run, elsewhere and at another time, would print it: lines shifted by
    twelve, other durations, dates and directories."""
    raw = sample(name).decode()
    changes = {
        "bandit.json": [('"line_number": 2', '"line_number": 14'), ("01:40:03Z", "09:12:44Z")],
        "ctrf.json": [("test_clamp.py:9", "test_clamp.py:21"), ('"duration": 42', '"duration": 9')],
        "junit.xml": [("test_clamp.py:9", "test_clamp.py:21"), ('time="0.080"', 'time="7.5"')],
        "mypy.jsonl": [('"line": 7', '"line": 19'), ('"column": 13', '"column": 3')],
        "pyright.json": [('"line": 6', '"line": 18'), ("/repo/", "/home/runner/work/a/a/")],
        "pytest_json_report.json": [
            ('"lineno": 9', '"lineno": 21'),
            ("/repo", "/srv/x1"),
            ("0.0789", "9.0789"),
        ],
        "ruff.json": [('"row": 9', '"row": 21'), ("/repo/", "/github/workspace/")],
        "sarif.json": [
            ('"startLine": 9', '"startLine": 21'),
            ('"pkg/clamp.py"', '"file:///repo/pkg/clamp.py"'),
        ],
        "agentvision/4_broken.json": [("2230483993b3", "aaaaaaaaaaaa"), ("0.41", "0.44")],
    }
    for old, new in changes[name]:
        assert old in raw
        raw = raw.replace(old, new)
    return raw


@pytest.mark.parametrize(
    "name",
    [
        "bandit.json", "ctrf.json", "junit.xml", "mypy.jsonl", "pyright.json", "ruff.json",
        "pytest_json_report.json", "sarif.json", "agentvision/4_broken.json",
    ],
)  # fmt: skip
def test_a_rerun_with_other_lines_times_and_directories_is_the_same_failures(name: str) -> None:
    before, after = filed(sample(name)), filed(moved(name))
    assert [fingerprints(report) for report in before] == [fingerprints(one) for one in after]


def test_columns_and_lines_count_from_one_whatever_the_tool_counts_from() -> None:
    spots = {
        name: [
            (issue.detail["line"], issue.detail["column"], issue.detail["end_column"])
            for issue in one(sample(name)).issues
        ]
        for name in ("mypy.jsonl", "pyright.json", "ruff.json")
    }
    assert spots["mypy.jsonl"] == spots["pyright.json"] == [(7, 14, 20), (9, 12, 26)]
    assert (9, 12, 26) in spots["ruff.json"]


def test_two_findings_that_differ_by_their_line_alone_are_two() -> None:
    row = {"code": "E501", "filename": "a.py", "message": "Line too long (105 > 100)"}
    lines = [{**row, "location": {"row": at, "column": 101}} for at in (3, 9, 27)]
    three = fingerprints(one(json.dumps(lines), "ruff"))
    assert len(set(three)) == 3
    mended = fingerprints(one(json.dumps(lines[1:]), "ruff"))
    assert set(mended) < set(three), "mending one leaves a strict subset"


def test_errors_stand_apart_from_failures_and_an_expected_failure_proves_nothing() -> None:
    report = one(sample("junit.xml"))
    assert report.summary == "3 passed, 1 failed, 1 error, 2 skipped"
    assert [issue.detail["outcome"] for issue in report.issues] == ["failed", "error"]
    xfail = '<testsuite><testcase name="x"><skipped type="pytest.xfail"/></testcase></testsuite>'
    assert one(xfail, "junit").errored


@pytest.mark.parametrize("name", ["junit.xml", "ctrf.json", "pytest_json_report.json"])
def test_terminal_colours_are_no_part_of_a_message(name: str) -> None:
    message = one(sample(name)).issues[0].facts.message
    assert message.startswith("AssertionError: ansi red <script>alert(1)</script>\n")


@pytest.mark.parametrize(
    ("path", "root", "left"),
    [
        ("file:///repo/pkg/a%20b.py", "", "pkg/a b.py"),
        ("file://localhost/srv/x/pkg/a.py", "/srv/x", "pkg/a.py"),
        ("/srv/x/pkg/a.py", "/srv/x/", "pkg/a.py"),
        ("/srv/xy/pkg/a.py", "/srv/x", "/srv/xy/pkg/a.py"),
        ("file:///C:/work/pkg/a.py", "C:\\work", "pkg/a.py"),
        ("C:\\work\\pkg\\a.py", "C:\\work", "pkg/a.py"),
        ("./pkg/../pkg/a.py", "", "pkg/a.py"),
        ("/home/runner/work/verel/verel/pkg/a.py", "", "pkg/a.py"),
        ("/builds/group/verel/pkg/a.py", "", "pkg/a.py"),
        ("/nowhere/pkg/a.py", "", "/nowhere/pkg/a.py"),
        ("/repo/", "", "/repo"),
        ("", "", ""),
    ],
)
def test_absolute_paths_become_relative(path: str, root: str, left: str) -> None:
    row = {"code": "X", "filename": path, "message": "m"}
    report = one(json.dumps([row]), "ruff", Reading(root=root))
    assert report.issues[0].facts.locator == left


def test_sarif_names_the_kind_of_grader_by_the_tool_and_scores() -> None:
    def grader(driver: dict[str, Any]) -> Grader:
        run = {"tool": {"driver": driver}, "results": []}
        return one(json.dumps({"version": "2.1.0", "runs": [run]}), "sarif").grader

    scored = {"id": "r", "properties": {"security-severity": "8.1"}}
    assert grader({"name": "Semgrep OSS"}) == Grader.SECURITY
    assert grader({"name": "mypy"}) == Grader.TYPECHECK
    assert grader({"name": "eslint"}) == Grader.LINT
    assert grader({"name": "in-house", "rules": [scored]}) == Grader.SECURITY


def sarif(*results: dict[str, Any], **run: Any) -> str:
    driver = {
        "name": "scanner-security",
        "rules": [
            {
                "id": "py/sql",
                "messageStrings": {"default": {"text": "{0} reaches {1}"}},
                "defaultConfiguration": {"level": "note"},
                "properties": {
                    "security-severity": "9.1",
                    "precision": "low",
                    "tags": ["external/cwe/cwe-089"],
                },
            }
        ],
    }
    document = {
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [*results], **run}],
    }
    return json.dumps(document)


def test_sarif_results_take_what_their_rule_says() -> None:
    result = {"ruleIndex": 0, "message": {"id": "default", "arguments": ["input", "a query"]}}
    issue = one(sarif(result), "sarif").issues[0]
    assert issue.facts.message == "input reaches a query"
    assert (issue.facts.severity, issue.facts.confidence) == ("critical", "low")
    assert issue.detail["cwe"] == "CWE-89"


@pytest.mark.parametrize(
    ("extra", "severities"),
    [
        ({"level": "error"}, ["error"]),
        ({}, ["warning"]),
        ({"level": "error", "kind": "pass"}, []),
        ({"level": "error", "baselineState": "absent"}, []),
        ({"level": "error", "suppressions": [{"kind": "inSource"}]}, ["info"]),
        ({"level": "error", "suppressions": [{"status": "rejected"}]}, ["error"]),
        ({"level": "error", "suppressions": []}, ["error"]),
        ({"level": "fatal"}, ["error"]),
    ],
)
def test_sarif_results_weigh_by_level_kind_and_suppression(
    extra: dict[str, Any], severities: list[str]
) -> None:
    report = one(sarif({"ruleId": "other", "message": {"text": "m"}, **extra}), "sarif")
    assert [issue.facts.severity for issue in report.issues] == severities


def test_sarif_paths_are_relative_to_the_bases_that_the_run_names() -> None:
    place = {"physicalLocation": {"artifactLocation": {"index": 0}}}
    report = one(
        sarif(
            {"ruleId": "other", "message": {"text": "m"}, "locations": [place]},
            artifacts=[{"location": {"uri": "file:///srv/job/7/pkg/a.py"}}],
            originalUriBaseIds={"SRCROOT": {"uri": "file:///srv/job/7/"}},
        ),
        "sarif",
    )
    assert report.issues[0].facts.locator == "pkg/a.py"


def test_two_runs_of_one_tool_are_told_apart() -> None:
    document = json.loads(sample("sarif.json"))
    document["runs"] *= 2
    assert [report.tool for report in reports(json.dumps(document), "sarif")] == ["ruff", "ruff #2"]


def vision(**change: Any) -> str:
    document = json.loads(sample("agentvision/2_overflow.json"))
    document["report"] |= change
    return json.dumps(document)


def test_agentvision_is_trusted_by_the_source_of_each_issue_and_never_by_its_backend() -> None:
    row = json.loads(vision())["report"]["issues"][0]
    rows = [{**row, "source": source} for source in ("dom", "vision", "ocr", "llm", "lidar")]
    for backend in ("local", "precise-dom", "gpt"):
        told = filed(vision(issues=rows, backend=backend))
        assert [(report.grader.value, len(report.issues)) for report in told] == [
            ("vision", 2), ("dom", 1), ("ocr", 1), ("other", 1),
        ]  # fmt: skip


def test_where_a_model_judged_silence_is_no_word_of_the_dom() -> None:
    clean = vision(issues=[], verdict="pass", model="some-vlm")
    assert [report.grader for report in filed(clean)] == [Grader.VISION]
    named = filed(clean, "agentvision", Reading(senses=(Grader.DOM,)))
    assert [report.grader for report in named] == [Grader.DOM]


def test_a_capability_that_is_gone_is_a_warning_and_a_new_one_is_noted() -> None:
    able = ["contrast", "overflow", "broken_image", "error_text", "typo", "other", "motion"]
    eye = next(r for r in filed(vision(capabilities=able)) if r.grader == Grader.VISION)
    assert [(i.facts.severity, i.facts.message) for i in eye.issues] == [
        ("warning", "It no longer says that it looks for blank")
    ]
    assert eye.trace["capability_drift"] == ["motion"]


def test_agentvision_that_says_fail_and_lists_no_error_does_not_pass() -> None:
    told = filed(vision(issues=[], verdict="fail"))
    assert any(report.grader == Grader.VISION and report.issues for report in told)


def test_each_model_that_judged_is_a_tool_of_its_own() -> None:
    document = json.loads(sample("otlp_logs_evaluation.json"))
    scope = document["resourceLogs"][0]["scopeLogs"][0]
    record = scope["logRecords"][0]
    told = [
        {"key": "verel.judge.model", "value": {"stringValue": model}}
        for model in ("claude-opus-4", "gpt-4.1")
    ]
    scope["logRecords"] = [
        record,
        *({**record, "attributes": [*record["attributes"], one]} for one in told),
    ]
    assert [(report.tool, report.model) for report in reports(json.dumps(document), "otlp")] == [
        ("py-unit", ""),
        ("py-unit claude-opus-4", "claude-opus-4"),
        ("py-unit gpt-4.1", "gpt-4.1"),
    ]


def test_evaluations_of_one_name_are_one_report() -> None:
    document = json.loads(sample("otlp_logs_evaluation.json"))
    records = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    passed = json.loads(json.dumps(records[0]))
    passed["attributes"][2]["value"]["stringValue"] = "pass"
    records += [passed, {"eventName": "other"}]
    report = one(json.dumps(document))
    assert (report.summary, len(report.issues)) == ("1 of 2 passed", 1)
    as_test = one(json.dumps(document), "otlp", Reading(grader=Grader.TEST))
    assert as_test.grader == Grader.TEST


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"hello", b'{"a": 1}\n', b"\n"])
def test_what_could_be_anything_is_not_guessed_at(raw: bytes) -> None:
    with pytest.raises(UnreadableOutput):
        guess_format(raw)

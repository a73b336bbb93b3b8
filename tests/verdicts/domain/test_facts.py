import dataclasses
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from tests.verdicts.domain.strategies import issues
from verdicts.domain.coverage import Covered
from verdicts.domain.facts import IssueFacts, covered_digest, result_digest
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity, Verdict


def _packed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def test_the_result_digest_is_what_its_docstring_says() -> None:
    issue = IssueFacts(
        kind=IssueKind.TEST_FAILURE,
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        source=Grader.TEST,
        fingerprint="0" * 16,
        message="ü",
        locator="a.py",
    )
    row = _packed(b"test_failure", b"error", b"high", b"test", b"0" * 16, "ü".encode(), b"a.py")
    expected = hashlib.sha256(_packed(b"fail", b"false") + _packed(row)).hexdigest()
    assert result_digest(verdict=Verdict.FAIL, errored=False, issues=[issue]) == expected


def test_what_is_covered_is_signed_as_the_docstrings_say() -> None:
    tests = _packed(b"tests", b"a::b", "ü".encode())
    files = _packed(b"files")
    told = hashlib.sha256(_packed(tests) + _packed(files)).hexdigest()
    assert covered_digest(Covered(frozenset({"ü", "a::b"}), frozenset())) == told
    row = _packed(b"covered", told.encode())
    expected = hashlib.sha256(_packed(b"pass", b"false") + _packed(row)).hexdigest()
    found = result_digest(verdict=Verdict.PASS, errored=False, issues=[], covered=told)
    assert found == expected


names = st.none() | st.frozensets(st.text(max_size=2), max_size=3)


@given(names, names, names, names)
def test_only_the_same_names_have_the_same_covered_digest(
    tests: frozenset[str] | None,
    files: frozenset[str] | None,
    others: frozenset[str] | None,
    more: frozenset[str] | None,
) -> None:
    one, other = covered_digest(Covered(tests, files)), covered_digest(Covered(others, more))
    assert (one == other) == ((tests, files) == (others, more))
    assert (one == "") == (tests is None and files is None)
    assert covered_digest(None) == ""


@given(st.lists(st.text(max_size=4).flatmap(lambda text: st.integers(0, 700).map(text.__mul__))))
def test_any_text_is_signed_by_its_bytes_and_their_length(messages: list[str]) -> None:
    told = [
        IssueFacts(
            IssueKind.LINT, Severity.INFO, Confidence.LOW, Grader.LINT, "f" * 16, text, text[:3]
        )
        for text in messages
    ]
    rows = [
        _packed(b"lint", b"info", b"low", b"lint", b"f" * 16, *map(_as_bytes, (text, text[:3])))
        for text in messages
    ]
    expected = hashlib.sha256(_packed(b"pass", b"true") + b"".join(map(_packed, sorted(rows))))
    found = result_digest(verdict=Verdict.PASS, errored=True, issues=told)
    assert found == expected.hexdigest()


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@given(st.lists(issues(), max_size=5), st.randoms())
def test_the_order_of_issues_does_not_change_the_result_digest(found, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(found)
    random.shuffle(shuffled)
    first = result_digest(verdict=Verdict.FAIL, errored=False, issues=found)
    assert result_digest(verdict=Verdict.FAIL, errored=False, issues=shuffled) == first


@given(issues(), st.sampled_from(["kind", "severity", "message", "locator", "fingerprint"]))
def test_every_signed_field_of_an_issue_changes_the_result_digest(
    issue: IssueFacts, name: str
) -> None:
    other = {
        "kind": next(kind for kind in IssueKind if kind != issue.kind),
        "severity": next(severity for severity in Severity if severity != issue.severity),
    }.get(name, getattr(issue, name) + "x")
    changed = dataclasses.replace(issue, **{name: other})
    first = result_digest(verdict=Verdict.WARN, errored=False, issues=[issue])
    assert result_digest(verdict=Verdict.WARN, errored=False, issues=[changed]) != first


def test_verdict_and_errored_are_signed_too() -> None:
    digests = {
        result_digest(verdict=verdict, errored=errored, issues=[])
        for verdict in Verdict
        for errored in (False, True)
    }
    assert len(digests) == 6


def test_text_cannot_move_from_one_field_into_the_next() -> None:
    base = IssueFacts(
        kind=IssueKind.OTHER,
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        source=Grader.OTHER,
        fingerprint="f" * 16,
        message="ab",
        locator="c",
    )
    moved = dataclasses.replace(base, message="a", locator="bc")
    assert result_digest(verdict=Verdict.PASS, errored=False, issues=[base]) != result_digest(
        verdict=Verdict.PASS, errored=False, issues=[moved]
    )

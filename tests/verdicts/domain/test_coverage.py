"""What a run that was narrowed says nothing of."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts.domain.coverage import Covered, Sighted, covers, left_out
from verdicts.domain.terms import Grader

SUITE, OTHER = "a" * 64, "b" * 64


def ran(*tests: str, suite: str = "") -> Covered:
    return Covered(tests=frozenset(tests), suite=suite)


def read(*files: str) -> Covered:
    return Covered(files=frozenset(files))


def by_test(test_id: str, suite: str = "") -> Sighted:
    return Sighted(Grader.TEST, test_id, suite=suite)


def at(path: str, source: Grader = Grader.LINT) -> Sighted:
    return Sighted(source, "E501", path)


CASES: list[tuple[str, Covered, Sighted, bool]] = [
    ("a report that names nothing", Covered(), by_test("a::b"), True),
    ("and of a file", Covered(), at("src/a.py"), True),
    ("the test itself", ran("a::b", "a::c"), by_test("a::b"), True),
    ("another test", ran("a::c"), by_test("a::b"), False),
    ("no test at all", ran(), by_test("a::b"), False),
    ("a name that only begins so", ran("a::bc"), by_test("a::b"), False),
    ("a module that loads again", ran("a::b"), by_test("a"), True),
    ("and another module", ran("ab::b"), by_test("a"), False),
    ("a hollow run before", ran("a::c"), by_test("verel/did-not-grade"), True),
    ("tests say nothing of files", ran("a::c"), at("src/a.py"), True),
    ("the file itself", read("src/a.py"), at("src/a.py"), True),
    ("another file", read("src/b.py"), at("src/a.py"), False),
    ("a folder", read("src"), at("src/deep/a.py"), True),
    ("a folder with its slash", read("src/"), at("src/a.py"), True),
    ("a folder that only begins so", read("sr"), at("src/a.py"), False),
    ("everything", read("."), at("src/a.py"), True),
    ("no file at all", read(), at("src/a.py"), False),
    ("what is in no file", read("src/b.py"), at("", Grader.DOM), True),
    ("files say nothing of tests", read("src/b.py"), by_test("a::b"), True),
    ("its own suite", Covered(suite=SUITE), by_test("a::b", SUITE), True),
    ("another suite", Covered(suite=OTHER), by_test("a::b", SUITE), False),
    ("no suite", Covered(), by_test("a::b", SUITE), False),
    ("another suite that names the test", ran("a::b", suite=OTHER), by_test("a::b", SUITE), True),
    ("its own suite without the test", ran("a::c", suite=SUITE), by_test("a::b", SUITE), False),
    ("a suite where none was", Covered(suite=SUITE), by_test("a::b"), True),
]


@pytest.mark.parametrize(
    ("covered", "sighted", "looked"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_report_covers_what_the_table_says(
    covered: Covered, sighted: Sighted, looked: bool
) -> None:
    assert covers(covered, sighted) is looked


@pytest.mark.parametrize(
    ("source", "locator", "detail", "test_id", "path"),
    [
        (Grader.TEST, "tests/a.py:7", {"test_id": "a::b", "path": "tests/a.py"}, "a::b",
         "tests/a.py"),
        (Grader.TEST, "a::b", {}, "a::b", ""),
        (Grader.LINT, "src/a.py::os#2", {"rule_id": "F401"}, "F401", "src/a.py"),
        (Grader.TYPECHECK, "src/a.py:12:3", {}, "", "src/a.py"),
        (Grader.SECURITY, "src/a.py#2", {"path": "src/a.py"}, "", "src/a.py"),
        (Grader.DOM, "main > .card", {}, "", ""),
        (Grader.LINT, "src/a.py", {"path": 7}, "", "src/a.py"),
    ],
)  # fmt: skip
def test_a_finding_says_where_it_was(
    source: Grader, locator: str, detail: dict[str, Any], test_id: str, path: str
) -> None:
    sighted = Sighted.of(source=source, locator=locator, detail=detail)
    assert (sighted.test_id, sighted.path) == (test_id, path)


names = st.text("ab:/.", max_size=6)
some = st.none() | st.frozensets(names, max_size=4)


@given(some, some, some, some)
def test_what_is_left_out_was_named_before_and_is_not_now(
    tests: frozenset[str] | None,
    files: frozenset[str] | None,
    tests_now: frozenset[str] | None,
    files_now: frozenset[str] | None,
) -> None:
    earlier, later = Covered(tests, files), Covered(tests_now, files_now)
    lost = left_out(earlier, later)
    assert left_out(earlier, earlier) == Covered()
    assert left_out(earlier, Covered()) == Covered(), "who names nothing looked at all"
    assert (lost.tests or frozenset()) == (
        frozenset() if tests_now is None else (tests or frozenset()) - tests_now
    )
    assert (lost.files or frozenset()) <= (files or frozenset()) - (files_now or frozenset())
    assert lost.files is None or files_now is not None


@given(some, some, st.sampled_from(["", SUITE, OTHER]), st.sampled_from(Grader), names, names)
def test_who_names_less_never_covers_more(
    tests: frozenset[str] | None,
    files: frozenset[str] | None,
    suite: str,
    source: Grader,
    name: str,
    path: str,
) -> None:
    sighted = Sighted(source, name, path)
    if covers(Covered(tests, files, suite), sighted):
        more = Covered(
            None if tests is None else tests | {"z"},
            None if files is None else files | {"z"},
            suite,
        )
        assert covers(more, sighted)
        assert covers(Covered(suite=suite), sighted)

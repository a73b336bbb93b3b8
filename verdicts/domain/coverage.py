"""What a report's silence about a failure means: that it is gone, or only that nobody looked.

A run that was narrowed to some tests or files says nothing of the others, so it resolves nothing
there. What a report looked at is

- for what tests found, the tests that it names as run (JUnit, CTRF and pytest list them): the test
  itself, or any inside it where it was a module or a class that failed to load;
- for what is in a file, the files that it names (bandit and SARIF's analysis targets, what an
  import says the tool was pointed at, and before these the coverage that a valid receipt signs), or folders of them;
- its suite: what a run of a frozen suite found is gone by a run of that suite, or by a run that
  names the very test.

A report that names none of these speaks for the whole head, as it does to the gate. A finding about
the output itself (that it was hollow, or does not add up) is gone with the next run that is sound.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from verdicts.domain.terms import Grader

# How adapters name their findings about an output itself.
OWN_RULES: Final = "verel/"
# What these find is in the file that their locator begins with.
_IN_FILES: Final = frozenset({Grader.TYPECHECK, Grader.LINT, Grader.SECURITY})
_PLACE: Final = re.compile(r"(?:::|#).*|:\d+(?::\d+)?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Covered:
    """What a report looked at. `tests` and `files` are None where it does not say; `suite` is the
    digest that its receipt names, or empty."""

    tests: frozenset[str] | None = None
    files: frozenset[str] | None = None
    suite: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What earlier reports of a tool on a lineage looked at, and a later one did not. `what` is
    `tests` or `files`, `first` are a few of the `count` names."""

    what: str
    count: int
    first: tuple[str, ...] = ()


def left_out(earlier: Covered, later: Covered) -> Covered:
    """The names that `earlier` has and `later` does not, where both name any. Who names nothing
    speaks for the whole head, and leaves out nothing."""

    def lost(before: frozenset[str] | None, now: frozenset[str] | None) -> frozenset[str] | None:
        return None if before is None or now is None else before - now

    tests, files = lost(earlier.tests, later.tests), lost(earlier.files, later.files)
    if files and later.files is not None:
        files = frozenset(path for path in files if not _names_file(later.files, path))
    return Covered(tests or None, files or None)


@dataclass(frozen=True, slots=True)
class Sighted:
    """Where a failure was found, and under which suite."""

    source: Grader
    test_id: str = ""
    path: str = ""
    suite: str = ""

    @classmethod
    def of(
        cls, *, source: Grader, locator: str, detail: Mapping[str, object], suite: str = ""
    ) -> "Sighted":
        """As the issue itself tells it. A test without an id goes by its locator, as its
        fingerprint does."""
        told = detail.get("path")
        path = told if isinstance(told, str) else ""
        if not path and source in _IN_FILES:
            path = _PLACE.sub("", locator)
        test_id = detail.get("test_id") or (locator if source == Grader.TEST else "")
        rule = detail.get("rule_id")
        named = str(test_id or rule or "")
        return cls(source, named, path, suite)


@dataclass(frozen=True, slots=True)
class Unlooked:
    """A failure that a tool of a grader found on a branch, or before its fork, that nothing has
    resolved, and for which nothing on the present head looked. `name` says in words where it is."""

    grader: Grader
    tool: str
    fingerprint: str
    name: str


def covers(covered: Covered, sighted: Sighted) -> bool:
    """Whether a report would have found the failure, had it still been there."""
    if sighted.test_id.startswith(OWN_RULES):
        return True
    if sighted.source == Grader.TEST and covered.tests is not None:
        return _names_test(covered.tests, sighted.test_id)
    if sighted.suite and covered.suite != sighted.suite:
        return False
    if sighted.source == Grader.TEST or covered.files is None or not sighted.path:
        return True
    return _names_file(covered.files, sighted.path)


def _names_test(tests: Collection[str], test_id: str) -> bool:
    inside = f"{test_id}::"
    return test_id in tests or any(name.startswith(inside) for name in tests)


def _names_file(files: Collection[str], path: str) -> bool:
    if path in files or "." in files:
        return True
    return any(path.startswith(f"{name.rstrip('/')}/") for name in files if name)

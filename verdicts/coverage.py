"""What a report names as run or read, kept beside it: a list may be as long as a test suite.

Beside its own names a row keeps those that earlier reports of the tool on the lineage named and it
did not. So one row tells all that the tool ever looked at there, and what a narrowed report left
out is left out of every report after it, until one looks there again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import batched
from typing import Any, Final

import msgspec
import zstandard
from django.db.models import QuerySet

from branches.models import Branch
from branches.selectors.lineage import read_lineage
from verdicts.domain.coverage import Covered, left_out
from verdicts.domain.facts import ReceiptStanding
from verdicts.failure_models import Coverage, Failure
from verdicts.models import Issue, Report
from verdicts.receipts import Checked
from verdicts.report_form import ReadReport

AT_ONCE: Final = 400
FIRST_NAMES: Final = 3
# More than any list that `MAX_COVERED` names of `MAX_COVERED_NAME` letters comes to.
_MAX_BYTES: Final = 2**31


def keep_covered(*, report: Report, covered: Covered, earlier: Covered) -> None:
    """Call once for a report that names anything, in the transaction that stores it; `earlier` as
    `find_earlier` gives it."""
    told: dict[str, Any] = {"tests": _listed(covered.tests), "files": _listed(covered.files)}
    before = {
        "tests": _listed((earlier.tests or frozenset()) - (covered.tests or frozenset())),
        "files": _listed((earlier.files or frozenset()) - (covered.files or frozenset())),
    }
    if any(before.values()):
        told["before"] = before
    Coverage.objects.create(report=report, names=zstandard.compress(msgspec.json.encode(told)))


def _listed(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def find_earlier(branch: Branch, read: ReadReport, checked: Checked | None) -> Covered:
    """All that earlier reports of the tool on the branch, or on its lineage up to the fork, named as
    looked at; nothing for a report that names nothing itself, or did not run. One query, two more
    for the first of a tool on a fork.

    A run of a suite, as a receipt that holds proves, is compared with runs of that suite alone:
    cases that a rotation retired are not left out.
    """
    if read.covered is None or read.errored:
        return Covered()
    rows = Coverage.objects.filter(
        report__grader=read.grader, report__tool=read.tool, report__errored=False
    )
    valid = ReceiptStanding.VALID
    if checked and checked.standing == valid and checked.claims.suite_digest:
        suite = checked.claims.suite_digest
        rows = rows.filter(report__suite_digest=suite, report__receipt_standing=valid)
    row = rows.filter(report__branch=branch).order_by("-report__order").first()
    if row is None and branch.parent_id is not None:
        row = _find_inherited(rows, branch)
    told = _read_names(bytes(row.names)) if row else {}
    before = told.get("before") or {}

    def all_of(what: str) -> frozenset[str] | None:
        return frozenset([*(told.get(what) or ()), *(before.get(what) or ())]) or None

    return Covered(all_of("tests"), all_of("files"))


def _find_inherited(rows: QuerySet[Coverage], branch: Branch) -> Coverage | None:
    """The nearest ancestor's newest, of a head that the branch has too."""
    segments = read_lineage(branch)[:-1]
    height = {one.branch: (place, one.upto) for place, one in enumerate(segments)}
    told = rows.filter(report__branch__in=list(height)).values_list(
        "report__branch_id", "report__head_seq", "report__order", "pk"
    )
    within = [
        (height[owner][0], order, pk) for owner, seq, order, pk in told if seq <= height[owner][1]
    ]
    return Coverage.objects.get(pk=max(within)[2]) if within else None


def tell_left_out(earlier: Covered, covered: Covered | None) -> list[dict[str, Any]]:
    """As `Report.left_out` keeps it: how many tests and files, and the first few names."""
    if covered is None:
        return []
    lost = left_out(earlier, covered)
    named = (("tests", lost.tests), ("files", lost.files))
    return [
        {"what": what, "count": len(names), "first": sorted(names)[:FIRST_NAMES]}
        for what, names in named
        if names
    ]


def read_named(report: Report) -> Covered:
    """What the report itself names. One query."""
    row = Coverage.objects.filter(report=report.pk).first()
    told: Mapping[str, Any] = _read_names(bytes(row.names)) if row else {}
    tests, files = told.get("tests"), told.get("files")
    return Covered(
        tests=None if tests is None else frozenset(tests),
        files=None if files is None else frozenset(files),
        suite=report.suite_digest,
    )


def read_covered(report: Report) -> Covered:
    """What the report looked at; one query. Files that a receipt signs, if that held when it came,
    stand before those that the report names: whoever carries a report may not widen what its runner
    looked at."""
    named = read_named(report)
    if report.receipt_standing == ReceiptStanding.VALID:
        signed = report.receipt_claims.get("covered_files")
        return replace(named, files=frozenset(signed)) if signed else named
    return named


def _read_names(names: bytes) -> Mapping[str, Any]:
    told: Mapping[str, Any] = msgspec.json.decode(
        zstandard.decompress(names, max_output_size=_MAX_BYTES)
    )
    return told


def read_details(failures: Sequence[Failure]) -> dict[str, Mapping[str, Any]]:
    """By fingerprint, the detail of the issue that each of one project's failures was found first
    by."""
    told: dict[str, Mapping[str, Any]] = {}
    for some in batched(failures, AT_ONCE):
        first = {(one.first_report_id, one.fingerprint) for one in some}
        rows = Issue.objects.filter(
            report__in={report for report, _ in first}, fingerprint__in={key for _, key in first}
        )
        for report, key, detail in rows.values_list("report_id", "fingerprint", "detail"):
            if (report, key) in first:
                told.setdefault(key, detail)
    return told

"""What a report names as run or read, kept beside it: a list may be as long as a test suite."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from typing import Any, Final

import msgspec
import zstandard

from verdicts.domain.coverage import Covered
from verdicts.domain.facts import ReceiptStanding
from verdicts.failure_models import Coverage, Failure
from verdicts.models import Issue, Report

AT_ONCE: Final = 400
# More than any list that `MAX_COVERED` names of `MAX_COVERED_NAME` letters comes to.
_MAX_BYTES: Final = 2**31


def keep_covered(
    *, report: Report, tests: Iterable[str] | None, files: Iterable[str] | None
) -> None:
    """Call once for a report that names either, in the transaction that stores it."""
    told = {
        "tests": None if tests is None else sorted(set(tests)),
        "files": None if files is None else sorted(set(files)),
    }
    Coverage.objects.create(report=report, names=zstandard.compress(msgspec.json.encode(told)))


def read_covered(report: Report) -> Covered:
    """One query. Files that a receipt signs, if that held when it came, stand before those that the
    report names: whoever carries a report may not widen what its runner looked at."""
    row = Coverage.objects.filter(report=report.pk).first()
    told: Mapping[str, Any] = _read_names(bytes(row.names)) if row else {}
    tests, files = told.get("tests"), told.get("files")
    if report.receipt_standing == ReceiptStanding.VALID:
        files = report.receipt_claims.get("covered_files") or files
    return Covered(
        tests=None if tests is None else frozenset(tests),
        files=None if files is None else frozenset(files),
        suite=report.suite_digest,
    )


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

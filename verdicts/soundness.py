"""Whether what was judged still is what was stored: reports, their receipts, the gate's decisions."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Subquery

from branches.models import Branch, Event, Merge
from verdicts.admission import report_facts
from verdicts.coverage import read_named
from verdicts.domain.facts import ReceiptStanding, covered_digest, reported_digest
from verdicts.failure_soundness import check_failures
from verdicts.imports import read_raw
from verdicts.models import GateDecision, Report
from verdicts.receipts import still_stands
from verel_site.access.actors import SYSTEM
from verel_site.kit.faults import Fault
from verel_site.kit.refusals import Refusal
from verel_site.kit.snapshots import one_moment

READ_ROWS: Final = 200


def find_faults(*, project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    """Every fault among a project's reports and merges; nothing is written."""
    with one_moment():
        yield from _check_reports(project_id, counts)
    with one_moment():
        yield from _check_decisions(project_id, counts)
    with one_moment():
        yield from check_failures(project_id, counts)


def _check_reports(project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    head = Event.objects.filter(
        run_id=OuterRef("branch__run_id"), branch_id=OuterRef("branch_id"), seq=OuterRef("head_seq")
    )
    rows = Report.objects.filter(project_id=project_id)
    there = Branch.objects.filter(pk=OuterRef("branch_id"))
    for lost in rows.filter(~Exists(there)):
        yield Fault("astray", f"report {lost.pk}", f"its branch {lost.branch_id} is not there")
    rows = rows.select_related("branch__run", "runner").prefetch_related("issues")
    rows = rows.annotate(digest_there=Subquery(head.values("digest")[:1]))
    rows = rows.order_by("branch_id", "order")
    branch, expected = None, 1
    report: Any
    for report in rows.iterator(chunk_size=READ_ROWS):
        counts["reports"] += 1
        if report.branch_id != branch:
            branch, expected = report.branch_id, 1
        of = f"{report.branch.label} of run r-{report.branch.run.number}"
        if report.order != expected:
            yield Fault("missing", f"report {expected} on {of}", f"none before {report.order}")
        expected = report.order + 1
        named = f"report {report.order} ({report.grader}) on {of}"
        for detail in _report_faults(report, report.digest_there):
            yield Fault("changed", named, detail)


def _report_faults(report: Report, digest_there: bytes | None) -> Iterator[str]:
    there = report.branch.fork_digest if report.head_seq == 0 else digest_there
    if there is None or bytes(there) != bytes(report.head_digest):
        yield f"the head that it graded is not the branch's at event {report.head_seq}"
    facts = report_facts(report)
    if reported_digest(facts) != report.result_digest:
        yield "its verdict or issues are not those that its digest names"
    if report.covered_digest and covered_digest(read_named(report)) != report.covered_digest:
        yield "what it names as covered is not what its digest names"
    if "import" in report.trace:
        yield from _raw_faults(report)
    if report.receipt_standing != ReceiptStanding.VALID or report.runner is None:
        return
    if not still_stands(text=report.receipt, runner=report.runner, claims=report.receipt_claims):
        yield f"its receipt is not what {report.runner.name} signed"


def _raw_faults(report: Report) -> Iterator[str]:
    """The bytes that an imported report was read from are there, and are those."""
    try:
        read_raw(actor=SYSTEM, report=report)
    except Refusal as refusal:
        yield f"the output that it was read from: {refusal.detail}"


def _check_decisions(project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    """Every merge came through the gate: the decision that let it in is there, and says so."""
    counts["gate decisions"] += GateDecision.objects.filter(project_id=project_id).count()
    decisions = GateDecision.objects.filter(
        branch_id=OuterRef("winner_id"), head_digest=OuterRef("winner_digest")
    )
    admitting = decisions.filter(open=True) | decisions.exclude(bypass_reason="")
    rows = Merge.objects.filter(~Exists(admitting), project_id=project_id)
    for merge in rows.iterator(chunk_size=READ_ROWS):
        yield Fault(
            "no_decision",
            f"merge {merge.pk} of run {merge.run_id}",
            "the gate never let in the head that it names",
        )

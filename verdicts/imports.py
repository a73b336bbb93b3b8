"""Importing what a grader printed: raw bytes in, reports on one head out; all of them or none.

The bytes are kept under their SHA-256 in the cold store before any row names them. A crash in
between leaves an object that nothing points at, never a report without its source.
"""

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import zstandard
from django.db import transaction

from branches.domain.terms import ENDED, Status
from branches.journal import lock_branch, server_draft, write_events
from branches.models import Branch
from branches.selectors.events import read_branch
from branches.storage.cold import AlreadyStored, NotStored, cold_store
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity
from verdicts.graders.formats import AUTO, FORMATS, read_printed
from verdicts.graders.otlp import branches_named
from verdicts.graders.printed import (
    Percept,
    Printed,
    PrintedIssue,
    PrintedReport,
    Reading,
    UnreadableOutput,
)
from verdicts.models import Report
from verdicts.reports import file_report
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.parsers import MAX_BODY_BYTES
from verel_site.kit.refusals import BadInput, NotFound, Refusal

# What a grader perceived while it graded. Not content that a model sees or a grader grades, so it
# carries the head's digest on, and stales no report.
PERCEPT: Final = "harness.percept"


class HeadMoved(Refusal):
    code = "head_moved"
    title = "The branch has moved on"


class RawDamaged(Refusal):
    code = "raw_damaged"
    title = "The stored output is damaged"


def read_output(
    *, branch: Branch, actor: Actor, raw: bytes, format: str = AUTO, reading: Reading | None = None
) -> tuple[str, Printed]:
    """The format's name, and what the output says; stores nothing. Needs the right to report."""
    actor.demand(branch.project_id, Right.REPORT)
    if format not in (AUTO, *FORMATS):
        known = ", ".join((AUTO, *FORMATS))
        raise BadInput(f"format is one of {known}.", parameter="format")
    name, printed = read_printed(raw, format, reading)
    if any(report.grader == Grader.HUMAN for report in printed.reports):
        raise UnreadableOutput("What a tool printed is no person's verdict.")
    if name == "otlp":
        others = branches_named(raw) - {branch.pk}
        if others:
            raise UnreadableOutput(f"A record is about another branch: {min(others)}.")
    return name, printed


def import_reports(
    *,
    branch_id: UUID,
    actor: Actor,
    raw: bytes,
    format: str = AUTO,
    head_digest: bytes | None = None,
    reading: Reading | None = None,
) -> list[Report]:
    """Files every report that the output holds, in order, on the branch's head.

    `head_digest` is the head that was graded: HeadMoved where the branch is at another. Without
    it the reports are about the head as it is now. Raises MalformedOutput, UnreadableOutput,
    BadReport or HeadMoved, and then nothing is stored but perhaps the bytes.
    """
    branch = read_branch(actor=actor, branch_id=branch_id)
    name, printed = read_output(branch=branch, actor=actor, raw=raw, format=format, reading=reading)
    sha256 = keep_raw(branch.project_id, raw)
    with transaction.atomic():
        branch = lock_branch(branch_id=branch_id)
        head = bytes(branch.head_digest)
        if head_digest not in (None, head):
            raise HeadMoved(
                "The output is about an older head. Grade again.",
                current_digest=head.hex(),
                current_seq=branch.head_seq,
            )
        reports = [
            file_report(
                branch_id=branch_id,
                actor=actor,
                report=_body(_with_left_out(branch, report), head.hex(), name, sha256),
                raw_sha256=sha256,
            )
            for report in printed.reports
        ]
        _keep_percepts(branch, printed.percepts, sha256)
    return reports


def _body(report: PrintedReport, head: str, format: str, sha256: str) -> dict[str, Any]:
    body = report.as_json(head)
    body["trace"] = {**report.trace, "import": {"format": format, "raw_sha256": sha256}}
    return body


def _with_left_out(branch: Branch, report: PrintedReport) -> PrintedReport:
    """The report, and what the tool's last run on this very head failed and this one left out.

    The content is the same, so a test that failed and is not run again still fails.
    """
    if report.ran is None:
        return report
    last = (
        Report.objects.filter(
            branch=branch,
            head_digest=branch.head_digest,
            grader=report.grader.value,
            tool=report.tool,
            errored=False,
        )
        .order_by("-order")
        .first()
    )
    if last is None:
        return report
    told = {issue.detail.get("test_id") for issue in report.issues} | report.ran
    left = [
        PrintedIssue(
            kind=IssueKind.TEST_FAILURE,
            severity=Severity(issue.severity),
            message=issue.message,
            locator=issue.locator,
            confidence=Confidence(issue.confidence),
            source=Grader(issue.source),
            detail={**issue.detail, "left_out": True},
        )
        for issue in last.issues.all()
        if issue.kind == IssueKind.TEST_FAILURE and issue.detail.get("test_id") not in told
    ]
    return replace(report, issues=[*report.issues, *left]) if left else report


def _keep_percepts(branch: Branch, percepts: tuple[Percept, ...], sha256: str) -> None:
    """As events of Verel's own; a branch that has ended takes none."""
    if percepts and Status(branch.status) not in ENDED:
        told = [{**percept.as_json(), "report_sha256": sha256} for percept in percepts]
        write_events(branch=branch, drafts=[server_draft(PERCEPT, payload) for payload in told])


def keep_raw(project_id: UUID, raw: bytes) -> str:
    """Keeps the bytes as the grader printed them, compressed; answers their SHA-256 in hex."""
    sha256 = hashlib.sha256(raw).hexdigest()
    with suppress(AlreadyStored):
        cold_store().put(_raw_key(project_id, sha256), zstandard.compress(raw))
    return sha256


def read_raw(*, actor: Actor, report: Report) -> bytes:
    """The bytes that a report was read from. Raises NotFound for one that was pushed as itself."""
    actor.demand(report.project_id, Right.READ)
    try:
        stored = cold_store().get(_raw_key(report.project_id, report.raw_sha256))
    except NotStored as error:
        raise NotFound("This report was not imported, so there are no other bytes.") from error
    try:
        raw = zstandard.decompress(stored, max_output_size=MAX_BODY_BYTES)
    except zstandard.ZstdError as error:
        raise RawDamaged("The stored bytes can not be unpacked.") from error
    if hashlib.sha256(raw).hexdigest() != report.raw_sha256:
        raise RawDamaged("The stored bytes do not have the digest that the report names.")
    return raw


def _raw_key(project_id: UUID, sha256: str) -> str:
    return f"reports/{project_id}/{sha256}.zst"

"""Filing reports. One door for API, import adapters, people and the demo grader."""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from branches.journal import lock_branch
from branches.models import Branch, Event
from verdicts.coverage import find_earlier, keep_covered, tell_left_out
from verdicts.domain.facts import covered_digest
from verdicts.domain.terms import Grader
from verdicts.failures import fill_in_branch, record_report
from verdicts.inputs import read_author_model
from verdicts.models import Issue, Report, Weighing
from verdicts.receipts import Checked, check_receipt
from verdicts.report_form import BadReport, ReadReport, read_report
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.refusals import Forbidden
from verel_site.kit.strict_json import encode_sorted

INSERT_ROWS = 500
DIGEST_LETTERS = 64


@transaction.atomic
def file_report(
    *, branch_id: UUID, actor: Actor, report: Mapping[str, Any], raw_sha256: str | None = None
) -> Report:
    """Stores what a grader says of one head, with fingerprints that the server computes.

    `report` is the body of `POST branches/{b}/reports`, and `raw_sha256` the digest of the bytes
    that it was read from, if those were others; raises BadReport or MalformedJson with a pointer. A receipt that does not stand is kept and shown, and shuts the gate: it refuses
    nothing here.

    A report on an older head of the branch is stored, and never counts. One that the same actor
    just pushed (nothing else of that grader came in between) is answered with the first row; a
    rerun differs in `trace`, `elapsed_ms` or its receipt, and is a row of its own.
    """
    branch = lock_branch(branch_id=branch_id)
    actor.demand(branch.project_id, Right.READ)
    read = read_report(report)
    _check_actor(actor, branch, read.grader)
    raw_sha256 = raw_sha256 or hashlib.sha256(encode_sorted(report)).hexdigest()
    head_seq = _seq_of_head(branch, read.head_digest)
    same = _find_same(branch, actor, read, raw_sha256)
    return same or _store(branch, actor, read, head_seq, raw_sha256)


def _check_actor(actor: Actor, branch: Branch, grader: Grader) -> None:
    """A person's verdict is a person's: no key can file it. All others need `reports:write`."""
    if grader != Grader.HUMAN:
        actor.demand(branch.project_id, Right.REPORT)
    elif actor.kind == "key":
        raise Forbidden("A key is no person: it cannot report as 'human'.", pointer="/grader")
    else:
        actor.demand(branch.project_id, Right.LABEL)


def _seq_of_head(branch: Branch, digest: bytes) -> int:
    """The seq of the graded head in the branch's own suffix; 0 is the fork point."""
    if digest == bytes(branch.head_digest):
        return branch.head_seq
    older = Event.objects.of_branch(branch).filter(digest=digest).order_by("-seq").only("seq")
    found = older.first()
    if found is not None:
        return found.seq
    if branch.parent_id is not None and digest == bytes(branch.fork_digest):
        return 0
    raise BadReport("The branch never had this head.", pointer="/head_digest")


def _find_same(branch: Branch, actor: Actor, read: ReadReport, raw_sha256: str) -> Report | None:
    last = (
        Report.objects.filter(
            branch=branch, head_digest=read.head_digest, grader=read.grader, tool=read.tool
        )
        .order_by("-order")
        .first()
    )
    # Only the latest: the same content after another report is a rerun that says so again.
    if last and (last.raw_sha256, last.by_kind, last.by_id) == (raw_sha256, actor.kind, actor.id):
        return last
    return None


def _store(
    branch: Branch, actor: Actor, read: ReadReport, head_seq: int, raw_sha256: str
) -> Report:
    checked: Checked | None = None
    if read.receipt:
        checked = check_receipt(
            text=read.receipt, branch=branch, head_digest=read.head_digest, grader=read.grader
        )
    last = (
        Report.objects.filter(branch=branch).order_by("-order").only("order", "in_ledger").first()
    )
    if last and not last.in_ledger:
        fill_in_branch(branch_id=branch.pk)
    earlier = find_earlier(branch, read, checked)
    report = Report.objects.create(
        project_id=branch.project_id,
        branch=branch,
        order=last.order + 1 if last else 1,
        head_digest=read.head_digest,
        head_seq=head_seq,
        grader=read.grader.value,
        tool=read.tool,
        verdict=read.verdict.value,
        summary=read.summary,
        errored=read.errored,
        model=read.model,
        author_model=read_author_model(branch, head_seq),
        cost_usd=read.cost_usd,
        elapsed_ms=read.elapsed_ms,
        capabilities=read.capabilities,
        artifacts=read.artifacts,
        trace=read.trace,
        receipt=read.receipt,
        receipt_standing=checked.standing.value if checked else "",
        receipt_fault=checked.fault if checked else "",
        receipt_claims=checked.claims.as_json() if checked else {},
        suite_digest=checked.claims.suite_digest[:DIGEST_LETTERS] if checked else "",
        runner=checked.runner if checked else None,
        result_digest=read.result_digest,
        covered_digest=covered_digest(read.covered),
        left_out=tell_left_out(earlier, read.covered),
        raw_sha256=raw_sha256,
        in_ledger=True,
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
    )
    _store_issues(report, read)
    if read.covered is not None:
        keep_covered(report=report, covered=read.covered, earlier=earlier)
    Weighing.objects.bulk_create(
        [Weighing(branch=branch, order=report.order)],
        update_conflicts=True,
        unique_fields=["branch"],
        update_fields=["order"],
    )
    record_report(report=report, found=[(issue.facts, issue.detail) for issue in read.issues])
    return report


def _store_issues(report: Report, read: ReadReport) -> None:
    rows = [
        Issue(
            report=report,
            position=position,
            kind=issue.facts.kind.value,
            severity=issue.facts.severity.value,
            confidence=issue.facts.confidence.value,
            source=issue.facts.source.value,
            message=issue.facts.message,
            locator=issue.facts.locator,
            locator_precise=issue.locator_precise,
            fingerprint=issue.facts.fingerprint,
            detail=issue.detail,
        )
        for position, issue in enumerate(read.issues)
    ]
    Issue.objects.bulk_create(rows, batch_size=INSERT_ROWS)

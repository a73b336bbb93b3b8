"""What a receipt proves of a required grader's report, and each way in which it does not."""

from collections.abc import Sequence

from verdicts.domain.facts import (
    Reason,
    ReceiptFacts,
    ReceiptStanding,
    ReportFacts,
    RequiredGrader,
    reported_digest,
    result_digest,
)
from verdicts.domain.terms import Grader

RECEIPT_REFUSALS = {
    ReceiptStanding.FORGED: "its receipt is forged: the signature or the nonce does not hold",
    ReceiptStanding.REPLAYED: "its receipt is a replay: the nonce was used before",
    ReceiptStanding.WRONG_SUBJECT: "its receipt was issued for another branch, head or grader",
    ReceiptStanding.UNKNOWN_RUNNER: "its receipt is signed by a runner that is not registered",
    ReceiptStanding.REVOKED_RUNNER: "its receipt is signed by a runner that was revoked",
    ReceiptStanding.EXPIRED: "its receipt was issued outside the time in which its runner is valid",
}

_NAMED = 3


def owes_receipt(
    required: RequiredGrader, frozen: frozenset[str], *, receipts_required: bool
) -> bool:
    """Whether the reports of a required grader count by their receipts alone; `frozen` are the
    digests of its frozen suites."""
    return receipts_required or bool(frozen) or required.suite is not None


def receipt_reasons(
    report: ReportFacts,
    *,
    required: RequiredGrader,
    frozen: frozenset[str],
    receipts_required: bool,
    changed_files: frozenset[str],
    inputs_digest: str,
) -> list[Reason]:
    """Why a required grader's report is not proven, if so.

    A grader with a frozen suite always owes a receipt. One without owes it under
    `receipts_required`; its receipt then proves runner, inputs, coverage and result, and there is
    no suite to compare. A receipt that is present is checked in full even where none is owed.
    """
    grader = report.grader
    receipt = report.receipt
    if receipt is None:
        text = f"{grader}: no receipt proves that it ran"
        owed = owes_receipt(required, frozen, receipts_required=receipts_required)
        return [Reason("receipt", grader, text)] if owed else []
    if receipt.standing != ReceiptStanding.VALID:
        return [Reason("receipt", grader, f"{grader}: {RECEIPT_REFUSALS[receipt.standing]}")]
    return [
        *_suite_reasons(grader, receipt, required.suite, frozen),
        *_content_reasons(report, receipt, changed_files, inputs_digest),
    ]


def _suite_reasons(
    grader: Grader, receipt: ReceiptFacts, named: str | None, frozen: frozenset[str]
) -> list[Reason]:
    if named is not None and named not in frozen:
        return [Reason("suite", grader, f"{grader}: the suite that the policy names is not frozen")]
    accepted = frozen if named is None else frozenset({named})
    if accepted and receipt.suite_digest not in accepted:
        return [Reason("suite", grader, f"{grader}: it ran another suite than the frozen one")]
    return []


def _content_reasons(
    report: ReportFacts, receipt: ReceiptFacts, changed_files: frozenset[str], inputs_digest: str
) -> list[Reason]:
    grader = report.grader
    reasons = []
    if receipt.inputs_digest != inputs_digest:
        text = f"{grader}: its receipt is for other inputs than this branch's head"
        reasons.append(Reason("inputs", grader, text))
    missed = sorted(changed_files - receipt.covered_files)
    if missed:
        named = name_few(missed, len(missed))
        text = f"{grader}: it did not look at {named}, which this branch changed"
        reasons.append(Reason("coverage", grader, text))
    if receipt.result_digest != reported_digest(report):
        reasons.append(Reason("result", grader, f"{grader}: {_unsigned(report, receipt)}"))
    return reasons


def _unsigned(report: ReportFacts, receipt: ReceiptFacts) -> str:
    alone = result_digest(verdict=report.verdict, errored=report.errored, issues=report.issues)
    if receipt.result_digest == alone:
        return "its receipt does not sign what its report says that it covered"
    return "its report is not the result that the runner signed"


def name_few(names: Sequence[str], count: int) -> str:
    """The first few of `count` names, and how many more there are."""
    more = count - len(names[:_NAMED])
    return f"{', '.join(names[:_NAMED])}{f' and {more} more' if more > 0 else ''}"

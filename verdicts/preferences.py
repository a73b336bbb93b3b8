"""What graders found on heads, so that one head can be held against another."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from verdicts.domain.agreement import Weight
from verdicts.domain.terms import Grader, Severity, Verdict
from verdicts.models import Report

type Head = tuple[UUID, bytes]

_CLAIMS: Final = {Verdict.PASS.value: 0, Verdict.WARN.value: 1, Verdict.FAIL.value: 2}


def read_weights(
    reports: QuerySet[Report], heads: Collection[Head]
) -> Mapping[Head, Mapping[str, Weight]]:
    """For each head (branch and digest) each grader's word: of each of its tools the newest report
    that did run, summed. One query; `reports` are those to look among."""
    rows = (
        reports.filter(branch_id__in={branch for branch, _ in heads}, errored=False)
        .exclude(grader=Grader.HUMAN.value)
        .annotate(
            critical=_count(Severity.CRITICAL),
            error=_count(Severity.ERROR),
            warning=_count(Severity.WARNING),
        )
        .order_by("order")
        .values_list(
            "branch_id", "head_digest", "grader", "tool", "critical", "error", "warning", "verdict"
        )
    )
    wanted = set(heads)
    newest: dict[tuple[Head, str], dict[str, Weight]] = defaultdict(dict)
    for branch, digest, grader, tool, critical, error, warning, verdict in rows:
        head = (branch, bytes(digest))
        if head in wanted:
            newest[head, grader][tool] = Weight(critical, error, warning, _CLAIMS[verdict])
    found: dict[Head, dict[str, Weight]] = defaultdict(dict)
    for (head, grader), tools in newest.items():
        found[head][grader] = sum(tools.values(), Weight())
    return found


def _count(severity: Severity) -> Count:
    return Count("issues", filter=Q(issues__severity=severity.value))

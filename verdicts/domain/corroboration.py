"""Who else sees what an advisory grader alone reports.

A model is a poor witness of its own kind: what one judge makes up, a judge of the same family
tends to make up again. So a finding of advice is confirmed

- by a precise grader that finds the same kind at the same place, whoever gave the advice;
- for a judge, also by a second judge of another model family.

What is not confirmed stays a warning and no more. What is confirmed stays one to the gate as well,
since no model shuts it; but where nothing precise fails, a person is asked about it. Families are
named by the project's policy: a judge that does not name its model, or names one of no family
there, confirms nobody and is confirmed by no other judge.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from verdicts.domain.facts import IssueFacts, ReportFacts
from verdicts.domain.gate import effective_severity
from verdicts.domain.terms import (
    ADVISORY,
    GATING_SEVERITY,
    PRECISE,
    Confidence,
    Grader,
    IssueKind,
    Severity,
)

# Families in the order of their names, and what the names of their models hold.
type Families = tuple[tuple[str, tuple[str, ...]], ...]

DEFAULT_FAMILIES: Final[Families] = (
    ("alibaba", ("qwen", "qwq")),
    ("amazon", ("nova",)),
    ("anthropic", ("claude", "haiku", "sonnet", "opus")),
    ("cohere", ("command-r", "command-a")),
    ("deepseek", ("deepseek",)),
    ("google", ("gemini", "gemma")),
    ("meta", ("llama",)),
    ("microsoft", ("phi",)),
    ("mistral", ("mistral", "mixtral", "ministral", "magistral", "codestral")),
    ("openai", ("gpt", "chatgpt", "o1", "o3", "o4")),
    ("xai", ("grok",)),
)
_WARNING_RANK: Final = Severity.WARNING.rank


@dataclass(frozen=True, slots=True)
class Advised:
    """A finding that only advice reports. `why` says who confirms it, or what it lacks. `weighty`:
    a second model family confirms it, and at least one of the two calls it an error."""

    fingerprint: str
    grader: Grader
    message: str
    confirmed: bool
    why: str
    weighty: bool = False


@lru_cache(maxsize=1024)
def families_of(model: str, families: Families) -> frozenset[str]:
    """The families whose words a model's name begins a part with; more than one for a model that
    was made from another's, none where the policy knows it not."""
    told = model.lower()
    return frozenset(
        name
        for name, words in families
        if any(re.search(rf"(?<![a-z0-9]){re.escape(word.lower())}", told) for word in words)
    )


def find_advised(
    reports: Sequence[ReportFacts], families: Families = DEFAULT_FAMILIES
) -> tuple[Advised, ...]:
    """Every finding of advice on one head, a warning or worse, in the order of fingerprints; each
    tool's latest word counts, and each model's where a judge's tool asks several."""
    latest = _latest(reports)
    precise = {
        _place(issue)
        for report in latest
        if report.grader in PRECISE
        for issue in report.issues
        if issue.source in PRECISE and issue.confidence != Confidence.LOW
        and effective_severity(issue, report.grader).rank >= _WARNING_RANK
    }  # fmt: skip
    judges = _Judges.among(latest, families)
    found: dict[str, Advised] = {}
    for report, issue in _advice(latest):
        told = _weigh(report, issue, precise, judges, families)
        kept = found.get(issue.fingerprint)
        if kept is None or (told.confirmed, told.weighty) > (kept.confirmed, kept.weighty):
            found[issue.fingerprint] = told
    return tuple(found[key] for key in sorted(found))


def find_unconfirmed(
    reports: Sequence[ReportFacts], families: Families = DEFAULT_FAMILIES
) -> frozenset[str]:
    return frozenset(
        one.fingerprint for one in find_advised(reports, families) if not one.confirmed
    )


def _latest(reports: Sequence[ReportFacts]) -> list[ReportFacts]:
    latest: dict[tuple[str, ...], ReportFacts] = {}
    for report in sorted(reports, key=lambda one: one.order):
        if not report.errored:
            model = report.model.lower() if report.grader == Grader.LLM_JUDGE else ""
            latest[report.grader, report.tool, model] = report
    return list(latest.values())


def _advice(reports: Iterable[ReportFacts]) -> Iterable[tuple[ReportFacts, IssueFacts]]:
    return (
        (report, issue)
        for report in reports
        for issue in report.issues
        if _adviser(report, issue) and issue.severity.rank >= _WARNING_RANK
    )


def _adviser(report: ReportFacts, issue: IssueFacts) -> Grader | None:
    """Whose advice a finding is: the source's, else the reporting grader's."""
    return next((one for one in (issue.source, report.grader) if one in ADVISORY), None)


# What two graders mean when they mean the same: a kind and a place, or the very words.
type _Place = tuple[str, str]


def _place(issue: IssueFacts) -> _Place:
    if issue.kind == IssueKind.OTHER and not issue.locator:
        return issue.kind, f"\0{issue.fingerprint}"
    return issue.kind, issue.locator


@dataclass(frozen=True, slots=True)
class _Judges:
    """What judges of known families say, by place: the family sets, and whether one says error."""

    by_place: Mapping[_Place, Sequence[tuple[frozenset[str], bool]]] = field(default_factory=dict)

    @classmethod
    def among(cls, reports: Iterable[ReportFacts], families: Families) -> "_Judges":
        by_place: dict[_Place, list[tuple[frozenset[str], bool]]] = {}
        for report, issue in _advice(reports):
            own = families_of(report.model, families)
            if own and _adviser(report, issue) == Grader.LLM_JUDGE:
                heavy = issue.severity.rank >= GATING_SEVERITY.rank
                by_place.setdefault(_place(issue), []).append((own, heavy))
        return cls(by_place)

    def others(self, issue: IssueFacts, own: frozenset[str]) -> list[tuple[frozenset[str], bool]]:
        told = self.by_place.get(_place(issue), ())
        return [one for one in told if own and not one[0] & own]


def _weigh(
    report: ReportFacts,
    issue: IssueFacts,
    precise: set[_Place],
    judges: _Judges,
    families: Families,
) -> Advised:
    adviser = _adviser(report, issue) or report.grader

    def advised(why: str, *, confirmed: bool = False, weighty: bool = False) -> Advised:
        return Advised(issue.fingerprint, adviser, issue.message, confirmed, why, weighty)

    if _place(issue) in precise:
        return advised("a precise grader finds the same", confirmed=True)
    if adviser != Grader.LLM_JUDGE:
        return advised("no precise grader finds the same there")
    own = families_of(report.model, families)
    others = judges.others(issue, own)
    if others:
        named = " and ".join(sorted({_told(own), *(_told(one) for one, _ in others)}))
        heavy = issue.severity.rank >= GATING_SEVERITY.rank or any(told for _, told in others)
        return advised(f"judges of {named} agree", confirmed=True, weighty=heavy)
    if not own:
        named = f"{report.model} is of no family that" if report.model else "it names no model that"
        return advised(f"{named} the policy knows, so no second judge can confirm it")
    return advised(f"no judge of another family than {_told(own)} finds the same")


def _told(families: frozenset[str]) -> str:
    return "/".join(sorted(families))

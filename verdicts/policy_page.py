"""The page of a project's gate policy: what it demands, and what a change would open or shut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db.models import Max
from django.http import QueryDict
from django.urls import reverse

from branches.domain.terms import ENDED
from branches.models import Branch
from verdicts.admission import GateView, decide_gates, read_told
from verdicts.domain.progress import LIMIT_BOUNDS, Limits
from verdicts.domain.terms import ADVISORY, PRECISE, Grader
from verdicts.models import Policy, Report, Suite
from verdicts.panels import GRADER_WORDS, short_digest
from verdicts.policies import (
    BadPolicy,
    current_policy,
    draft_policy,
    limits_json,
    limits_of,
    read_limits,
)
from verdicts.report_page import GRADER_ICONS
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.kit.refusals import Refusal

# Branches that a preview looks at: those graded last that have not ended.
PREVIEWED: Final = 200
SHOWN_TURNS: Final = 30
SHOWN_VERSIONS: Final = 20


@dataclass(frozen=True)
class Proposal:
    """A policy as a form holds it."""

    required: tuple[Mapping[str, Any], ...]
    receipts_required: bool
    warn_may_merge: bool
    advisory_window: int
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, policy: Policy) -> "Proposal":
        return cls(
            required=tuple(policy.required),
            receipts_required=policy.receipts_required,
            warn_may_merge=policy.warn_may_merge,
            advisory_window=policy.advisory_window,
            limits=limits_of(policy),
        )

    @classmethod
    def read(cls, form: QueryDict, held: Limits) -> "Proposal":
        """Raises BadPolicy for what is no number; names are checked where the policy is made.
        A limit that the form does not name is as `held` has it."""
        try:
            window = int(form.get("advisory_window", "1"))
        except ValueError as error:
            raise BadPolicy("The window is a number.", pointer="/advisory_window") from error
        return cls(
            required=tuple(
                {"grader": grader, "suite": form.get(f"suite_{grader}") or None}
                for grader in form.getlist("required")
            ),
            receipts_required=form.get("receipts_required") == "1",
            warn_may_merge=form.get("warn_may_merge") == "1",
            advisory_window=window,
            limits=_read_form_limits(form, held),
        )

    def as_arguments(self) -> dict[str, Any]:
        return {
            "required": self.required,
            "receipts_required": self.receipts_required,
            "warn_may_merge": self.warn_may_merge,
            "advisory_window": self.advisory_window,
            "limits": limits_json(self.limits),
        }


def _read_form_limits(form: QueryDict, held: Limits) -> Limits:
    told: dict[str, Any] = limits_json(held)
    for name in LIMIT_BOUNDS:
        if name in form:
            text = form.get(name, "")
            try:
                told[name] = float(text) if name == "epsilon" else int(text)
            except ValueError as error:
                raise BadPolicy(f"{name} is a number.", pointer=f"/limits/{name}") from error
    if "ladder" in form:
        told["ladder"] = [
            name.strip() for name in form.get("ladder", "").split(",") if name.strip()
        ]
    if "families" in form:
        told["families"] = _read_form_families(form.get("families", ""))
    return read_limits(told)


def _read_form_families(text: str) -> dict[str, list[str]]:
    """One family a line: its name, a colon, and words with commas between."""
    families: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, words = line.partition(":")
        if not colon or name.strip() in families:
            raise BadPolicy(
                "A family is one line: its name, a colon, words with commas between.",
                pointer="/limits/families",
            )
        families[name.strip()] = [word.strip() for word in words.split(",") if word.strip()]
    return families


@dataclass(frozen=True, slots=True)
class SuiteOption:
    digest: str
    words: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class GraderRow:
    """One grader of the form: whether it is demanded, and which of its frozen suites."""

    key: str
    name: str
    icon: str
    power: str
    required: bool
    suites: tuple[SuiteOption, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """A branch whose gate would open or shut, and the first reason for it."""

    branch: str
    run: int
    goal: str
    href: str
    opens: bool
    before: str
    after: str
    why: str


@dataclass(frozen=True, slots=True)
class Preview:
    opens: int
    shuts: int
    looked: int
    turns: tuple[Turn, ...]

    @property
    def same(self) -> int:
        return self.looked - self.opens - self.shuts


@dataclass(frozen=True, slots=True)
class LimitField:
    """One number of what a loop is allowed, with what it may be."""

    name: str
    word: str
    hint: str
    value: str
    low: str
    high: str
    step: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    version: int
    required: tuple[Mapping[str, Any], ...]
    receipts_required: bool
    warn_may_merge: bool
    advisory_window: int
    loops: str
    created_by: str
    created_at: datetime


LIMIT_WORDS: Final = {
    "window": ("Window", "Iterations over which the failing set must shrink and not rise"),
    "reruns": ("Reruns", "Runs of a test on one head before it is believed to fail"),
    "cycle": ("Longest circle", "Heads that may come round again before it is an oscillation"),
    "epsilon": ("Least yield", "Failures fewer that an iteration is worth its money for"),
    "flat": ("Flat iterations", "How many may yield less while the cost grows"),
}


@dataclass(frozen=True)
class PolicyPage:
    """`fault` says why the proposal is none; what was typed stands in the form all the same."""

    project: Project
    version: int
    may_change: bool
    graders: tuple[GraderRow, ...]
    proposal: Proposal
    changed: bool
    preview: Preview | None
    versions: tuple[VersionRow, ...]
    fault: str = ""
    reason: str = ""

    screen: str = "gate"
    nav: str = "gate"
    tab: str = "policy"
    title: str = "Gate policy"

    @property
    def limit_fields(self) -> tuple[LimitField, ...]:
        return tuple(
            LimitField(
                name,
                *LIMIT_WORDS[name],
                f"{getattr(self.proposal.limits, name):g}",
                f"{low:g}",
                f"{high:g}",
                "any" if name == "epsilon" else "1",
            )
            for name, (low, high) in LIMIT_BOUNDS.items()
        )

    @property
    def ladder(self) -> str:
        return ", ".join(self.proposal.limits.ladder)

    @property
    def families(self) -> str:
        told = (f"{name}: {', '.join(words)}" for name, words in self.proposal.limits.families)
        return "\n".join(told)


def read_policy_page(
    *,
    project: Project,
    actor: Actor,
    proposal: Proposal | None = None,
    fault: str = "",
    reason: str = "",
) -> PolicyPage:
    """The policy that holds, or with `proposal` what would change. Call for a visible project."""
    current = current_policy(project_id=project.pk)
    shown = proposal or Proposal.of(current)
    preview = None
    if proposal is not None and not fault:
        try:
            preview = _preview(
                project, draft_policy(project_id=project.pk, **proposal.as_arguments())
            )
        except Refusal as refusal:
            fault = f"{refusal.title}. {refusal.detail}"
    versions = Policy.objects.filter(project=project).order_by("-version")[:SHOWN_VERSIONS]
    return PolicyPage(
        project=project,
        version=current.version,
        may_change=actor.may(project.pk, Right.ADMINISTER),
        graders=_grader_rows(project, shown),
        proposal=shown,
        changed=shown != Proposal.of(current),
        preview=preview,
        versions=tuple(_version_row(policy) for policy in versions),
        fault=fault,
        reason=reason,
    )


def _version_row(policy: Policy) -> VersionRow:
    limits = limits_of(policy)
    numbers = ", ".join(
        f"{LIMIT_WORDS[name][0].lower()} {getattr(limits, name):g}" for name in LIMIT_BOUNDS
    )
    return VersionRow(
        version=policy.version,
        required=tuple(policy.required),
        receipts_required=policy.receipts_required,
        warn_may_merge=policy.warn_may_merge,
        advisory_window=policy.advisory_window,
        loops=f"{numbers}; {' to '.join(limits.ladder)}; {len(limits.families)} model families",
        created_by=policy.created_by,
        created_at=policy.created_at,
    )


def _grader_rows(project: Project, shown: Proposal) -> tuple[GraderRow, ...]:
    frozen: dict[str, list[Suite]] = {}
    for suite in Suite.objects.frozen().filter(project=project).order_by("name"):
        frozen.setdefault(suite.grader, []).append(suite)
    chosen = {row["grader"]: row.get("suite") for row in shown.required}
    return tuple(
        GraderRow(
            key=grader.value,
            name=GRADER_WORDS[grader],
            icon=GRADER_ICONS[grader],
            power=_power(grader),
            required=grader.value in chosen,
            suites=tuple(
                SuiteOption(
                    suite.digest,
                    f"{suite.name}, {short_digest(suite.digest)}",
                    chosen.get(grader.value) == suite.digest,
                )
                for suite in frozen.get(grader.value, ())
            ),
        )
        for grader in Grader
    )


def _power(grader: Grader) -> str:
    if grader in ADVISORY:
        return "advises, its errors weigh as warnings"
    return "precise, blocks" if grader in PRECISE else "blocks"


def _preview(project: Project, policy: Policy) -> Preview:
    """What the policy would say of the branches that were graded last: two gates each, from the
    same stored reports."""
    graded = Report.objects.filter(project=project).values("branch").annotate(at=Max("received_at"))
    alive = graded.exclude(branch__status__in=[status.value for status in ENDED])
    ids = [row["branch"] for row in alive.order_by("-at")[:PREVIEWED]]
    branches = list(Branch.objects.filter(pk__in=ids).select_related("project", "run"))
    told = read_told(branches)
    now, then = decide_gates(branches, told), decide_gates(branches, told, policy=policy)
    turned = [
        _turn(branch, now[branch.pk], then[branch.pk])
        for branch in sorted(branches, key=lambda row: ids.index(row.pk))
        if now[branch.pk].open != then[branch.pk].open
    ]
    opens = sum(turn.opens for turn in turned)
    return Preview(opens, len(turned) - opens, len(branches), tuple(turned[:SHOWN_TURNS]))


def _turn(branch: Branch, now: GateView, then: GateView) -> Turn:
    told: Sequence[str] = now.texts if then.open else then.texts
    return Turn(
        branch=branch.label,
        run=branch.run.number,
        goal=branch.run.goal,
        href=f"{reverse('run-verdicts', args=[branch.run_id])}?branch={branch.pk}",
        opens=then.open,
        before=now.verdict.value,
        after=then.verdict.value,
        why=told[0] if told else "the policy lets no warning merge",
    )

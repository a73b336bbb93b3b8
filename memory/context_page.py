"""The pages of contexts: those that were given, one of them with why each record entered or did not,
and the form by which a person tries one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.urls import reverse

from branches.models import Branch
from memory.domain.assembly import Left, Origin
from memory.models import Assembly, Record
from memory.selectors import ContextSummary, list_contexts, read_assembly
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.kit.cursors import moment_cursor
from verel_site.kit.refusals import NotFound

# In the order in which the rules are asked.
REASONS: Final = {
    Left.STANDING.value: "not live",
    Left.TRUST.value: "nobody vouches for it",
    Left.SCOPE.value: "another scope",
    Left.RANK.value: "ranked too low",
    Left.KEY.value: "another one speaks under its key",
    Left.REDUNDANT.value: "says what another line says",
    Left.BUDGET.value: "no room left",
    Left.SUSPICIOUS.value: "suspicious",
}
_PLACES: Final = {reason: place for place, reason in enumerate(REASONS)}
STANDINGS: Final = {
    "held": "It is held for a person.",
    "suppressed": "It is suppressed: another record speaks in its place.",
    "buried": "It is buried: kept, and never recalled.",
    "refused": "It was refused for ever.",
}
GIVEN: Final = {
    Origin.ROLE.value: "role",
    Origin.PERCEPT.value: "percept",
    Origin.EPISODE.value: "episode",
}
PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    href: str
    text: str


@dataclass(frozen=True, slots=True)
class InLine:
    line: Line
    section: str
    tokens: int
    rank: float
    parts: str
    """How the rank came about; empty for contexts of before it was stored."""


@dataclass(frozen=True, slots=True)
class OutLine:
    line: Line
    reason: str
    why: str
    by: Line | None


@dataclass(frozen=True, slots=True)
class AskedLine:
    source: str
    found: int
    fault: str


@dataclass(frozen=True)
class ContextPage:
    project: Project
    assembly: Assembly
    entered: tuple[InLine, ...]
    left_out: tuple[OutLine, ...]
    counts: tuple[tuple[str, int], ...]
    asked: tuple[AskedLine, ...]
    notes: tuple[str, ...]
    branch_href: str
    text: str

    screen: str = "memory"
    nav: str = "memory"
    tab: str = "contexts"
    title: str = "Context"


@dataclass(frozen=True, slots=True)
class ContextRow:
    href: str
    told: ContextSummary


@dataclass(frozen=True, slots=True)
class Asking:
    """The form as it was typed."""

    role: str = ""
    goal: str = ""
    scope: str = ""
    budget: str = ""
    branch: str = ""


@dataclass(frozen=True)
class ContextsPage:
    project: Project
    rows: tuple[ContextRow, ...]
    older_href: str
    asking: Asking
    default_budget: int
    fault: str = ""

    screen: str = "memory"
    nav: str = "memory"
    tab: str = "contexts"
    title: str = "Contexts"


def read_contexts_page(
    *,
    actor: Actor,
    project: Project,
    default_budget: int,
    older: str = "",
    asking: Asking | None = None,
    fault: str = "",
) -> ContextsPage:
    """The newest first."""
    found = list_contexts(actor=actor, project_id=project.pk, before=older, limit=PAGE)
    root = reverse("memory-contexts", args=[project.slug])
    last = found.rows[-1] if found.more else None
    return ContextsPage(
        project=project,
        rows=tuple(
            ContextRow(reverse("memory-context", args=[project.slug, one.id]), one)
            for one in found.rows
        ),
        older_href=f"{root}?older={moment_cursor(last.at, last.id)}" if last else "",
        asking=asking or Asking(),
        default_budget=default_budget,
        fault=fault,
    )


def read_context_page(*, actor: Actor, project: Project, context_id: UUID) -> ContextPage:
    assembly = read_assembly(actor=actor, assembly_id=context_id)
    if assembly.project_id != project.pk:
        raise NotFound(f"There is no context {context_id} in this project.")
    result = assembly.result
    lines = _read_lines(actor, project, result)
    reasons = Counter(one["reason"] for one in result["left_out"])
    branch = result.get("branch")
    return ContextPage(
        project=project,
        assembly=assembly,
        entered=tuple(_in_line(one, lines) for one in result["entered"]),
        left_out=tuple(
            _out_line(one, lines, result["policy"])
            for one in sorted(result["left_out"], key=lambda one: _PLACES[one["reason"]])
        ),
        counts=tuple((says, reasons[word]) for word, says in REASONS.items() if reasons[word]),
        # Contexts of before it was stored do not tell.
        asked=tuple(
            AskedLine(one["source"], one["found"], one.get("fault", ""))
            for one in result.get("asked", ())
        ),
        notes=tuple(notes_of(result)),
        branch_href=_branch_href(branch) if branch else "",
        text="\n".join(one["text"] for one in result["entered"]),
    )


def _branch_href(branch: str) -> str:
    run = Branch.objects.only("run_id").get(pk=branch).run_id
    return f"{reverse('run', args=[run])}?branch={branch}"


def notes_of(result: Mapping[str, Any]) -> list[str]:
    """What a reader of a context is to know before it is believed."""
    notes = [
        f"{one['source']} could not be asked: {one['fault']} This was assembled without it."
        for one in result.get("asked", ())
        if one.get("fault")
    ]
    if any(one.get("origin", "record") == "record" for one in result["entered"]):
        return notes
    if not result["left_out"]:
        return [*notes, "Nothing is remembered that fits: no record of these scopes was found."]
    return [*notes, "No record entered: each that was found is told with its reason."]


def _read_lines(actor: Actor, project: Project, result: Mapping[str, Any]) -> dict[str, Line]:
    """What may stand in a line, by its id."""
    told: Sequence[dict[str, Any]] = [*result["entered"], *result["left_out"]]
    lines = {one["id"]: _given_line(one) for one in told if one.get("origin") in GIVEN}
    named = {one["id"] for one in told} | {one["by"] for one in told if one.get("by")}
    rows = Record.objects.visible_to(actor).filter(
        project=project, record_id__in=named - lines.keys()
    )
    for row in rows:
        href = reverse("memory-record", args=[project.slug, row.number])
        lines[str(row.record_id)] = Line(row.label, href, row.text)
    return lines


def _given_line(one: Mapping[str, Any]) -> Line:
    is_event = one["origin"] != Origin.ROLE.value
    href = reverse("event", args=[one["id"]]) if is_event else ""
    return Line(GIVEN[one["origin"]], href, one.get("text", ""))


def _in_line(one: Mapping[str, Any], lines: Mapping[str, Line]) -> InLine:
    told = lines[one["id"]]
    parts = ""
    if "confidence" in one and one.get("origin") != Origin.ROLE.value:
        parts = f"strength {one['strength']:.2f}, fit {one['relevance']:.2f}"
        # Nobody vouches for what is given.
        if one.get("origin") not in GIVEN:
            parts = f"confidence {one['confidence']:.2f}, {parts}"
    return InLine(
        Line(told.label, told.href, one["text"]), one["section"], one["tokens"], one["rank"], parts
    )


def _out_line(
    one: Mapping[str, Any], lines: Mapping[str, Line], policy: Mapping[str, float]
) -> OutLine:
    told = lines[one["id"]]
    by = lines.get(one.get("by", ""))
    return OutLine(told, REASONS[one["reason"]], _why(one, policy), by)


def _why(one: Mapping[str, Any], policy: Mapping[str, float]) -> str:
    """The rule and its figures, as far as they were stored."""
    match one:
        case {"reason": "standing", "standing": standing}:
            return STANDINGS[standing]
        case {"reason": "trust"}:
            return "It takes three independent runs, or a person."
        case {"reason": "scope", "scope": scope}:
            return f"It is of {scope}, which was not asked for."
        case {"reason": "rank", "rank": rank}:
            return f"It ranks {rank:.2f}; below {policy['least_rank']} nothing enters."
        case {"reason": "redundant", "likeness": likeness}:
            return f"{likeness:.0%} of their words are the same; {policy['most_alike']:.0%} is too near."
        case {"reason": "budget", "tokens": tokens, "room": room}:
            return f"It takes {tokens:,} tokens, and {room:,} were left."
        case {"reason": "suspicious", "says": says}:
            return str(says)
    return ""

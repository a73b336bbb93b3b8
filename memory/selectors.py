"""Reading memory for a reader: every function takes the actor, and withholds what it may not see."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from branches.selectors.listings import Page, cut
from memory.consolidation_models import Consolidation
from memory.domain.terms import IntentionState, Kind, RequestState, Standing, Trust
from memory.models import Assembly, Intention, PromotionRequest, Record
from memory.querysets import RecordQuerySet
from memory.record_search import search_records
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.cursors import moment_cursor, read_moment_cursor
from verel_site.kit.refusals import BadInput, NotFound


@dataclass(frozen=True)
class RecordFilter:
    """Empty fields filter nothing. `text` is what `memory.record_search` reads."""

    kind: str = ""
    trust: str = ""
    standing: str = ""
    scope: str = ""
    key: str = ""
    text: str = ""

    def narrow(self, project_id: UUID, rows: RecordQuerySet) -> RecordQuerySet:
        found = search_records(project_id=project_id, text=self.text)
        rows = rows if found is None else rows.filter(position__in=found.positions)
        return self.narrow_fields(rows)

    def narrow_fields(self, rows: RecordQuerySet) -> RecordQuerySet:
        """By everything but the text."""
        named = {"kind": self.kind, "trust": self.trust, "standing": self.standing}
        named |= {"scope": self.scope, "key": self.key}
        return rows.filter(**{name: value for name, value in named.items() if value})


def read_filter(query: Mapping[str, str], *, kind: str = "") -> RecordFilter:
    """Raises BadInput for a word that no record can have."""
    known = {"kind": Kind, "trust": Trust, "standing": Standing}
    told = {name: query.get(name, "") for name in ("kind", "trust", "standing", "scope", "key")}
    told["kind"] = kind or told["kind"]
    for name, words in known.items():
        values = [word.value for word in words]
        if told[name] and told[name] not in values:
            raise BadInput(f"{name} is one of {', '.join(values)}.", parameter=name)
    return RecordFilter(**told, text=query.get("q", ""))


def list_records(
    *, actor: Actor, project_id: UUID, wanted: RecordFilter, after: int, limit: int
) -> Page[Record]:
    """Records by number; all standings, unless one is asked for."""
    actor.demand(project_id, Right.READ)
    rows = Record.objects.visible_to(actor).filter(project_id=project_id, number__gt=after)
    rows = wanted.narrow(project_id, rows).select_related("suppressed_by", "supersedes")
    return cut(rows.order_by("number")[: limit + 1], limit)


def list_requests(
    *, actor: Actor, project_id: UUID, state: str, after: str, limit: int
) -> Page[PromotionRequest]:
    """Promotion requests by age; `state` is open, decided, void or all."""
    actor.demand(project_id, Right.READ)
    states = [one.value for one in RequestState]
    if state not in (*states, "all"):
        raise BadInput(f"state is all, or one of {', '.join(states)}.", parameter="state")
    rows = PromotionRequest.objects.visible_to(actor).filter(project_id=project_id)
    if state != "all":
        rows = rows.filter(state=state)
    if after:
        moment, request_id = read_moment_cursor(after)
        behind = Q(created_at=moment, pk__gt=request_id)
        rows = rows.filter(Q(created_at__gt=moment) | behind)
    rows = rows.select_related("record").order_by("created_at", "pk")
    return cut(rows[: limit + 1], limit)


def age_cursor(request: PromotionRequest) -> str:
    return moment_cursor(request.created_at, request.pk)


def read_assembly(*, actor: Actor, assembly_id: UUID) -> Assembly:
    rows = Assembly.objects.filter(pk=assembly_id)
    if actor.kind != "system":
        rows = rows.filter(project_id__in=actor.projects)
    found = rows.first()
    if found is None:
        raise NotFound(f"There is no context {assembly_id} that you may see.")
    return found


@dataclass(frozen=True, slots=True)
class ContextSummary:
    """`entered` and `left_out` are None for contexts of before they were counted."""

    id: UUID
    goal: str
    role: str
    tokens: int
    budget: int
    entered: int | None
    left_out: int | None
    trial: bool | None
    by_name: str
    at: datetime


def list_contexts(
    *, actor: Actor, project_id: UUID, before: str, limit: int
) -> Page[ContextSummary]:
    """Contexts that were given, the newest first; `before` is the cursor of a page's last row."""
    actor.demand(project_id, Right.READ)
    rows = Assembly.objects.filter(project_id=project_id)
    if before:
        moment, context = read_moment_cursor(before)
        rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=context))
    # The explanations are large, and stay where they are.
    named = ("pk", "goal", "role", "tokens", "result__policy__budget", "result__counts__entered",
             "result__counts__left_out", "result__trial", "by_name", "created_at")  # fmt: skip
    found = rows.order_by("-created_at", "-pk").values_list(*named)[: limit + 1]
    return cut((ContextSummary(*row) for row in found), limit)


def list_intentions(
    *, actor: Actor, project_id: UUID, state: str, after: int, limit: int, scope: str = ""
) -> Page[Intention]:
    """Intentions by number; every state and scope, unless one is asked for."""
    actor.demand(project_id, Right.READ)
    states = [one.value for one in IntentionState]
    if state and state not in states:
        raise BadInput(f"state is one of {', '.join(states)}.", parameter="state")
    rows = Intention.objects.visible_to(actor).filter(project_id=project_id, number__gt=after)
    if state:
        rows = rows.filter(state=state)
    if scope:
        rows = rows.filter(scope=scope)
    return cut(rows.select_related("fire").order_by("number")[: limit + 1], limit)


def list_consolidations(
    *, actor: Actor, project_id: UUID, after: int, limit: int
) -> Page[Consolidation]:
    """Consolidations by number."""
    actor.demand(project_id, Right.READ)
    rows = Consolidation.objects.visible_to(actor).filter(project_id=project_id, number__gt=after)
    return cut(rows.order_by("number")[: limit + 1], limit)

"""Proposing a record of any kind: what it becomes is settled here, once and in one transaction.

In order: what was refused stays refused; what is suspicious is held; what says the same as a record
is its support; what contradicts one wins, loses or waits by the rules of `domain.conflict`; and
what is left is new. Nothing proposed enters a context by that: it is unverified.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from memory.domain.conflict import Claim, Settlement, settle
from memory.domain.content import content_digest, fold, is_scope, tier_of
from memory.domain.entailment import Entailed, class_of, grounding_of
from memory.domain.likeness import says_the_same, signs_of
from memory.domain.screening import Suspicion, screen
from memory.domain.terms import Grounding, ItemType, Kind, Standing, Tier, Trust
from memory.domain.trust import first_confidence
from memory.evidence import Cited, Source, add_contradiction, add_support, find_sources
from memory.models import Record, RecordSign
from memory.refused import check_refused
from memory.storage.recall_index import put_words
from verdicts.models import Suite
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.refusals import Unprocessable

# So many that share a sign are compared word by word.
NEIGHBOURS: Final = 200


class BadRecord(Unprocessable):
    code = "bad_record"
    title = "This is no record"


class NotEntailed(Unprocessable):
    code = "not_entailed"
    title = "Its own source does not support it"


class Became(StrEnum):
    """What a proposal became."""

    NEW = "new"
    SUPPORT = "support"
    HELD = "held"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True)
class Proposal:
    """A record to be; `parts` is its whole content, of which the digest is made. `bodies` are whole
    files: they are instructions by nature, and are screened for canaries alone."""

    kind: Kind
    scope: str
    text: str
    parts: tuple[tuple[str, str | bytes], ...]
    key: str = ""
    object: str = ""
    subject: str = ""
    predicate: str = ""
    item_type: ItemType = ItemType.API_CONTRACT
    entities: tuple[str, ...] = ()
    relations: tuple[Any, ...] = ()
    expression: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    entailment: float | None = None
    bodies: tuple[str, ...] = ()
    cited: tuple[Cited, ...] = ()

    @property
    def texts(self) -> list[str]:
        """Everything in it that a reader or a model may come to read."""
        named = [name for name, _ in self.parts]
        told = [text for _, text in self.parts if isinstance(text, str)]
        return [self.text, *named, *told, *self.entities, *map(str, self.relations)]


@dataclass(frozen=True)
class Proposed:
    record: Record
    became: Became
    suspicions: tuple[Suspicion, ...] = ()


@transaction.atomic
def propose_record(*, project_id: UUID, actor: Actor, proposal: Proposal) -> Proposed:
    """Raises BadRecord, BadEvidence, NotEntailed, or ValueRefused."""
    actor.demand(project_id, Right.PROPOSE)
    _check_scope(proposal.scope)
    lock_project(project_id=project_id)
    sources = find_sources(project_id=project_id, cited=proposal.cited)
    grounding = _ground(proposal, sources)
    check_refused(
        project_id=project_id,
        kind=proposal.kind,
        key=proposal.key,
        value=proposal.object,
        text=proposal.text,
    )
    suspicions = _screen(project_id, proposal)
    making = Making(project_id, actor, proposal, sources, grounding)
    same = _find_same(project_id, proposal, held=bool(suspicions))
    if same is not None:
        add_support(same, sources, actor=actor)
        asserted(same)
        return Proposed(same, Became.SUPPORT, suspicions)
    if suspicions:
        why = [{"code": one.code, "says": one.says} for one in suspicions]
        return Proposed(making.make(Standing.HELD, held_for=why), Became.HELD, suspicions)
    living = _spoken_against(project_id, proposal)
    return making.make_beside(living) if living else Proposed(making.make(), Became.NEW)


@dataclass(frozen=True)
class Making:
    """A record about to be stored; `trust` above unverified is for what a person writes."""

    project_id: UUID
    actor: Actor
    proposal: Proposal
    sources: Sequence[Source]
    grounding: Grounding

    def make(
        self,
        standing: Standing = Standing.LIVE,
        *,
        held_for: Sequence[dict[str, Any]] = (),
        **more: Any,
    ) -> Record:
        told = self.proposal
        record = Record.objects.create(
            project_id=self.project_id,
            number=_next_number(self.project_id),
            kind=told.kind.value,
            scope=told.scope,
            tier=tier_of(told.scope).value,
            text=told.text,
            subject=told.subject,
            predicate=told.predicate,
            object=told.object,
            key=told.key,
            entities=list(told.entities),
            relations=list(told.relations),
            expression=told.expression,
            details=told.details,
            item_type=told.item_type.value,
            digest=content_digest(told.kind.value, told.parts),
            same_text=text_digest(told.text),
            standing=standing.value,
            held_for=list(held_for),
            grounding=self.grounding.value,
            source=told.source,
            confidence=first_confidence(entailment=told.entailment, grounding=self.grounding),
            by_kind=self.actor.kind,
            by_id=self.actor.id,
            by_name=self.actor.name,
            **more,
        )
        put_words(
            project_id=self.project_id,
            position=record.position,
            texts=[told.text, told.subject, told.predicate, told.object, *told.entities],
        )
        if told.kind is not Kind.SKILL:
            RecordSign.objects.bulk_create(
                RecordSign(project_id=self.project_id, record=record, sign=sign)
                for sign in sorted(_signs(told))
            )
        add_support(record, self.sources, actor=self.actor)
        return record

    def make_beside(self, living: Record) -> Proposed:
        """Another record of the key lives: the newcomer wins, loses, or waits for a person."""
        newcomer = Claim(self.proposal.key, self.proposal.object, Trust.UNVERIFIED, timezone.now())
        settled = settle(claim_of(living), newcomer)
        version = living.version + 1 if living.kind == Kind.SKILL.value else 1
        add_contradiction(living, self.sources, actor=self.actor)
        if settled is Settlement.WAITS:
            says = f"It says otherwise than {living.label}, which is verified."
            why = {"code": "contradicts_verified", "says": says, "record": str(living.record_id)}
            return Proposed(self.make(Standing.HELD, held_for=[why], version=version), Became.HELD)
        if settled is Settlement.LOSES:
            made = self.make(Standing.SUPPRESSED, suppressed_by=living, version=version)
            return Proposed(made, Became.SUPPRESSED)
        suppress(living)
        made = self.make(version=version)
        suppress(living, by=made)
        return Proposed(made, Became.NEW)


def suppress(record: Record, *, by: Record | None = None) -> None:
    """Out of recall, not out of sight; `by` is the record that speaks in its place."""
    record.standing = Standing.SUPPRESSED.value
    record.suppressed_by = by
    record.save(update_fields=["standing", "suppressed_by"])


def asserted(record: Record) -> None:
    record.asserted_at = timezone.now()
    record.save(update_fields=["asserted_at"])


def claim_of(record: Record) -> Claim:
    return Claim(record.key, record.object, Trust(record.trust), record.asserted_at)


def live_of_key(project_id: UUID, scope: str, key: str) -> Record | None:
    """The record that speaks under a key; there is one at most."""
    if not key:
        return None
    rows = Record.objects.live().filter(project_id=project_id, scope=scope, key=key)
    return rows.first()


def _spoken_against(project_id: UUID, proposal: Proposal) -> Record | None:
    """The record that the proposal contradicts: a verified one in whatever scope, else that of its
    own. A narrow scope is no way round what was verified for all."""
    if not proposal.key:
        return None
    rows = Record.objects.live().filter(project_id=project_id, key=proposal.key)
    told = [row for row in rows if fold(row.object) != fold(proposal.object)]
    verified = [row for row in told if row.trust == Trust.VERIFIED.value]
    here = [row for row in told if row.scope == proposal.scope]
    return next(iter([*verified, *here]), None)


def text_digest(text: str) -> str:
    return hashlib.sha256(fold(text).encode()).hexdigest()


def _check_scope(scope: str) -> None:
    if not is_scope(scope):
        raise BadRecord(
            "A scope is team, global, repo:NAME or agent:NAME, without spaces.", pointer="/scope"
        )
    if tier_of(scope) is Tier.GLOBAL:
        raise BadRecord(
            "Only what is verified goes global: propose it for the team, and a promotion may "
            "widen it.",
            pointer="/scope",
        )


def _ground(proposal: Proposal, sources: Sequence[Source]) -> Grounding:
    """The best that one of its own episodes supports."""
    if proposal.entailment is None:
        return grounding_of(Entailed.INFERRED, source=proposal.source)
    told = [one.corroborator for one in sources if one.corroborator is not None]
    found = {
        class_of(proposal.entailment, episode=str(source.event.branch_id), corroborators=told)
        for source in sources
    } or {class_of(proposal.entailment, episode="")}
    if found == {Entailed.DROPPED}:
        raise NotEntailed(
            "An entailment below 0.5 says that the source does not support it.",
            pointer="/entailment",
        )
    best = Entailed.PRECISE if Entailed.PRECISE in found else Entailed.INFERRED
    return grounding_of(best, source=proposal.source)


def _find_same(project_id: UUID, proposal: Proposal, *, held: bool) -> Record | None:
    """The record that says the same already. What is suspicious never supports one that is not."""
    if proposal.kind is Kind.SKILL:
        digest = content_digest(proposal.kind.value, proposal.parts)
        rows = Record.objects.filter(project_id=project_id, scope=proposal.scope, digest=digest)
        return rows.exclude(standing=Standing.REFUSED.value).order_by("position").first()
    if not held:
        living = live_of_key(project_id, proposal.scope, proposal.key)
        if living is not None and fold(living.object) == fold(proposal.object):
            return living
    standings = [Standing.HELD] if held else list(Standing)
    near = _neighbours(project_id, proposal, standings)
    # A held one may be held for words that this proposal lacks: it takes support of its like alone.
    told = [one for one in near if one.standing != Standing.REFUSED.value]
    order = {Standing.LIVE.value: 0, Standing.HELD.value: 1, Standing.SUPPRESSED.value: 2}
    return min(told, key=lambda one: (order.get(one.standing, 3), one.position), default=None)


def _neighbours(
    project_id: UUID, proposal: Proposal, standings: Iterable[Standing]
) -> list[Record]:
    """Records of the scope that say what the proposal says, key and object included: a look-up by
    equality, however many there are."""
    if proposal.kind is Kind.SKILL:
        return []
    signs = RecordSign.objects.filter(project_id=project_id, sign__in=_signs(proposal))
    wanted = [standing.value for standing in standings]
    rows = Record.objects.filter(
        pk__in=signs.values("record_id"), key=proposal.key, standing__in=wanted
    )
    return [
        row
        for row in rows[:NEIGHBOURS]
        if (row.kind, row.scope) == (proposal.kind, proposal.scope)
        and fold(row.object) == fold(proposal.object)
        and says_the_same(row.text, proposal.text)
    ]


def _signs(proposal: Proposal) -> frozenset[str]:
    about = (proposal.kind.value, proposal.scope, proposal.key, proposal.object)
    return signs_of(proposal.text, about=about)


def _screen(project_id: UUID, proposal: Proposal) -> tuple[Suspicion, ...]:
    canaries = _canaries(project_id)
    found = screen(proposal.texts, canaries=canaries)
    if any(one.code == "canary" for one in found) or not proposal.bodies:
        return found
    inside = screen(proposal.bodies, canaries=canaries) if canaries else ()
    return (*found, *(one for one in inside if one.code == "canary"))


def _canaries(project_id: UUID) -> list[str]:
    """Of suites that are in use or were: a token stays secret after its suite retired."""
    rows = Suite.objects.filter(project_id=project_id).exclude(token="")
    return list(rows.values_list("token", flat=True))


def _next_number(project_id: UUID) -> int:
    found = Record.objects.filter(project_id=project_id).aggregate(last=Max("number"))
    return int(found["last"] or 0) + 1

"""Proposing a record of any kind: what it becomes is settled here, once and in one transaction.

In order: what was refused stays refused; what is suspicious is held; what says the same as a record
is its support; what contradicts one wins, loses or waits by the rules of `domain.conflict`; and
what is left is new. Nothing proposed enters a context by that: it is unverified.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from django.utils import timezone

from memory.domain.conflict import Claim, Settlement, settle
from memory.domain.content import content_digest, fold, is_scope, tier_of
from memory.domain.entailment import Entailed, class_of, grounding_of
from memory.domain.likeness import says_the_same, signs_of
from memory.domain.screening import Suspicion, screen, screen_file
from memory.domain.terms import Grounding, ItemType, Kind, Standing, Tier, Trust
from memory.domain.trust import first_confidence
from memory.evidence import (
    Cited,
    Source,
    add_contradiction,
    add_support,
    find_sources,
    keep_sources,
    weigh_sources,
)
from memory.models import Record
from memory.refused import check_refused
from memory.storage.proposed import Stood, find_near, find_speaking, next_number, put_signs
from memory.storage.recall_index import put_words
from verdicts.suites import list_tokens
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.inserts import insert_row
from verel_site.kit.refusals import Unprocessable


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
    files: they are instructions by nature, and are screened for what no reviewer would see."""

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

    @cached_property
    def signs(self) -> frozenset[str]:
        """What a near-duplicate shares with it, of its kind, scope, key and object. A skill is what
        its files are: it has none."""
        if self.kind is Kind.SKILL:
            return frozenset()
        about = (self.kind.value, self.scope, self.key, self.object)
        return signs_of(self.text, about=about)

    @property
    def texts(self) -> list[str]:
        """Everything in it that a reader or a model may come to read."""
        named = [name for name, _ in self.parts]
        told = [text for _, text in self.parts if isinstance(text, str)]
        return [self.text, *named, *told, *self.entities, *map(str, self.relations), self.source]


@dataclass(frozen=True)
class Proposed:
    record: Record
    became: Became
    suspicions: tuple[Suspicion, ...] = ()


def propose_record(*, project_id: UUID, actor: Actor, proposal: Proposal) -> Proposed:
    """Call in a transaction. Raises BadRecord, BadEvidence, NotEntailed, or ValueRefused."""
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
    suspicions = screen_proposal(project_id, proposal)
    making = Making(project_id, actor, proposal, sources, grounding)
    speaking = find_speaking(project_id=project_id, key=proposal.key)
    same = _find_same(project_id, proposal, speaking, held=bool(suspicions))
    if same is not None:
        add_support(same, sources, actor=actor)
        asserted(same)
        return Proposed(same, Became.SUPPORT, suspicions)
    if suspicions:
        why = [{"code": one.code, "says": one.says} for one in suspicions]
        return Proposed(making.make(Standing.HELD, held_for=why), Became.HELD, suspicions)
    living = _spoken_against(proposal, speaking)
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
        record = Record(
            project_id=self.project_id,
            number=next_number(self.project_id),
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
        weigh_sources(record, self.sources)
        insert_row(record)
        put_words(
            project_id=self.project_id,
            position=record.position,
            texts=[told.text, told.subject, told.predicate, told.object, *told.entities],
        )
        if told.signs:
            put_signs(project_id=self.project_id, position=record.position, signs=told.signs)
        keep_sources(record, self.sources, actor=self.actor)
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


def _spoken_against(proposal: Proposal, speaking: Sequence[Stood]) -> Record | None:
    """The record that the proposal contradicts: a verified one in whatever scope, else that of its
    own. A narrow scope is no way round what was verified for all."""
    told = [row for row in speaking if fold(row.object) != fold(proposal.object)]
    verified = [row for row in told if row.trust == Trust.VERIFIED.value]
    here = [row for row in told if row.scope == proposal.scope]
    found = next(iter([*verified, *here]), None)
    return Record.objects.get(pk=found.position) if found else None


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


def _find_same(
    project_id: UUID, proposal: Proposal, speaking: Sequence[Stood], *, held: bool
) -> Record | None:
    """The record that says the same already. What is suspicious never supports one that is not."""
    if proposal.kind is Kind.SKILL:
        digest = content_digest(proposal.kind.value, proposal.parts)
        rows = Record.objects.filter(project_id=project_id, scope=proposal.scope, digest=digest)
        return rows.exclude(standing=Standing.REFUSED.value).order_by("position").first()
    # A held one may be held for words that this proposal lacks: it takes support of its like alone.
    standings = [Standing.HELD] if held else [one for one in Standing if one != Standing.REFUSED]
    here = [] if held else [row for row in speaking if row.scope == proposal.scope]
    told = [row for row in here if fold(row.object) == fold(proposal.object)]
    told = told or _neighbours(project_id, proposal, standings)
    return Record.objects.get(pk=told[0].position) if told else None


def _neighbours(project_id: UUID, proposal: Proposal, standings: Sequence[Standing]) -> list[Stood]:
    """Records of the scope that say what the proposal says, key and object included."""
    if not proposal.signs:
        return []
    rows = find_near(
        project_id=project_id, signs=proposal.signs, key=proposal.key, standings=standings
    )
    return [
        row
        for row in rows
        if (row.kind, row.scope) == (proposal.kind, proposal.scope)
        and fold(row.object) == fold(proposal.object)
        and says_the_same(row.text, proposal.text)
    ]


def screen_proposal(project_id: UUID, proposal: Proposal) -> tuple[Suspicion, ...]:
    """Everything about it that a person is to look at first."""
    canaries = canaries_of(project_id)
    found = dict.fromkeys(screen(proposal.texts, canaries=canaries))
    for body in proposal.bodies:
        found |= dict.fromkeys(screen_file(body, canaries=canaries))
    return tuple(found)


def screen_record(record: Record) -> tuple[Suspicion, ...]:
    """By what is known today: a token may be younger than the record that holds it."""
    named = [record.subject, record.predicate, record.object, record.expression, record.source]
    told = [record.text, *named, *record.entities, *map(str, record.relations)]
    found = screen(told, canaries=canaries_of(record.project_id))
    # Files are not read again: what was found in them then stays found.
    kept = [Suspicion(one["code"], one["says"]) for one in record.held_for if "record" not in one]
    return tuple(dict.fromkeys((*found, *kept)))


def canaries_of(project_id: UUID) -> list[str]:
    """Of suites that are in use or were: a token stays secret after its suite retired."""
    return list_tokens(project_id=project_id)

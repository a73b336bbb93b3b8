"""The seven answers as acts on a record, each inside `promotion.decide_…` and its transaction."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from memory.domain.content import content_digest, is_scope, tier_of
from memory.domain.screening import UNSEEN, Suspicion
from memory.domain.terms import Answer, Grounding, Kind, Standing, Tier, Trust
from memory.domain.trust import Demoted, SignedOff, move_trust
from memory.evidence import count_anew
from memory.models import PromotionRequest, Record
from memory.records import (
    Making,
    Proposal,
    live_of_key,
    screen_proposal,
    screen_record,
    suppress,
)
from memory.refused import check_refused, of_one_value, refuse_value
from memory.requests import CannotAnswer, pin_request
from memory.seals import make_seal
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.kit.refusals import Forbidden

DEFER_DAYS: Final = 7
SPEAKING: Final = (Standing.LIVE.value, Standing.HELD.value)


@dataclass(frozen=True)
class Said:
    """An answer, and what goes with it. `content_digest` and `evidence_digest` are those that the
    person looked at; `into` is for merge, `edit` makes the edited record for edit, and `scope`
    widens or narrows what is promoted."""

    answer: Answer
    content_digest: bytes
    evidence_digest: bytes | None = None
    reason: str = ""
    into: UUID | None = None
    edit: Proposal | None = None
    scope: str = ""


@dataclass(frozen=True)
class Case:
    record: Record
    request: PromotionRequest | None
    actor: Actor
    said: Said
    traces: dict[str, list[int]] = field(default_factory=dict)
    """Rows that the act made, by what they are."""


def act_on(case: Case) -> Record | None:
    """The other record that the answer made, or was about."""
    return _ACTS[case.said.answer](case)


def _promote(case: Case) -> Record | None:
    record = case.record
    if record.standing == Standing.REFUSED.value:
        raise CannotAnswer("It was refused for ever; clear the refusal first.")
    check_refused(
        project_id=record.project_id,
        kind=Kind(record.kind),
        key=record.key,
        value=record.object,
        text=record.text,
    )
    _check_duties(case)
    _check_seen(screen_record(record), f"{record.label} stays held, or is edited.")
    record.trust = move_trust(
        Trust(record.trust), SignedOff(case.actor.name), support=record.support_count
    ).value
    record.suite_digest = case.request.gate.get("suite_digest", "") if case.request else ""
    rescope(record, case.said.scope or record.scope)
    _take_the_floor(record)
    if record.kind == Kind.SKILL.value:
        record.seal = make_seal(record, by=case.actor.name, at=timezone.now())
    record.save()
    return None


def _edit(case: Case) -> Record:
    """The person's own version, verified by the hand that wrote it; where duties are parted it
    waits for somebody else's."""
    record, edit = case.record, _check_edit(case)
    _check_duties(case)
    if _parts_duties(case):
        return _propose_edit(case, edit)
    suppress(record)
    made = _make_edit(case, edit, Standing.SUPPRESSED, trust=Trust.VERIFIED.value)
    rescope(made, case.said.scope or record.scope)
    _take_the_floor(made)
    made.save()
    suppress(record, by=made)
    return made


def _check_edit(case: Case) -> Proposal:
    record, edit = case.record, case.said.edit
    if edit is None or edit.kind.value != record.kind:
        raise CannotAnswer("An edit says what the record is to say.", pointer="/edit")
    if record.kind == Kind.SKILL.value:
        raise CannotAnswer("A skill is edited by uploading its next version.", pointer="/edit")
    if content_digest(edit.kind.value, edit.parts) == bytes(record.digest):
        raise CannotAnswer("The edit changes nothing: promote it as it is.", pointer="/edit")
    check_refused(
        project_id=record.project_id,
        kind=edit.kind,
        key=edit.key,
        value=edit.object,
        text=edit.text,
    )
    # Of what it was held for the person was told; what the edit brings in nobody was.
    told = set(screen_record(record))
    found = screen_proposal(record.project_id, edit)
    _check_seen((one for one in found if one not in told), "Write it anew.", codes=None)
    _check_seen(found, "Write it anew, by hand.")
    return edit


def _make_edit(case: Case, edit: Proposal, standing: Standing, **more: Any) -> Record:
    record = case.record
    making = Making(record.project_id, case.actor, edit, (), Grounding.INFERRED)
    made = making.make(standing, version=record.version + 1, supersedes=record, **more)
    made.confidence = max(made.confidence, record.confidence)
    made.save(update_fields=["confidence"])
    case.traces["made"] = [made.pk]
    return made


def _propose_edit(case: Case, edit: Proposal) -> Record:
    says = f"{case.actor.name} edited {case.record.label}; somebody else promotes it."
    why = [{"code": "edited", "says": says, "record": str(case.record.record_id)}]
    made = _make_edit(case, edit, Standing.HELD, held_for=why)
    pin_request(made, actor=case.actor)
    return made


def _merge(case: Case) -> Record:
    """Its sources speak for the other one from now on."""
    record = case.record
    into, rows = case.said.into, Record.objects.filter(project_id=record.project_id)
    other = rows.filter(record_id=into).exclude(pk=record.pk).first() if into else None
    if other is None or other.kind != record.kind:
        raise CannotAnswer("It is merged into another record of its kind.", pointer="/into")
    if other.standing not in SPEAKING:
        raise CannotAnswer(f"{other.label} is {other.standing}.", pointer="/into")
    known = set(other.evidence.values_list("event_id", flat=True))
    added = case.traces.setdefault("evidence", [])
    for row in record.evidence.exclude(event_id__in=known):
        row.pk, row.record = None, other
        row.save(force_insert=True)
        added.append(row.pk)
    count_anew(other)
    suppress(record, by=other)
    return other


def _demote(case: Case) -> Record | None:
    record = case.record
    record.trust = move_trust(
        Trust(record.trust), Demoted(case.actor.name), support=record.support_count
    ).value
    record.seal = {}
    narrow(record)
    record.save()
    return None


def _reject(case: Case) -> Record | None:
    """What says the same elsewhere goes with it, unless somebody verified that."""
    record = case.record
    same = of_one_value(record)
    vouched = next((row for row in same if row.trust == Trust.VERIFIED.value), None)
    if vouched is not None:
        raise CannotAnswer(
            f"{vouched.label} says the same in {vouched.scope} and is verified: answer about that "
            "one first."
        )
    refused = refuse_value(record, reason=case.said.reason, by_name=case.actor.name)
    case.traces["refused"] = [refused.pk]
    for row in (record, *same):
        row.standing, row.suppressed_by = Standing.REFUSED.value, None
        row.trust, row.seal = Trust.UNVERIFIED.value, {}
        narrow(row)
        row.save()
    return None


def _bury(case: Case) -> Record | None:
    case.record.standing = Standing.BURIED.value
    case.record.save(update_fields=["standing"])
    return None


def _defer(case: Case) -> Record | None:
    if case.request is None:
        raise CannotAnswer("Nobody asked about it, so there is nothing to defer.")
    case.request.deferred_until = timezone.now() + timedelta(days=DEFER_DAYS)
    case.request.save(update_fields=["deferred_until"])
    return None


_ACTS: Final[dict[Answer, Callable[[Case], Record | None]]] = {
    Answer.PROMOTE: _promote,
    Answer.EDIT: _edit,
    Answer.MERGE: _merge,
    Answer.DEMOTE: _demote,
    Answer.REJECT: _reject,
    Answer.BURY: _bury,
    Answer.DEFER: _defer,
}


def _parts_duties(case: Case) -> bool:
    return Project.objects.filter(pk=case.record.project_id, separate_duties=True).exists()


def _check_duties(case: Case) -> None:
    """Who proposed it as a person may not alone promote it, where the project parts duties; nor by
    way of an edit."""
    mine = (case.record.by_kind, case.record.by_id) == ("person", case.actor.id)
    if mine and _parts_duties(case):
        raise Forbidden("You proposed it; in this project somebody else promotes it.")


def _check_seen(
    suspicions: Iterable[Suspicion], then: str, *, codes: frozenset[str] | None = UNSEEN
) -> None:
    """A person lets out what reads badly, and never what cannot be read: what no reader sees, what
    looks like something else, and what would give a secret case away."""
    found = next((one for one in suspicions if codes is None or one.code in codes), None)
    if found is not None:
        raise CannotAnswer(f"{found.says} {then}", pointer="/edit/text")


def rescope(record: Record, scope: str) -> None:
    if not is_scope(scope):
        raise CannotAnswer("A scope is team, global, repo:NAME or agent:NAME.", pointer="/scope")
    record.scope, record.tier = scope, tier_of(scope).value


def narrow(record: Record) -> None:
    """What is no longer verified is no longer global."""
    if record.tier == Tier.GLOBAL.value and record.trust != Trust.VERIFIED.value:
        rescope(record, "team")
        if record.standing == Standing.LIVE.value:
            _yield_the_floor(record)


def _take_the_floor(record: Record) -> None:
    """The record speaks; whoever spoke under its key and scope before is suppressed by it, and so
    is the version that it was made of."""
    before = live_of_key(record.project_id, record.scope, record.key)
    if before is not None and before.pk != record.pk:
        suppress(before, by=record)
    origin = record.supersedes
    if origin is not None and origin.standing in SPEAKING and origin != before:
        suppress(origin, by=record)
    record.standing, record.suppressed_by, record.held_for = Standing.LIVE.value, None, []


def _yield_the_floor(record: Record) -> None:
    there = live_of_key(record.project_id, record.scope, record.key)
    if there is not None and there.pk != record.pk:
        record.standing, record.suppressed_by = Standing.SUPPRESSED.value, there

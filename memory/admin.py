"""Curation in Django's admin: it shows, and acts by the same actions as the pages, with the same
rights, reasons and audit. What is edited by hand is edited on the record's own page."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from memory.consolidation.jobs import cancel_consolidation
from memory.domain.terms import Answer
from memory.given_answers import WORDS
from memory.intentions import cancel_intention
from memory.models import (
    Assembly,
    Candidate,
    Consolidation,
    CurveAdoption,
    CurveFit,
    Episode,
    Evidence,
    Intention,
    IntentionFire,
    KnownFault,
    MemoryCursor,
    PairScore,
    Projection,
    PromotionDecision,
    PromotionRequest,
    Record,
    RecordSign,
    RecordVector,
    RefusedValue,
    Retrieval,
    SalientEpisode,
    SkillFile,
)
from memory.promotion import (
    Said,
    clear_refusal,
    decide_many,
    decide_promotion,
)
from memory.record_search import search_records
from memory.requests import CannotAnswer
from memory.undoing import undo_promotion
from verel_site.access.projects import actor_of_staff
from verel_site.kit.ledgers import Acting, ReadOnly, ReasonForm
from verel_site.kit.markup import visible_text
from verel_site.kit.refusals import Refusal

SHOWN: int = 160


def readable(text: str, most: int = SHOWN) -> SafeString:
    """What an agent wrote, inert: nothing of it is hidden, and nothing turns the line round."""
    return visible_text(text if len(text) <= most else f"{text[:most]}…")


class RecordForm(ReasonForm):
    into = forms.CharField(
        required=False, max_length=80, label="Merge into", widget=forms.TextInput
    )


class Answering(Acting):
    """The answers that are given about a record and to a request alike."""

    @admin.action(description="Promote to verified", permissions=["act"])
    def promote(self, request: HttpRequest, rows: Any) -> None:
        self.answer(request, rows, Answer.PROMOTE)

    @admin.action(description="Demote by one step (a reason is needed)", permissions=["act"])
    def demote(self, request: HttpRequest, rows: Any) -> None:
        self.answer(request, rows, Answer.DEMOTE)

    @admin.action(description="Bury: keep, and never recall", permissions=["act"])
    def bury(self, request: HttpRequest, rows: Any) -> None:
        self.answer(request, rows, Answer.BURY)

    @admin.action(description="Refuse for ever (a reason is needed)", permissions=["act"])
    def reject(self, request: HttpRequest, rows: Any) -> None:
        self.answer(request, rows, Answer.REJECT)

    def answer(self, request: HttpRequest, rows: Any, answer: Answer) -> None:
        """Gives it to each of the rows."""
        raise NotImplementedError


@admin.register(Record)
class RecordAdmin(Answering):
    action_form = RecordForm
    list_display = ["label", "kind", "says", "trust", "standing", "scope", "project", "created_at"]
    list_filter = ["kind", "trust", "standing", "tier", "project"]
    list_select_related = ["project"]
    search_fields = ["text", "key"]
    search_help_text = "Words, a key, a label such as f-12, an id or a digest"
    readonly_fields = ["says", "key_said", "value_said", "content"]
    actions = ["promote", "demote", "bury", "reject", "merge"]

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        said = ["text", "subject", "predicate", "object", "key"]
        return [*super().get_exclude(request, obj), *said]

    @admin.display(description="says")
    def says(self, record: Record) -> SafeString:
        return readable(record.text)

    @admin.display(description="key")
    def key_said(self, record: Record) -> SafeString:
        return readable(record.key, 1_000)

    @admin.display(description="value")
    def value_said(self, record: Record) -> SafeString:
        return readable(record.object, 2_000)

    @admin.display(description="content digest")
    def content(self, record: Record) -> str:
        return bytes(record.digest).hex()

    def view_on_site(self, record: Record) -> str:
        """The record's own page, where it is edited and looked at with its evidence."""
        return reverse("memory-record", args=[record.project.slug, record.number])

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        found, distinct = super().get_search_results(request, queryset, search_term)
        named = [
            position
            for project_id in _projects(queryset, search_term)
            if (one := search_records(project_id=project_id, text=search_term)) and one.named
            for position in one.positions
        ]
        return found | queryset.filter(pk__in=named), distinct

    @admin.action(
        description="Merge into the one that is named (a reason is needed)", permissions=["act"]
    )
    def merge(self, request: HttpRequest, rows: Any) -> None:
        self.answer(request, rows, Answer.MERGE, into=request.POST.get("into", "").strip())

    def answer(self, request: HttpRequest, rows: Any, answer: Answer, into: str = "") -> None:
        """Like the page's bulk: one transaction, and a result for each row."""
        parts: dict[UUID, list[Record]] = defaultdict(list)
        for record in rows:
            parts[record.project_id].append(record)
        try:
            with transaction.atomic():
                for project_id, records in parts.items():
                    self._decide(request, project_id, records, answer, into)
        except Refusal as refusal:
            self.message_user(request, f"{refusal.title}. {refusal.detail}", messages.ERROR)

    def _decide(
        self,
        request: HttpRequest,
        project_id: UUID,
        records: Iterable[Record],
        answer: Answer,
        into: str,
    ) -> None:
        labels = {record.record_id: record.label for record in records}
        other = _find_named(project_id, into) if answer is Answer.MERGE else None
        reason = request.POST.get("reason", "").strip()
        said = [
            (record.record_id, Said(answer, bytes(record.digest), reason=reason, into=other))
            for record in records
        ]
        told = decide_many(actor=actor_of_staff(request.user, project_id), said=said)
        for row in told:
            if row.refusal is not None:
                text = f"{labels[row.record_id]}: {row.refusal.title}. {row.refusal.detail}"
                self.message_user(request, text, messages.ERROR)
        done = [labels[row.record_id] for row in told if row.decided is not None]
        if done:
            text = f"Done for {len(done)}. {WORDS[answer.value].capitalize()}: {', '.join(done)}."
            self.message_user(request, f"{text} It stands in the audit log.")


def _projects(queryset: Any, search_term: str) -> list[UUID]:
    """Where a search by a name looks: nowhere, if nothing is searched for."""
    if not search_term.strip():
        return []
    return list(queryset.order_by().values_list("project_id", flat=True).distinct())


def _find_named(project_id: UUID, name: str) -> UUID:
    found = search_records(project_id=project_id, text=name)
    if found is None or not found.named or len(found.positions) != 1:
        raise CannotAnswer("Name the record that stays: its label, such as f-12.", pointer="/into")
    return Record.objects.values_list("record_id", flat=True).get(pk=found.positions[0])


@admin.register(RefusedValue)
class RefusedValueAdmin(Acting):
    list_display = ["says", "key", "reason", "by_name", "created_at", "cleared_at", "project"]
    list_filter = ["project"]
    list_select_related = ["project"]
    search_fields = ["key", "value", "reason"]
    actions = ["clear"]

    @admin.display(description="value")
    def says(self, refused: RefusedValue) -> SafeString:
        return readable(refused.value)

    @admin.action(description="Let it be said again (a reason is needed)", permissions=["act"])
    def clear(self, request: HttpRequest, rows: Any) -> None:
        def act(refused: RefusedValue, reason: str) -> None:
            actor = actor_of_staff(request.user, refused.project_id)
            clear_refusal(refused_id=refused.pk, actor=actor, reason=reason)

        self.act_on(request, rows, act)


@admin.register(PromotionRequest)
class PromotionRequestAdmin(Answering):
    """An answer here is bound to what the request pins, as on the record's page."""

    list_display = ["record", "state", "by_name", "created_at", "void_reason", "project"]
    list_filter = ["state", "project"]
    list_select_related = ["record", "project"]
    actions = ["promote", "demote", "bury", "reject", "defer"]

    @admin.action(description="Defer", permissions=["act"])
    def defer(self, request: HttpRequest, rows: Any) -> None:
        self.answer(request, rows, Answer.DEFER)

    def answer(self, request: HttpRequest, rows: Any, answer: Answer) -> None:
        def act(asked: PromotionRequest, reason: str) -> None:
            said = Said(
                answer, bytes(asked.content_digest), bytes(asked.evidence_digest), reason=reason
            )
            actor = actor_of_staff(request.user, asked.project_id)
            decide_promotion(request_id=asked.pk, actor=actor, said=said)

        self.act_on(request, rows, act)


@admin.register(PromotionDecision)
class PromotionDecisionAdmin(Acting):
    list_display = [
        "record", "answer", "by_name", "reason", "created_at", "undone_by", "project",
    ]  # fmt: skip
    list_filter = ["answer", "project"]
    list_select_related = ["record", "project"]
    actions = ["undo"]

    @admin.action(description="Take it back (a reason is needed)", permissions=["act"])
    def undo(self, request: HttpRequest, rows: Any) -> None:
        def act(decision: PromotionDecision, reason: str) -> None:
            actor = actor_of_staff(request.user, decision.project_id)
            undo_promotion(decision_id=decision.pk, actor=actor, reason=reason)

        self.act_on(request, rows, act)


@admin.register(Consolidation)
class ConsolidationAdmin(Acting):
    list_display = ["number", "state", "step", "by_name", "created_at", "project"]
    list_filter = ["state", "project"]
    list_select_related = ["project"]
    actions = ["cancel"]

    @admin.action(description="Cancel", permissions=["act"])
    def cancel(self, request: HttpRequest, rows: Any) -> None:
        def act(job: Consolidation, reason: str) -> None:
            actor = actor_of_staff(request.user, job.project_id)
            cancel_consolidation(job_id=job.pk, actor=actor)

        self.act_on(request, rows, act)


@admin.register(Intention)
class IntentionAdmin(Acting):
    list_display = ["number", "cue", "state", "expires_at", "by_name", "project"]
    list_filter = ["state", "project"]
    list_select_related = ["project"]
    actions = ["cancel"]

    @admin.action(description="Cancel", permissions=["act"])
    def cancel(self, request: HttpRequest, rows: Any) -> None:
        def act(intention: Intention, reason: str) -> None:
            actor = actor_of_staff(request.user, intention.project_id)
            cancel_intention(intention_id=intention.pk, actor=actor)

        self.act_on(request, rows, act)


@admin.register(Evidence)
class EvidenceAdmin(ReadOnly):
    list_display = ["record", "event_id", "source", "score", "agrees", "created_at"]
    list_select_related = ["record"]


@admin.register(PairScore)
class PairScoreAdmin(ReadOnly):
    list_display = ["value", "precise", "by_name", "created_at", "project"]
    list_filter = ["precise", "project"]
    list_select_related = ["project"]


admin.site.register(
    [
        Assembly,
        RecordSign,
        RecordVector,
        Projection,
        Retrieval,
        SkillFile,
        Episode,
        MemoryCursor,
        IntentionFire,
        Candidate,
        CurveAdoption,
        CurveFit,
        KnownFault,
        SalientEpisode,
    ],
    ReadOnly,
)

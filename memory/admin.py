from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from memory.domain.terms import Answer
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
from memory.promotion import Said, clear_refusal, decide_record
from verel_site.access.projects import actor_of_staff
from verel_site.kit.ledgers import Acting, ReadOnly


@admin.register(Record)
class RecordAdmin(Acting):
    list_display = ["label", "kind", "text", "trust", "standing", "scope", "project", "created_at"]
    list_filter = ["kind", "trust", "standing", "project"]
    list_select_related = ["project"]
    search_fields = ["text", "key"]
    actions = ["promote", "demote", "bury", "reject"]

    @admin.action(description="Promote to verified", permissions=["act"])
    def promote(self, request: HttpRequest, rows: Any) -> None:
        self._answer(request, rows, Answer.PROMOTE)

    @admin.action(description="Demote by one step (a reason is needed)", permissions=["act"])
    def demote(self, request: HttpRequest, rows: Any) -> None:
        self._answer(request, rows, Answer.DEMOTE)

    @admin.action(description="Bury: keep, and never recall", permissions=["act"])
    def bury(self, request: HttpRequest, rows: Any) -> None:
        self._answer(request, rows, Answer.BURY)

    @admin.action(description="Refuse for ever (a reason is needed)", permissions=["act"])
    def reject(self, request: HttpRequest, rows: Any) -> None:
        self._answer(request, rows, Answer.REJECT)

    def _answer(self, request: HttpRequest, rows: Any, answer: Answer) -> None:
        def act(record: Record, reason: str) -> None:
            actor = actor_of_staff(request.user, record.project_id)
            said = Said(answer, bytes(record.digest), reason=reason)
            decide_record(record_id=record.record_id, actor=actor, said=said)

        self.act_on(request, rows, act)


@admin.register(RefusedValue)
class RefusedValueAdmin(Acting):
    list_display = ["value", "key", "reason", "by_name", "created_at", "cleared_at", "project"]
    list_select_related = ["project"]
    actions = ["clear"]

    @admin.action(description="Let it be said again (a reason is needed)", permissions=["act"])
    def clear(self, request: HttpRequest, rows: Any) -> None:
        def act(refused: RefusedValue, reason: str) -> None:
            actor = actor_of_staff(request.user, refused.project_id)
            clear_refusal(refused_id=refused.pk, actor=actor, reason=reason)

        self.act_on(request, rows, act)


@admin.register(PromotionRequest)
class PromotionRequestAdmin(ReadOnly):
    list_display = ["record", "state", "by_name", "created_at", "void_reason", "project"]
    list_filter = ["state", "project"]
    list_select_related = ["record", "project"]


@admin.register(PromotionDecision)
class PromotionDecisionAdmin(ReadOnly):
    list_display = ["record", "answer", "by_name", "reason", "created_at", "project"]
    list_filter = ["answer", "project"]
    list_select_related = ["record", "project"]


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
        Intention,
        IntentionFire,
        Consolidation,
        Candidate,
        CurveAdoption,
        CurveFit,
        KnownFault,
        SalientEpisode,
    ],
    ReadOnly,
)

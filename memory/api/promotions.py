"""Promotions: asked for by whoever may propose, answered by people alone."""

from typing import Final
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from memory.api.answers import decided_json, request_json, row_json
from memory.api.serializers import (
    BulkDoneSerializer,
    BulkSerializer,
    DecidedSerializer,
    DecideSerializer,
    PromotionAskSerializer,
    PromotionListSerializer,
    PromotionSerializer,
)
from memory.domain.terms import Answer as Told
from memory.edits import make_edit
from memory.facts import MAX_OBJECT, MAX_TEXT
from memory.models import Record
from memory.promotion import MAX_BULK, Said, decide_many, decide_promotion, demand_person
from memory.records import Proposal
from memory.requests import find_record, find_request, request_promotion
from memory.selectors import age_cursor, list_requests
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.access.rights import Right
from verel_site.kit.bodies import Body, inside
from verel_site.kit.cursors import DEFAULT_LIMIT, MAX_LIMIT, read_int
from verel_site.kit.refusals import BadInput

MAX_REASON: Final = 4_000
DECIDE: Final = (
    "answer", "content_digest", "evidence_digest", "reason", "into", "scope", "edit",
)  # fmt: skip
BULK: Final = (Told.PROMOTE, Told.DEMOTE, Told.REJECT, Told.BURY)


class PromotionList(Endpoint):
    @extend_schema(operation_id="memory_promotions_list")
    @documented(
        answers={200: PromotionListSerializer},
        parameters=[
            *PAGING_PARAMETERS,
            query_parameter("project", "slug or id; needed where the key reads several"),
            query_parameter("state", "open (by default), decided, void or all"),
        ],
    )
    def get(self, request: Request) -> Response:
        """Promotion requests, the oldest first."""
        query = request.query_params
        limit = read_int(query, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
        project = pick_project(actor=self.actor, named=request.query_params.get("project"))
        page = list_requests(
            actor=self.actor,
            project_id=project.pk,
            state=request.query_params.get("state") or "open",
            after=query.get("after", ""),
            limit=limit,
        )
        return Response(
            {
                "results": [request_json(row) for row in page.rows],
                "next": age_cursor(page.rows[-1]) if page.more else None,
            }
        )

    @documented(body=PromotionAskSerializer, answers={201: PromotionSerializer}, creates=True)
    def post(self, request: Request) -> Response:
        """Asks a person to verify a record. With `gate_decision` an evaluation backs it."""
        body = Body(request.data, fields=("record", "gate_decision"))
        record = find_record(actor=self.actor, record_id=body.uuid("record"))
        self.actor.demand(record.project_id, Right.PROPOSE)

        def act() -> Answer:
            asked = request_promotion(
                record_id=record.record_id,
                actor=self.actor,
                gate_decision=body.uuid_or_none("gate_decision"),
            )
            return 201, request_json(asked)

        return answer_once(request, project_id=record.project_id, actor=self.actor, act=act)


class PromotionDetail(Endpoint):
    @documented(answers={200: PromotionSerializer})
    def get(self, request: Request, promotion: UUID) -> Response:
        """A promotion request, and what it pins."""
        return Response(request_json(find_request(actor=self.actor, request_id=promotion)))


class PromotionDecide(Endpoint):
    @documented(body=DecideSerializer, answers={200: DecidedSerializer}, creates=True)
    def post(self, request: Request, promotion: UUID) -> Response:
        """A person's answer. 409 `promotion_void` where what was looked at has moved; `fresh`
        names the request that stands in its place."""
        found = find_request(actor=self.actor, request_id=promotion)
        demand_person(self.actor, found.project_id)
        body = Body(request.data, fields=DECIDE)

        def act() -> Answer:
            said = Said(
                answer=Told(body.choice("answer", [one.value for one in Told])),
                content_digest=body.digest("content_digest"),
                evidence_digest=body.digest("evidence_digest")
                if body.has("evidence_digest")
                else None,
                reason=body.text("reason", longest=MAX_REASON, default=""),
                into=body.uuid_or_none("into"),
                scope=body.text("scope", longest=120, default=""),
                edit=_read_edit(body, found.record),
            )
            decided = decide_promotion(request_id=promotion, actor=self.actor, said=said)
            return 200, decided_json(decided)

        return answer_once(request, project_id=found.project_id, actor=self.actor, act=act)


def _read_edit(body: Body, record: Record) -> Proposal | None:
    told = body.object_or_none("edit")
    if told is None:
        return None
    with inside("/edit"):
        edit = Body(told, fields=("text", "object", "expression"))
        return make_edit(
            record,
            text=edit.text("text", longest=MAX_TEXT + 1, default=""),
            object=edit.text("object", longest=MAX_OBJECT, default=""),
            expression=edit.text("expression", longest=MAX_TEXT + 1, default=""),
        )


class Decisions(Endpoint):
    @documented(body=BulkSerializer, answers={200: BulkDoneSerializer}, creates=True)
    def post(self, request: Request) -> Response:
        """One answer about many records, in one transaction, with a result for each: a record that
        refuses it is left as it was, and its problem is told."""
        body = Body(request.data, fields=("project", "answer", "reason", "records"))
        named = body.text("project", longest=64, default="")
        project = pick_project(actor=self.actor, named=named or None, pointer="/project")
        demand_person(self.actor, project.pk)

        def act() -> Answer:
            rows = decide_many(actor=self.actor, said=_read_bulk(body))
            return 200, {"results": [row_json(row) for row in rows]}

        return answer_once(request, project_id=project.pk, actor=self.actor, act=act)


def _read_bulk(body: Body) -> list[tuple[UUID, Said]]:
    answer = Told(body.choice("answer", [one.value for one in BULK]))
    reason = body.text("reason", longest=MAX_REASON, default="")
    listed = body.listed("records")
    if not 1 <= len(listed) <= MAX_BULK:
        raise BadInput(f"records takes a list of 1 to {MAX_BULK}.", pointer="/records")
    told = []
    for index, item in enumerate(listed):
        with inside(f"/records/{index}"):
            one = Body(item, fields=("record", "content_digest"))
            digest = one.digest("content_digest")
            told.append((one.uuid("record"), Said(answer, digest, reason=reason)))
    return told

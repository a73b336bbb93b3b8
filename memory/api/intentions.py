"""Intentions: asked for, claimed by workers once their cue was met, reported."""

from typing import Final
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from memory.api.answers import due_json, intention_json
from memory.api.serializers import (
    DueSerializer,
    FiredSerializer,
    IntentionClaimSerializer,
    IntentionListSerializer,
    IntentionRequestSerializer,
    IntentionSerializer,
)
from memory.domain.terms import IntentionState
from memory.intentions import (
    MAX_CLAIM_SECONDS,
    MAX_KEY,
    MAX_TTL_SECONDS,
    cancel_intention,
    claim_due,
    find_intention,
    propose_intention,
    report_fired,
)
from memory.selectors import list_intentions
from verel_site.access.endpoints import (
    PAGING_PARAMETERS,
    Endpoint,
    check_names,
    documented,
    query_parameter,
)
from verel_site.access.idempotency import Answer, answer_once
from verel_site.access.rights import Right
from verel_site.kit.bodies import Body
from verel_site.kit.cursors import read_page

FIELDS: Final = ("project", "cue", "action", "idempotency_key", "ttl_seconds", "scope")
MAX_EPOCH: Final = 2**31 - 1
PARAMETERS: Final = (
    *PAGING_PARAMETERS,
    query_parameter("project", "slug or id; needed where the key reads several"),
    query_parameter("state", f"one of {', '.join(IntentionState)}; all by default"),
    query_parameter("scope", "team, global, repo:NAME or agent:NAME; all by default"),
)


class IntentionList(Endpoint):
    @extend_schema(operation_id="memory_intentions_list")
    @documented(
        answers={200: IntentionListSerializer},
        parameters=PARAMETERS,
    )
    def get(self, request: Request) -> Response:
        """Intentions by number."""
        check_names(request, PARAMETERS)
        after, limit = read_page(request.query_params)
        project = pick_project(actor=self.actor, named=request.query_params.get("project"))
        page = list_intentions(
            actor=self.actor,
            project_id=project.pk,
            state=request.query_params.get("state", ""),
            scope=request.query_params.get("scope", ""),
            after=after,
            limit=limit,
        )
        return Response(
            {
                "results": [intention_json(row) for row in page.rows],
                "next": page.rows[-1].number if page.more else None,
            }
        )

    @documented(body=IntentionRequestSerializer, answers={201: IntentionSerializer}, creates=True)
    def post(self, request: Request) -> Response:
        """What is to happen once an event meets the cue. One `idempotency_key` is one intention."""
        body = Body(request.data, fields=FIELDS)
        named = body.text("project", longest=64, default="")
        project = pick_project(actor=self.actor, named=named or None, pointer="/project")
        self.actor.demand(project.pk, Right.PROPOSE)

        def act() -> Answer:
            made = propose_intention(
                project_id=project.pk,
                actor=self.actor,
                cue=body.text("cue", longest=2_000),
                action=body.object("action"),
                idempotency_key=body.text("idempotency_key", longest=MAX_KEY),
                ttl_seconds=body.whole("ttl_seconds", low=1, high=MAX_TTL_SECONDS),
                scope=body.text("scope", longest=120, default="team"),
            )
            return 201, intention_json(made)

        return answer_once(request, project_id=project.pk, actor=self.actor, act=act)


class IntentionClaims(Endpoint):
    @documented(body=IntentionClaimSerializer, answers={200: DueSerializer, 204: None})
    def post(self, request: Request) -> Response:
        """The oldest intention whose cue was met and that nobody holds; 204 where there is none."""
        body = Body(request.data, fields=("project", "worker", "seconds"))
        named = body.text("project", longest=64, default="")
        project = pick_project(actor=self.actor, named=named or None, pointer="/project")
        due = claim_due(
            project_id=project.pk,
            actor=self.actor,
            worker=body.text("worker", longest=120),
            seconds=body.whole("seconds", low=1, high=MAX_CLAIM_SECONDS),
        )
        return Response(status=204) if due is None else Response(due_json(due))


class IntentionFired(Endpoint):
    @documented(body=FiredSerializer, answers={200: IntentionSerializer})
    def post(self, request: Request, intention: UUID) -> Response:
        """The action was carried out. 409 `fire_lost` where the claim was taken over meanwhile."""
        find_intention(actor=self.actor, intention_id=intention)
        body = Body(request.data, fields=("epoch",))
        epoch = body.whole("epoch", low=1, high=MAX_EPOCH)
        done = report_fired(intention_id=intention, actor=self.actor, epoch=epoch)
        return Response(intention_json(done))


class IntentionDetail(Endpoint):
    @documented(answers={200: IntentionSerializer})
    def get(self, request: Request, intention: UUID) -> Response:
        """An intention and how it stands."""
        return Response(intention_json(find_intention(actor=self.actor, intention_id=intention)))

    @documented(answers={200: IntentionSerializer}, writes=True)
    def delete(self, request: Request, intention: UUID) -> Response:
        """Cancels it, unless it was fired or expired."""
        done = cancel_intention(intention_id=intention, actor=self.actor)
        return Response(intention_json(done))

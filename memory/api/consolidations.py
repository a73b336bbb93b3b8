"""Consolidations: ordered, looked at while they go on, called off."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from memory.api.serializers import (
    ConsolidationListSerializer,
    ConsolidationOrderSerializer,
    ConsolidationSerializer,
)
from memory.consolidation.jobs import (
    cancel_consolidation,
    find_consolidation,
    order_consolidation,
)
from memory.consolidation_models import Consolidation
from memory.selectors import list_consolidations
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.access.rights import Right
from verel_site.kit.bodies import Body
from verel_site.kit.cursors import read_page


def consolidation_json(job: Consolidation) -> dict[str, Any]:
    return {
        "consolidation": str(job.pk),
        "project": str(job.project_id),
        "number": job.number,
        "trigger": job.trigger,
        "state": job.state,
        "step": job.step,
        "done": job.done,
        "total": job.total,
        "after_position": job.after_position,
        "upto_position": job.upto_position,
        "counts": job.counts,
        "drop_rate": _drop_rate(job),
        "fault": job.fault,
        "by": {"kind": job.by_kind, "id": job.by_id, "name": job.by_name},
        "created_at": job.created_at.isoformat(),
        "closed_at": job.closed_at.isoformat() if job.closed_at else None,
    }


def _drop_rate(job: Consolidation) -> float | None:
    episodes = job.count("episodes")
    return round(1 - job.count("salient") / episodes, 6) if episodes else None


class ConsolidationList(Endpoint):
    @extend_schema(operation_id="memory_consolidations_list")
    @documented(
        answers={200: ConsolidationListSerializer},
        parameters=[
            *PAGING_PARAMETERS,
            query_parameter("project", "slug or id; needed where the key reads several"),
        ],
    )
    def get(self, request: Request) -> Response:
        """Consolidations by number."""
        after, limit = read_page(request.query_params)
        project = pick_project(actor=self.actor, named=request.query_params.get("project"))
        page = list_consolidations(
            actor=self.actor, project_id=project.pk, after=after, limit=limit
        )
        return Response(
            {
                "results": [consolidation_json(row) for row in page.rows],
                "next": page.rows[-1].number if page.more else None,
            }
        )

    @documented(
        body=ConsolidationOrderSerializer, answers={201: ConsolidationSerializer}, creates=True
    )
    def post(self, request: Request) -> Response:
        """Orders one, for the background worker. 409 `consolidation_open` while one is under way."""
        body = Body(request.data, fields=("project",))
        named = body.text("project", longest=64, default="")
        project = pick_project(actor=self.actor, named=named or None, pointer="/project")
        self.actor.demand(project.pk, Right.CURATE)

        def act() -> Answer:
            job = order_consolidation(project_id=project.pk, actor=self.actor)
            return 201, consolidation_json(job)

        return answer_once(request, project_id=project.pk, actor=self.actor, act=act)


class ConsolidationDetail(Endpoint):
    @documented(answers={200: ConsolidationSerializer})
    def get(self, request: Request, consolidation: UUID) -> Response:
        """A consolidation, how far it is, and what came of it."""
        job = find_consolidation(actor=self.actor, job_id=consolidation)
        return Response(consolidation_json(job))

    @documented(answers={200: ConsolidationSerializer}, writes=True)
    def delete(self, request: Request, consolidation: UUID) -> Response:
        """Calls it off at once: what it has written stays, the episodes are for the next one."""
        job = cancel_consolidation(job_id=consolidation, actor=self.actor)
        return Response(consolidation_json(job))

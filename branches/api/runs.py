"""Runs: start one, list them, read one and its tree."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from branches.api.answers import head_json, node_json, run_json
from branches.api.serializers import (
    RunDetailSerializer,
    RunPageSerializer,
    RunStartedSerializer,
    RunStartSerializer,
    TreeSerializer,
)
from branches.runs import start_run
from branches.selectors.events import read_run
from branches.selectors.listings import list_branches, list_runs, read_counted_run
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.access.projects import get_project
from verel_site.kit.bodies import Body
from verel_site.kit.cursors import read_page

MAX_GOAL = 10_000
FIELDS = ("goal", "run", "spec", "metadata")
FILTERS = (
    query_parameter("status", "runs with a branch in this status"),
    query_parameter("q", "text in the goal, or a run's number"),
)


class RunList(Endpoint):
    @documented(answers={200: RunPageSerializer}, parameters=[*PAGING_PARAMETERS, *FILTERS])
    def get(self, request: Request, project: str) -> Response:
        """The project's runs, by number."""
        query = request.query_params
        after, limit = read_page(query)
        page = list_runs(
            actor=self.actor,
            project=get_project(actor=self.actor, slug=project),
            status=query.get("status", ""),
            text=query.get("q", ""),
            after=after,
            limit=limit,
        )
        results = [run_json(run) for run in page.rows]
        return Response({"results": results, "next": page.rows[-1].number if page.more else None})

    @documented(body=RunStartSerializer, answers={201: RunStartedSerializer}, creates=True)
    def post(self, request: Request, project: str) -> Response:
        """Starts a run: its trunk holds one event, `harness.run.started`."""
        found = get_project(actor=self.actor, slug=project)
        body = Body(request.data, fields=FIELDS)

        def act() -> Answer:
            run, trunk = start_run(
                project_id=found.pk,
                actor=self.actor,
                goal=body.text("goal", longest=MAX_GOAL),
                run_id=body.uuid_or_none("run"),
                spec=body.object("spec"),
                metadata=body.object("metadata"),
            )
            ids = {"run": str(run.pk), "branch": str(trunk.pk), "number": run.number}
            return 201, {**ids, "head": head_json(trunk)}

        return answer_once(request, project_id=found.pk, actor=self.actor, act=act)


class RunDetail(Endpoint):
    @documented(answers={200: RunDetailSerializer})
    def get(self, request: Request, run: UUID) -> Response:
        """A run, its spec, and how much it holds."""
        found = read_counted_run(actor=self.actor, run_id=run)
        return Response({**run_json(found), "spec": found.spec})


class RunTree(Endpoint):
    @documented(answers={200: TreeSerializer})
    def get(self, request: Request, run: UUID) -> Response:
        """Every branch as a flat list, parents before their children."""
        found = read_run(actor=self.actor, run_id=run)
        branches = list_branches(actor=self.actor, run=found)
        return Response({"run": str(found.pk), "branches": [node_json(row) for row in branches]})

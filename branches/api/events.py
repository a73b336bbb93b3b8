"""Events: push a batch to a branch, read them by filter and cursor."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from branches.api.answers import appended_json, event_json
from branches.api.serializers import AppendedSerializer, BatchSerializer, EventPageSerializer
from branches.intake.batches import Batch, read_batch
from branches.intake.pushed import PARSERS, Pushed, read_clean
from branches.journal import append_events
from branches.selectors.events import FILTERS, read_events, read_project_id
from branches.selectors.listings import cut
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.cursors import read_int, read_page

CONDITIONS = ("expected_seq", "lease_epoch")


class EventList(Endpoint):
    @documented(
        answers={200: EventPageSerializer},
        parameters=[
            *PAGING_PARAMETERS,
            *(query_parameter(name, "exact; `null` means absent") for name in FILTERS),
        ],
    )
    def get(self, request: Request) -> Response:
        """Events that match every filter, ascending by position."""
        query = request.query_params.dict()
        after, limit = read_page(query)
        rows = read_events(actor=self.actor, query=query, after=after, limit=limit + 1)
        page = cut(rows, limit)
        results = [event_json(row) for row in page.rows]
        return Response({"results": results, "next": page.rows[-1].position if page.more else None})


class BranchEvents(Endpoint):
    parser_classes = PARSERS

    @documented(
        body={
            "application/json": BatchSerializer,
            "application/jsonl": BatchSerializer,
            "application/x-ndjson": BatchSerializer,
        },
        answers={200: AppendedSerializer, 201: AppendedSerializer},
        parameters=[
            query_parameter(name, "for JSON lines, which have no place for it", type=int)
            for name in CONDITIONS
        ],
        creates=True,
    )
    def post(self, request: Request, branch: UUID) -> Response:
        """201 when something was stored, 200 when all of it had been stored before."""
        project_id = read_project_id(actor=self.actor, branch_id=branch)
        body, query = request.data, request.query_params

        def act() -> Answer:
            batch = _read_batch(body, query, branch)
            appended = append_events(
                branch_id=branch,
                actor=self.actor,
                drafts=batch.drafts,
                expected_seq=batch.expected_seq,
                lease_epoch=batch.lease_epoch,
            )
            fresh = any(not receipt.duplicate for receipt in appended.results)
            return 201 if fresh else 200, appended_json(appended)

        return answer_once(request, project_id=project_id, actor=self.actor, act=act)


def _read_batch(body: Any, query: Mapping[str, str], branch: UUID) -> Batch:
    if isinstance(body, Pushed):
        clean = None if query else read_clean(body, branch_id=branch)
        if clean is not None:
            return clean
        body = body.value()
    return read_batch(_with_conditions(body, query), branch_id=branch)


def _with_conditions(body: Any, query: Mapping[str, str]) -> Any:
    told = {
        name: read_int(query, name, 0, low=0, high=2**62) for name in CONDITIONS if name in query
    }
    return {**told, **body} if isinstance(body, Mapping) and told else body

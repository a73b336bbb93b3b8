"""Merges, the triplets that they emit, and datasets of those."""

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from branches.datasets import make_dataset
from branches.domain.terms import Granularity
from branches.merges import revert_merge
from branches.selectors.events import read_branch
from branches.selectors.listings import (
    list_triplets,
    pick_project,
    read_dataset,
    read_dataset_file,
    read_merge,
)
from verdicts.api.answers import dataset_json, merge_json, triplet_json
from verdicts.api.serializers import (
    DatasetRequestSerializer,
    DatasetSerializer,
    MergeRequestSerializer,
    MergeSerializer,
    RevertSerializer,
    TripletPageSerializer,
)
from verdicts.gated_merges import merge_through_gate
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.bodies import Body
from verel_site.kit.cursors import read_page

MAX_REASON = 4_000
MAX_LOSERS = 500
FIELDS = ("winner", "losers", "note", "granularity", "expected_heads", "bypass_reason")
JSON_LINES = "application/x-ndjson"


class MergeList(Endpoint):
    @documented(body=MergeRequestSerializer, answers={201: MergeSerializer}, creates=True)
    def post(self, request: Request) -> Response:
        """The winner is merged, the losers are abandoned, and triplets follow."""
        body = Body(request.data, fields=FIELDS)
        winner = read_branch(actor=self.actor, branch_id=body.uuid("winner"))

        def act() -> Answer:
            merge = merge_through_gate(
                winner_id=winner.pk,
                loser_ids=body.uuids("losers", most=MAX_LOSERS),
                actor=self.actor,
                expected_heads=body.digests("expected_heads"),
                note=body.text("note", longest=MAX_REASON, default=""),
                granularity=Granularity(
                    body.choice("granularity", list(Granularity), default=Granularity.DECISION)
                ),
                bypass_reason=_read_bypass(body),
            )
            return 201, merge_json(read_merge(actor=self.actor, merge_id=merge.pk))

        return answer_once(request, project_id=winner.project_id, actor=self.actor, act=act)


def _read_bypass(body: Body) -> str | None:
    if not body.has("bypass_reason"):
        return None
    return body.text("bypass_reason", longest=MAX_REASON, default="")


class MergeDetail(Endpoint):
    @documented(answers={200: MergeSerializer})
    def get(self, request: Request, merge: UUID) -> Response:
        """A merge, what let it in, and its triplets."""
        return Response(merge_json(read_merge(actor=self.actor, merge_id=merge)))


class MergeRevert(Endpoint):
    @documented(body=RevertSerializer, answers={200: MergeSerializer})
    def post(self, request: Request, merge: UUID) -> Response:
        """Reopens both sides as they were, and withdraws the triplets."""
        read_merge(actor=self.actor, merge_id=merge)
        body = Body(request.data, fields=("reason",))
        reason = body.text("reason", longest=MAX_REASON, default="")
        revert_merge(merge_id=merge, actor=self.actor, reason=reason)
        return Response(merge_json(read_merge(actor=self.actor, merge_id=merge)))


class TripletList(Endpoint):
    @documented(
        answers={200: TripletPageSerializer},
        parameters=[*PAGING_PARAMETERS, query_parameter("project", "slug or id")],
    )
    def get(self, request: Request) -> Response:
        """Triplets by number. Who may not undo merges sees them once the time for that is up."""
        query = request.query_params
        after, limit = read_page(query)
        project = pick_project(actor=self.actor, named=query.get("project"))
        page = list_triplets(actor=self.actor, project=project, after=after, limit=limit)
        results = [triplet_json(triplet) for triplet in page.rows]
        return Response({"results": results, "next": page.rows[-1].number if page.more else None})


class DatasetList(Endpoint):
    @documented(body=DatasetRequestSerializer, answers={201: DatasetSerializer}, creates=True)
    def post(self, request: Request) -> Response:
        """A snapshot of all triplets that may leave."""
        body = Body(request.data, fields=("project", "format", "filter"))
        named = body.text("project", longest=64, default="")
        project = pick_project(actor=self.actor, named=named, pointer="/project")

        def act() -> Answer:
            dataset = make_dataset(
                project_id=project.pk,
                actor=self.actor,
                format=body.text("format", longest=40, default="trl"),
                filter=body.object("filter"),
            )
            return 201, dataset_json(dataset)

        return answer_once(request, project_id=project.pk, actor=self.actor, act=act)


class DatasetDetail(Endpoint):
    @documented(answers={200: DatasetSerializer})
    def get(self, request: Request, dataset: UUID) -> Response:
        """A dataset's manifest and the names of its files."""
        return Response(dataset_json(read_dataset(actor=self.actor, dataset_id=dataset)))


class DatasetFile(Endpoint):
    @documented(
        answers={(200, JSON_LINES): OpenApiTypes.BINARY},
        parameters=[query_parameter("name", "one of the dataset's files; the rows by default")],
    )
    def get(self, request: Request, dataset: UUID) -> HttpResponse:
        """One file of a dataset, as an attachment."""
        asked = request.query_params.get("name", "")
        name, data = read_dataset_file(actor=self.actor, dataset_id=dataset, name=asked)
        kind = JSON_LINES if name.endswith(".jsonl") else "text/plain; charset=utf-8"
        filename = name.rpartition("/")[2]
        return HttpResponse(
            data,
            content_type=kind,
            headers={
                "Content-Disposition": f'attachment; filename="{filename}"',
                "Content-Security-Policy": "sandbox",
            },
        )

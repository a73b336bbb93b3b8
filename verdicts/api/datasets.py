"""Triplets, and datasets of those."""

from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from branches.datasets import order_dataset
from branches.models import Dataset
from branches.selectors.datasets import open_file, read_dataset
from branches.selectors.listings import list_triplets, pick_project
from branches.selectors.triplets import FILTERS, TripletFilter
from verdicts.api.answers import dataset_json, triplet_json
from verdicts.api.serializers import (
    DatasetRequestSerializer,
    DatasetSerializer,
    TripletPageSerializer,
)
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.bodies import Body
from verel_site.kit.cursors import read_page
from verel_site.kit.streaming import stream_attachment

FILE_KINDS = ("application/x-ndjson", "application/json", "text/markdown")
ABOUT = {
    "run": "the run's id",
    "granularity": "decision, trajectory or final",
    "reviewer": "the name of who merged",
    "verdict": "the gate's word: pass, warn or fail",
    "bypassed": "true: merged past a shut gate; false: through an open one",
    "since": "merged at this day or time, or later",
    "until": "merged before this time, or on this day at the latest",
    "text": "stands in a message of the triplet",
}
FILTER_PARAMETERS = [query_parameter(name, ABOUT[name]) for name in FILTERS]


class TripletList(Endpoint):
    @documented(
        answers={200: TripletPageSerializer},
        parameters=[
            *PAGING_PARAMETERS,
            query_parameter("project", "slug or id"),
            *FILTER_PARAMETERS,
        ],
    )
    def get(self, request: Request) -> Response:
        """Triplets by number. Who may not undo merges sees them once the time for that is up."""
        query = request.query_params
        after, limit = read_page(query)
        page = list_triplets(
            actor=self.actor,
            project=pick_project(actor=self.actor, named=query.get("project")),
            after=after,
            limit=limit,
            wanted=TripletFilter.ask({n: query[n] for n in FILTERS if n in query}),
        )
        results = [triplet_json(triplet) for triplet in page.rows]
        return Response({"results": results, "next": page.rows[-1].number if page.more else None})


class DatasetList(Endpoint):
    @documented(
        body=DatasetRequestSerializer,
        answers={201: DatasetSerializer, 202: DatasetSerializer},
        creates=True,
    )
    def post(self, request: Request) -> Response:
        """A snapshot of the triplets that may leave: 201 with the finished dataset, or 202 with
        one that the worker writes; look at it until its status is ready."""
        body = Body(request.data, fields=("project", "format", "filter"))
        named = body.text("project", longest=64, default="")
        project = pick_project(actor=self.actor, named=named, pointer="/project")

        def act() -> Answer:
            ordered = order_dataset(
                project_id=project.pk,
                actor=self.actor,
                format=body.text("format", longest=40, default="trl"),
                filter=body.object("filter"),
            )
            return (201 if isinstance(ordered, Dataset) else 202), dataset_json(ordered)

        return answer_once(request, project_id=project.pk, actor=self.actor, act=act)


class DatasetDetail(Endpoint):
    @documented(answers={200: DatasetSerializer})
    def get(self, request: Request, dataset: UUID) -> Response:
        """How far a dataset is, its manifest and the names of its files."""
        return Response(dataset_json(read_dataset(actor=self.actor, dataset_id=dataset)))


class DatasetFile(Endpoint):
    @documented(
        answers={(200, kind): OpenApiTypes.BINARY for kind in FILE_KINDS},
        parameters=[query_parameter("name", "one of the dataset's files; the rows by default")],
        conflicts=True,
    )
    def get(self, request: Request, dataset: UUID) -> StreamingHttpResponse:
        """One file of a dataset, as an attachment. 409 while it is not ready, and for a dataset
        that holds triplets which were withdrawn since."""
        asked = request.query_params.get("name", "")
        name, pieces = open_file(actor=self.actor, dataset_id=dataset, name=asked)
        return stream_attachment(request._request, pieces, filename=name.rpartition("/")[2])

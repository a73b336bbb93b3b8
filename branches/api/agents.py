"""The agent's side: claim a fork, keep or give back its lease, hear directives."""

import functools
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from branches.api.answers import directive_json, lease_json
from branches.api.serializers import (
    ClaimedSerializer,
    ClaimRequestSerializer,
    DirectivePageSerializer,
    HeartbeatSerializer,
    LeasedSerializer,
)
from branches.directives import read_directives
from branches.leases import (
    MAX_SECONDS,
    MIN_SECONDS,
    claim_branch,
    extend_lease,
    release_lease,
)
from branches.pulse import wait_for_directive
from branches.selectors.context import FORMATS, read_format, rehydrate
from branches.selectors.events import read_branch
from branches.selectors.listings import pick_project
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.access.projects import get_project
from verel_site.kit.bodies import MAX_WHOLE, Body
from verel_site.kit.cursors import read_int, read_page
from verel_site.kit.strict_json import encode

CLAIM_SECONDS = 300
MAX_WAIT_SECONDS = 30


class ClaimList(Endpoint):
    @documented(body=ClaimRequestSerializer, answers={200: ClaimedSerializer, 204: None})
    def post(self, request: Request) -> HttpResponse:
        """The oldest claimable branch, its lease and its context; 204 when none waits."""
        body = Body(request.data, fields=("project", "worker", "seconds", "format"))
        project = get_project(actor=self.actor, slug=body.text("project", longest=64))
        format = read_format(body.choice("format", FORMATS, default="openai"))
        lease = claim_branch(
            project_id=project.pk,
            actor=self.actor,
            worker=body.text("worker", longest=120),
            seconds=_read_seconds(body),
        )
        if lease is None:
            return Response(status=204)
        branch = read_branch(actor=self.actor, branch_id=lease.branch)
        context = rehydrate(branch, format=format).body()
        answer = b"".join([encode(lease_json(lease))[:-1], b',"context":', context, b"}"])
        return HttpResponse(answer, content_type="application/json")


class BranchLease(Endpoint):
    @documented(body=HeartbeatSerializer, answers={200: LeasedSerializer})
    def post(self, request: Request, branch: UUID) -> Response:
        """A heartbeat: the lease lasts for `seconds` from now."""
        read_branch(actor=self.actor, branch_id=branch)
        body = Body(request.data, fields=("epoch", "seconds"))
        lease = extend_lease(
            branch_id=branch,
            actor=self.actor,
            epoch=body.whole("epoch", low=0),
            seconds=_read_seconds(body),
        )
        return Response(lease_json(lease))

    @documented(
        answers={204: None},
        parameters=[query_parameter("epoch", "or in a JSON body", type=int)],
        writes=True,
    )
    def delete(self, request: Request, branch: UUID) -> Response:
        """Gives the branch back before its lease ends."""
        read_branch(actor=self.actor, branch_id=branch)
        body = Body(request.data, fields=("epoch", "seconds"))
        told = body.has("epoch") or "epoch" not in request.query_params
        epoch = (
            body.whole("epoch", low=0)
            if told
            else read_int(request.query_params, "epoch", 0, low=0, high=MAX_WHOLE)
        )
        release_lease(branch_id=branch, actor=self.actor, epoch=epoch)
        return Response(status=204)


def _read_seconds(body: Body) -> int:
    return body.whole("seconds", low=MIN_SECONDS, high=MAX_SECONDS, default=CLAIM_SECONDS)


@dataclass(frozen=True)
class Wait:
    """What an empty answer waits for, and how long at most."""

    project_id: UUID
    after: int
    seconds: int


class DirectiveAnswer(Response):
    """An answer about directives; `wait` is set where it may become fuller by waiting."""

    wait: Wait | None = None


class DirectiveList(Endpoint):
    @documented(
        answers={200: DirectivePageSerializer},
        parameters=[
            *PAGING_PARAMETERS,
            query_parameter("project", "slug or id; may be left out by who has one project"),
            query_parameter("wait", "seconds to wait for a first result, up to 30", type=int),
        ],
    )
    def get(self, request: Request) -> Response:
        """Directives in order, each at least once; a reader acknowledges by its cursor."""
        query = request.query_params
        after, limit = read_page(query)
        seconds = read_int(query, "wait", 0, low=0, high=MAX_WAIT_SECONDS)
        project = pick_project(actor=self.actor, named=query.get("project"))
        rows = read_directives(project_id=project.pk, after=after, limit=limit)
        results = [directive_json(row) for row in rows]
        answer = DirectiveAnswer({"results": results, "next": rows[-1].pk if rows else after})
        if seconds and not rows:
            answer.wait = Wait(project.pk, after, seconds)
        return answer

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """An async view round the ordinary one: it waits in the event loop, holding no database
        connection, and reads again as any request does, so a key that was revoked meanwhile gets
        its 401."""
        read = super().as_view(**initkwargs)

        @functools.wraps(read)
        async def poll(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            answer = await sync_to_async(read)(request, *args, **kwargs)
            wait = getattr(answer, "wait", None)
            if not isinstance(wait, Wait):
                return answer
            if await wait_for_directive(wait.project_id, wait.after, wait.seconds):
                answer = await sync_to_async(read)(request, *args, **kwargs)
            return answer

        return poll

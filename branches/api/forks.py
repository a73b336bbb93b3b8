"""Branches: fork one, read one and its context, move one."""

from collections.abc import Callable
from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from branches.api.answers import branch_json, fork_json
from branches.api.serializers import (
    BranchSerializer,
    CompletionSerializer,
    ContextSerializer,
    ForkRequestSerializer,
    ForkSerializer,
    ReasonSerializer,
)
from branches.forks import MAX_OVERRIDE, fork_branch
from branches.models import Branch
from branches.selectors.context import FORMATS, read_format, rehydrate
from branches.selectors.events import read_branch
from branches.steering import abandon_branch, complete_branch, pause_branch, resume_branch
from verel_site.access.endpoints import Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.bodies import MAX_WHOLE, Body
from verel_site.kit.cursors import read_int

MAX_REASON = 4_000
FIELDS = ("fork_seq", "override", "note", "name", "claimable")
CUT = (
    query_parameter("format", f"one of {', '.join(FORMATS)}"),
    query_parameter("upto", "cut after this many events of the suffix", type=int),
    query_parameter(
        "cache_control", "1: mark the blocks at the cache points (format anthropic)", type=int
    ),
)


class BranchForks(Endpoint):
    @documented(body=ForkRequestSerializer, answers={201: ForkSerializer}, creates=True)
    def post(self, request: Request, branch: UUID) -> Response:
        """A branch after one event of this one. It begins with the override, and is claimable."""
        parent = read_branch(actor=self.actor, branch_id=branch)
        body = Body(request.data, fields=FIELDS)

        def act() -> Answer:
            fork = fork_branch(
                parent_id=branch,
                fork_seq=body.whole("fork_seq", low=0),
                actor=self.actor,
                # One over the limit, so that the action says how many an override takes.
                override=body.text("override", longest=MAX_OVERRIDE + 1, default=""),
                note=body.text("note", longest=MAX_REASON, default=""),
                name=body.text("name", longest=120, default=""),
                claimable=body.flag("claimable", default=True),
            )
            return 201, fork_json(fork)

        return answer_once(request, project_id=parent.project_id, actor=self.actor, act=act)


class BranchDetail(Endpoint):
    @documented(answers={200: BranchSerializer})
    def get(self, request: Request, branch: UUID) -> Response:
        """A branch, its head, and who holds it."""
        return Response(branch_json(read_branch(actor=self.actor, branch_id=branch)))


class BranchContext(Endpoint):
    @documented(answers={200: ContextSerializer}, parameters=CUT)
    def get(self, request: Request, branch: UUID) -> HttpResponse:
        """The lineage as a model is to see it; the same prefix is always the same bytes."""
        query = request.query_params
        found = read_branch(actor=self.actor, branch_id=branch)
        upto = read_int(query, "upto", found.head_seq, low=0, high=MAX_WHOLE)
        format = read_format(query.get("format", "openai"))
        marked = read_int(query, "cache_control", 0, low=0, high=1) == 1
        context = rehydrate(found, format=format, upto=upto, cache_control=marked)
        return HttpResponse(context.body(), content_type="application/json")


class BranchMove(Endpoint):
    """One of the moves that people, or an agent that has finished, may ask for."""

    move: ClassVar[Callable[..., Branch]]

    @documented(body=ReasonSerializer, answers={200: BranchSerializer})
    def post(self, request: Request, branch: UUID) -> Response:
        """Moves the branch, tells its agent, and keeps who asked and why."""
        read_branch(actor=self.actor, branch_id=branch)
        body = Body(request.data, fields=("reason",))
        reason = body.text("reason", longest=MAX_REASON, default="")
        moved = type(self).move(branch_id=branch, actor=self.actor, reason=reason)
        return Response(branch_json(moved))


class BranchPause(BranchMove):
    move = staticmethod(pause_branch)


class BranchResume(BranchMove):
    move = staticmethod(resume_branch)


class BranchComplete(Endpoint):
    @documented(body=CompletionSerializer, answers={200: BranchSerializer})
    def post(self, request: Request, branch: UUID) -> Response:
        """An agent says that it has finished; with `lease_epoch` only while it holds the lease."""
        read_branch(actor=self.actor, branch_id=branch)
        body = Body(request.data, fields=("reason", "lease_epoch"))
        done = complete_branch(
            branch_id=branch,
            actor=self.actor,
            reason=body.text("reason", longest=MAX_REASON, default=""),
            lease_epoch=body.whole("lease_epoch", low=0, high=MAX_WHOLE)
            if body.has("lease_epoch")
            else None,
        )
        return Response(branch_json(done))


class BranchAbandon(BranchMove):
    move = staticmethod(abandon_branch)

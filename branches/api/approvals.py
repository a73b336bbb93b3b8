"""Approvals: what branches ask of people, and the one answer to each."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from branches.api.answers import approval_json
from branches.api.serializers import AnswerSerializer, ApprovalPageSerializer, ApprovalSerializer
from branches.approvals import answer_approval
from branches.domain.terms import Answer
from branches.selectors.listings import age_cursor, list_approvals, pick_project, read_approval
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.kit.bodies import Body
from verel_site.kit.cursors import read_page
from verel_site.kit.refusals import BadInput

STATES = ("open", "answered", "all")
MAX_TEXT = 32_000


class ApprovalList(Endpoint):
    @documented(
        answers={200: ApprovalPageSerializer},
        parameters=[
            *PAGING_PARAMETERS,
            query_parameter("project", "slug or id"),
            query_parameter("state", f"one of {', '.join(STATES)}; open by default"),
        ],
    )
    def get(self, request: Request) -> Response:
        """What branches ask of people, the oldest first."""
        query = request.query_params
        named = query.get("project")
        page = list_approvals(
            actor=self.actor,
            project_id=pick_project(actor=self.actor, named=named).pk if named else None,
            state=_read_state(query.get("state", "open")),
            after=query.get("after", ""),
            limit=read_page({"limit": query.get("limit", "")})[1],
        )
        results = [approval_json(row) for row in page.rows]
        return Response(
            {"results": results, "next": age_cursor(page.rows[-1]) if page.more else None}
        )


class ApprovalAnswer(Endpoint):
    @documented(body=AnswerSerializer, answers={200: ApprovalSerializer})
    def post(self, request: Request, approval: UUID) -> Response:
        """One answer by a person, bound to the digest of the request that they looked at."""
        read_approval(actor=self.actor, approval_id=approval)
        body = Body(request.data, fields=("answer", "args", "text", "request_digest"))
        answered = answer_approval(
            approval_id=approval,
            actor=self.actor,
            answer=body.choice("answer", [answer.value for answer in Answer]),
            request_digest=body.digest("request_digest"),
            args=body.object_or_none("args"),
            text=body.text("text", longest=MAX_TEXT, default=""),
        )
        return Response(approval_json(answered))


def _read_state(text: str) -> str:
    if text not in STATES:
        raise BadInput(f"state is one of {', '.join(STATES)}.", parameter="state")
    return text

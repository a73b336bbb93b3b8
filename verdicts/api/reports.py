"""Reports about a branch, and the gate's word on it."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.events import read_branch
from branches.selectors.listings import cut
from verdicts.admission import read_gate
from verdicts.api.answers import report_json
from verdicts.api.serializers import (
    BranchProgressSerializer,
    GateSerializer,
    NoncesSerializer,
    ReportPageSerializer,
    ReportRequestSerializer,
    ReportSerializer,
)
from verdicts.domain.terms import Grader
from verdicts.policies import current_policy
from verdicts.progress import read_progress
from verdicts.receipts import owed_nonce
from verdicts.reports import file_report
from verdicts.selectors import read_reports
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.cursors import read_page
from verel_site.kit.refusals import BadInput


class BranchReports(Endpoint):
    @documented(answers={200: ReportPageSerializer}, parameters=PAGING_PARAMETERS)
    def get(self, request: Request, branch: UUID) -> Response:
        """A branch's reports on this head and on older ones, in order of arrival."""
        after, limit = read_page(request.query_params)
        found = read_branch(actor=self.actor, branch_id=branch)
        rows = read_reports(actor=self.actor, branch=found).filter(order__gt=after)
        page = cut(rows.order_by("order")[: limit + 1], limit)
        results = [report_json(report) for report in page.rows]
        return Response({"results": results, "next": page.rows[-1].order if page.more else None})

    @documented(body=ReportRequestSerializer, answers={201: ReportSerializer}, creates=True)
    def post(self, request: Request, branch: UUID) -> Response:
        """Files what one grader says of one head."""
        found = read_branch(actor=self.actor, branch_id=branch)

        def act() -> Answer:
            # What is no object is refused by the action, in the same words as any other fault.
            body = cast("Mapping[str, Any]", request.data)
            report = file_report(branch_id=branch, actor=self.actor, report=body)
            return 201, report_json(report)

        return answer_once(request, project_id=found.project_id, actor=self.actor, act=act)


class BranchNonces(Endpoint):
    @documented(
        answers={200: NoncesSerializer},
        parameters=[query_parameter("grader", "one grader; else every required one")],
    )
    def get(self, request: Request, branch: UUID) -> Response:
        """The nonce that each grader's next receipt for this head must carry."""
        found = read_branch(actor=self.actor, branch_id=branch)
        named = request.query_params.get("grader")
        if named is not None and named not in {grader.value for grader in Grader}:
            raise BadInput("There is no such grader.", parameter="grader")
        policy = current_policy(project_id=found.project_id)
        graders = [named] if named else [str(row["grader"]) for row in policy.required]
        nonces = {grader: owed_nonce(branch=found, grader=grader) for grader in graders}
        head = bytes(found.head_digest).hex()
        return Response({"branch": str(found.pk), "head_digest": head, "nonces": nonces})


class BranchGate(Endpoint):
    @documented(answers={200: GateSerializer})
    def get(self, request: Request, branch: UUID) -> Response:
        """What all reports on the head come to, and what is still owed."""
        return Response(read_gate(read_branch(actor=self.actor, branch_id=branch)).as_json())


class BranchProgress(Endpoint):
    @documented(answers={200: BranchProgressSerializer})
    def get(self, request: Request, branch: UUID) -> Response:
        """Whether the loop on a branch gets anywhere, and what it should do next."""
        found = read_branch(actor=self.actor, branch_id=branch)
        return Response(read_progress(actor=self.actor, branch=found).as_json())

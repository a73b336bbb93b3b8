"""Merges, and taking them back."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from branches.domain.terms import Granularity
from branches.merges import revert_merge
from branches.selectors.events import read_branch
from branches.selectors.listings import read_merge
from verdicts.api.answers import merge_json
from verdicts.api.serializers import MergeRequestSerializer, MergeSerializer, RevertSerializer
from verdicts.gated_merges import merge_through_gate
from verel_site.access.endpoints import Endpoint, documented
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.bodies import Body

MAX_REASON = 4_000
MAX_LOSERS = 500
FIELDS = ("winner", "losers", "note", "granularity", "expected_heads", "bypass_reason")


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

"""Contests of more than two continuations."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.events import read_branch
from verdicts.api.review_serializers import ContestRequestSerializer, ContestSerializer
from verdicts.contests import live_contenders, open_contest, play_contest, read_contest
from verdicts.domain.contest import MAX_CONTENDERS, Neutral
from verdicts.domain.pairing import MAX_REVIEWERS
from verdicts.models import Contest
from verel_site.access.endpoints import Endpoint, documented
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.bodies import Body


def contest_json(contest: Contest) -> dict[str, Any]:
    """Sealed while it is open: who judges the next round must not know who won the last."""
    contenders = live_contenders(contest)
    course = play_contest(contest, contenders)
    over = contest.state == Contest.State.DONE
    losers = [str(row.branch_id) for row in contenders if row.branch_id != contest.winner_id]
    return {
        "contest": str(contest.pk),
        "run": str(contest.run_id),
        "state": contest.state,
        "contenders": contest.contenders.count(),
        "rounds_decided": len(course.rounds),
        "current": str(contest.current_id) if contest.current_id else None,
        "winner": str(contest.winner_id) if contest.winner_id else None,
        "losers": losers if contest.winner_id else [],
        "merge": str(contest.merge_id) if contest.merge_id else None,
        "rounds": [
            {
                "champion": str(one.champion),
                "challenger": str(one.challenger),
                "won": one.won.value if isinstance(one.won, Neutral) else str(one.won),
            }
            for one in course.rounds
        ]
        if over
        else [],
    }


class ContestList(Endpoint):
    @documented(body=ContestRequestSerializer, answers={201: ContestSerializer}, creates=True)
    def post(self, request: Request) -> Response:
        """Compares three branches or more of one run, two by two: each round is a comparison in the
        inbox, and its winner meets the next. The same heads again are the same contest."""
        body = Body(request.data, fields=("branches", "reviewers"))
        branches = body.uuids("branches", most=MAX_CONTENDERS)
        first = read_branch(actor=self.actor, branch_id=branches[0] if branches else UUID(int=0))

        def act() -> Answer:
            contest = open_contest(
                branches=branches,
                actor=self.actor,
                required=body.whole("reviewers", low=1, high=MAX_REVIEWERS)
                if body.has("reviewers")
                else 1,
            )
            return 201, contest_json(contest)

        return answer_once(request, project_id=first.project_id, actor=self.actor, act=act)


class ContestDetail(Endpoint):
    @documented(answers={200: ContestSerializer})
    def get(self, request: Request, contest: UUID) -> Response:
        """How far it is; at its end every round, and what `POST /merges` takes."""
        return Response(contest_json(read_contest(actor=self.actor, contest_id=contest)))

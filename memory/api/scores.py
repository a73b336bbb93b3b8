"""Entailment scores that graders push, for pairs of texts by their digest."""

from typing import Any, Final

from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from memory.api.serializers import VERDICTS, PushedScoresSerializer, ScoresSerializer
from memory.entailment import MAX_PUSHED, Pushed, push_scores
from memory.evidence import Cited
from verel_site.access.endpoints import Endpoint, documented
from verel_site.access.idempotency import Answer, answer_once
from verel_site.access.rights import Right
from verel_site.kit.bodies import Body, inside
from verel_site.kit.refusals import BadInput

FIELDS: Final = ("pair", "value", "event", "report", "sees")


class Scores(Endpoint):
    @documented(body=ScoresSerializer, answers={201: PushedScoresSerializer}, creates=True)
    def post(self, request: Request) -> Response:
        """How far premises support hypotheses. `pair` is the SHA-256 of the bytes `verel memory 1`
        and of the five texts `pair`, `premise`, the premise, `hypothesis` and the hypothesis, each in
        UTF-8 behind its length in 8 big-endian bytes. A score counts as precise from 0.85 on, and
        only where it cites an event together with a precise grader's report on its branch that
        agrees: whose verdict is what `sees` says, `pass` by default. Consolidation takes it as the
        corroborator of a claim where the report looked at the claim's own episode, and does not
        pass. Pushing again replaces; of several keys the lowest score counts."""
        body = Body(request.data, fields=("project", "scores"))
        named = body.text("project", longest=64, default="")
        project = pick_project(actor=self.actor, named=named or None, pointer="/project")
        self.actor.demand(project.pk, Right.REPORT)

        def act() -> Answer:
            rows = push_scores(project_id=project.pk, actor=self.actor, pushed=_read_scores(body))
            told: list[dict[str, Any]] = [
                {"pair": bytes(row.pair).hex(), "value": row.value, "precise": row.precise}
                for row in rows
            ]
            return 201, {"scores": told}

        return answer_once(request, project_id=project.pk, actor=self.actor, act=act)


def _read_scores(body: Body) -> list[Pushed]:
    listed = body.listed("scores")
    if not 1 <= len(listed) <= MAX_PUSHED:
        raise BadInput(f"scores takes a list of 1 to {MAX_PUSHED}.", pointer="/scores")
    pushed = []
    for index, item in enumerate(listed):
        with inside(f"/scores/{index}"):
            pushed.append(_read_score(Body(item, fields=FIELDS)))
    return pushed


def _read_score(one: Body) -> Pushed:
    value = one.number_or_none("value", low=0, high=1)
    if value is None:
        raise BadInput("value takes a number from 0 to 1.", pointer="/value")
    cited = None
    if one.has("event") or one.has("report"):
        sees = one.choice("sees", VERDICTS, default="pass")
        cited = Cited(one.uuid("event"), report=one.uuid("report"), sees=sees)
    return Pushed(one.digest("pair"), value, cited)

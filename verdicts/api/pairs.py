"""The rules by which a project proposes pairs."""

from rest_framework.request import Request
from rest_framework.response import Response

from verdicts.api.review_serializers import PairRulesRequestSerializer, PairRulesSerializer
from verdicts.domain.pairing import PairRule
from verdicts.pair_rules import BOUNDS, change_pair_rules, current_rules, rule_of, rules_json
from verel_site.access.endpoints import Endpoint, documented
from verel_site.access.idempotency import Answer, answer_once
from verel_site.access.projects import get_project
from verel_site.access.rights import Right
from verel_site.kit.bodies import Body

MAX_REASON = 4_000
FIELDS = (
    "on_finished",
    "sample_percent",
    "on_disputed",
    "reviewers",
    "overlap_percent",
    "reason",
)


class ProjectPairRules(Endpoint):
    @documented(answers={200: PairRulesSerializer})
    def get(self, request: Request, project: str) -> Response:
        """Which pairs the project proposes by itself; version 0 proposes none."""
        found = get_project(actor=self.actor, slug=project)
        return Response(rules_json(*current_rules(found.pk)))

    @documented(body=PairRulesRequestSerializer, answers={201: PairRulesSerializer}, creates=True)
    def post(self, request: Request, project: str) -> Response:
        """The next version. What is left out takes the value that it had before the first one."""
        found = get_project(actor=self.actor, slug=project)
        self.actor.demand(found.pk, Right.ADMINISTER)
        body = Body(request.data, fields=FIELDS)

        def act() -> Answer:
            numbers = {
                name: body.whole(name, low=low, high=high)
                for name, (low, high) in BOUNDS.items()
                if body.has(name)
            }
            row = change_pair_rules(
                project_id=found.pk,
                actor=self.actor,
                rule=PairRule(
                    on_finished=body.flag("on_finished", default=False),
                    on_disputed=body.flag("on_disputed", default=False),
                    **numbers,
                ),
                reason=body.text("reason", longest=MAX_REASON, default=""),
            )
            return 201, rules_json(row.version, rule_of(row))

        return answer_once(request, project_id=found.pk, actor=self.actor, act=act)

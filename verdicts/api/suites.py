"""Suites: made, frozen and retired by people, run by runners; agents see that they are, and no
case."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from verdicts.api.serializers import (
    ReserveSerializer,
    SuiteCasesSerializer,
    SuiteListSerializer,
    SuiteRequestSerializer,
    SuiteResultRequestSerializer,
    SuiteResultSerializer,
    SuiteSerializer,
    WhySerializer,
)
from verdicts.domain.leakage import ROTATE_DAYS
from verdicts.rotations import rotate_suite
from verdicts.selectors import SuiteLine, list_suites
from verdicts.suites import (
    MAX_ROTATE_DAYS,
    add_reserve,
    create_suite,
    find_suite,
    freeze_draft,
    read_cases,
    record_result,
    retire_suite,
)
from verel_site.access.endpoints import Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.bodies import Body

MAX_REASON = 4_000
MAX_TOTAL = 1_000_000
_FIELDS = ("project", "grader", "name", "cases", "holdout", "reserve", "rotate_days")


def suite_json(line: SuiteLine) -> dict[str, Any]:
    """What anyone in the project may know of a suite: how many cases, and not one of them."""
    suite = line.suite
    return {
        "suite": str(suite.pk),
        "project": str(suite.project_id),
        "grader": suite.grader,
        "name": suite.name,
        "digest": suite.digest,
        "owner": suite.owner,
        "cases": line.cases,
        "holdout": line.holdout,
        "reserve": line.reserve,
        "follows": str(suite.follows_id) if suite.follows_id else None,
        "created_at": suite.created_at.isoformat(),
        "frozen_at": suite.frozen_at.isoformat() if suite.frozen_at else None,
        "retired_at": suite.retired_at.isoformat() if suite.retired_at else None,
        "retired_reason": suite.retired_reason,
        "rotate_days": suite.rotate_days,
        "rotate_at": suite.rotate_at.isoformat() if suite.rotate_at else None,
        "fresh_cases_needed": line.fresh_cases_needed,
        "tripped_at": suite.tripped_at.isoformat() if suite.tripped_at else None,
        "tripped_reason": suite.tripped_reason,
    }


class _SuiteEndpoint(Endpoint):
    def tell(self, suite_id: UUID, status: int = 200) -> Answer:
        [line] = list_suites(actor=self.actor, suite_id=suite_id)
        return status, suite_json(line)


class SuiteList(_SuiteEndpoint):
    # Named by hand, since the schema takes a list that is no page for one suite.
    @extend_schema(operation_id="suites_list")
    @documented(
        answers={200: SuiteListSerializer},
        parameters=[query_parameter("project", "slug or id")],
    )
    def get(self, request: Request) -> Response:
        """A project's suites, newest first, without their cases."""
        project = pick_project(actor=self.actor, named=request.query_params.get("project"))
        lines = list_suites(actor=self.actor, project_id=project.pk)
        return Response({"results": [suite_json(line) for line in lines]})

    @documented(body=SuiteRequestSerializer, answers={201: SuiteSerializer}, creates=True)
    def post(self, request: Request) -> Response:
        """A suite with its cases, not frozen yet. People alone."""
        body = Body(request.data, fields=_FIELDS)
        named = body.text("project", longest=64, default="")
        project = pick_project(actor=self.actor, named=named or None, pointer="/project")

        def act() -> Answer:
            suite = create_suite(
                project_id=project.pk,
                actor=self.actor,
                grader=body.text("grader", longest=16),
                name=body.text("name", longest=120),
                cases=body.listed("cases"),
                holdout=body.listed("holdout"),
                reserve=body.listed("reserve"),
                rotate_days=None
                if body.is_null("rotate_days")
                else body.whole("rotate_days", low=1, high=MAX_ROTATE_DAYS, default=ROTATE_DAYS),
            )
            return self.tell(suite.pk, 201)

        return answer_once(request, project_id=project.pk, actor=self.actor, act=act)


class SuiteDetail(_SuiteEndpoint):
    @documented(answers={200: SuiteSerializer})
    def get(self, request: Request, suite: UUID) -> Response:
        """A suite without its cases."""
        find_suite(actor=self.actor, suite_id=suite)
        return Response(self.tell(suite)[1])


class SuiteFreeze(_SuiteEndpoint):
    @documented(body=WhySerializer, answers={200: SuiteSerializer})
    def post(self, request: Request, suite: UUID) -> Response:
        """From now on its cases never change, and receipts may name it."""
        freeze_draft(suite_id=suite, actor=self.actor, reason=_reason(request))
        return Response(self.tell(suite)[1])


class SuiteRetire(_SuiteEndpoint):
    @documented(body=WhySerializer, answers={200: SuiteSerializer})
    def post(self, request: Request, suite: UUID) -> Response:
        """From now on it proves nothing; what was verified on it falls back."""
        retire_suite(suite_id=suite, actor=self.actor, reason=_reason(request))
        return Response(self.tell(suite)[1])


class SuiteRotate(_SuiteEndpoint):
    @documented(body=WhySerializer, answers={200: SuiteSerializer})
    def post(self, request: Request, suite: UUID) -> Response:
        """Retires it for one in which the oldest fifth is fresh; answers that one."""
        new = rotate_suite(suite_id=suite, actor=self.actor, reason=_reason(request))
        return Response(self.tell(new.pk)[1])


class SuiteCases(_SuiteEndpoint):
    @documented(answers={200: SuiteCasesSerializer})
    def get(self, request: Request, suite: UUID) -> Response:
        """The cases and the hold-out, for the runner that runs them. `canary` is a text that must
        stand nowhere else: a runner puts it beside every case that it keeps."""
        found, rows = read_cases(suite_id=suite, actor=self.actor)
        listed = [{"part": row.part, "name": row.name, "body": row.body} for row in rows]
        return Response(
            {
                "suite": str(found.pk),
                "digest": found.digest,
                "canary": found.token,
                "results": listed,
            }
        )

    @documented(body=ReserveSerializer, answers={200: SuiteSerializer})
    def post(self, request: Request, suite: UUID) -> Response:
        """Fresh cases, for rotations to mint from. People alone."""
        body = Body(request.data, fields=("cases",))
        add_reserve(suite_id=suite, actor=self.actor, cases=body.listed("cases"))
        return Response(self.tell(suite)[1])


class SuiteResults(_SuiteEndpoint):
    @documented(
        body=SuiteResultRequestSerializer, answers={201: SuiteResultSerializer}, creates=True
    )
    def post(self, request: Request, suite: UUID) -> Response:
        """How many cases passed: what the leakage canary compares with the hold-out."""
        fields = ("passed", "total", "holdout_passed", "holdout_total")
        body = Body(request.data, fields=fields)
        found = find_suite(actor=self.actor, suite_id=suite)

        def act() -> Answer:
            result = record_result(
                suite_id=suite,
                actor=self.actor,
                passed=body.whole("passed", low=0, high=MAX_TOTAL),
                total=body.whole("total", low=1, high=MAX_TOTAL),
                holdout_passed=body.whole("holdout_passed", low=0, high=MAX_TOTAL, default=0),
                holdout_total=body.whole("holdout_total", low=0, high=MAX_TOTAL, default=0),
            )
            return 201, {
                "suite": str(suite),
                **{name: getattr(result, name) for name in fields},
                "created_at": result.created_at.isoformat(),
            }

        return answer_once(request, project_id=found.project_id, actor=self.actor, act=act)


def _reason(request: Request) -> str:
    return Body(request.data, fields=("reason",)).text("reason", longest=MAX_REASON)

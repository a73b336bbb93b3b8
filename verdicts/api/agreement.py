"""Agreement between reviewers, and of graders with them, as figures."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from verdicts.agreement import Agreement, RaterLine, read_agreement
from verdicts.api.review_serializers import AgreementSerializer
from verdicts.reliability import Estimate
from verel_site.access.endpoints import Endpoint, documented, query_parameter
from verel_site.access.projects import get_project
from verel_site.access.rights import Right
from verel_site.kit.cursors import read_int

DEFAULT_DAYS = 30
MAX_DAYS = 366


def estimate_json(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "pairs": estimate.pairs,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
    }


def _rater_json(line: RaterLine) -> dict[str, Any]:
    return {
        "id": line.id,
        "name": line.name,
        "percent": estimate_json(line.percent),
        "kappa": estimate_json(line.kappa),
        "weakest": line.weakest or None,
    }


def agreement_json(told: Agreement) -> dict[str, Any]:
    return {
        "since": told.since.isoformat(),
        "until": told.until.isoformat(),
        "labels": told.labels,
        "capped": told.capped,
        "pairs": told.pairs,
        "shared": told.shared,
        "disputed": told.disputed,
        "adjudicated": told.adjudicated,
        "questions": [
            {
                "name": one.name,
                "percent": estimate_json(one.percent),
                "kappa": estimate_json(one.kappa),
                "alpha": estimate_json(one.alpha),
            }
            for one in told.questions
        ],
        "reviewers": [_rater_json(line) for line in told.reviewers],
        "graders": [_rater_json(line) for line in told.graders],
        "couples": [
            {
                "reviewers": [one.one, one.other],
                "percent": estimate_json(one.percent),
                "kappa": estimate_json(one.kappa),
            }
            for one in told.couples
        ],
    }


class ProjectAgreement(Endpoint):
    @documented(
        answers={200: AgreementSerializer},
        parameters=[
            query_parameter(
                "days", f"how far back, 1 to {MAX_DAYS}; {DEFAULT_DAYS}", type=OpenApiTypes.INT
            )
        ],
    )
    def get(self, request: Request, project: str) -> Response:
        """How far reviewers agree with each other and graders with them, each figure with its
        interval. A pair that still waits for a reviewer is left out."""
        found = get_project(actor=self.actor, slug=project)
        self.actor.demand(found.pk, Right.LABEL)
        days = read_int(request.query_params, "days", DEFAULT_DAYS, low=1, high=MAX_DAYS)
        now = timezone.now()
        told = read_agreement(project_id=found.pk, since=now - timedelta(days=days), until=now)
        return Response(agreement_json(told))

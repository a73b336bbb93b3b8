"""Comparisons: a reviewer's own sides, and the label."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from verdicts.api.serializers import LabelRequestSerializer, LabelSerializer, SidesSerializer
from verdicts.comparisons import MAX_TEXT, Side, draw_sides, label_comparison
from verdicts.domain.labels import Choice
from verdicts.models import Label
from verdicts.selectors import own_label, read_comparison
from verel_site.access.endpoints import Endpoint, documented
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.bodies import Body

FIELDS = (
    "choice",
    "strength",
    "scores",
    "rationale",
    "corrected",
    "corrected_of",
    "claim",
    "seen_heads",
)


def _side_json(side: Side, seal: str, *, judged: bool) -> dict[str, Any]:
    return {
        "seal": seal,
        "head_digest": side.head_digest.hex() if judged else None,
        "steps": side.branch.base + side.head_seq,
    }


def label_json(label: Label) -> dict[str, Any]:
    return {
        "label": str(label.pk),
        "comparison": str(label.comparison_id),
        "choice": label.choice,
        "chosen": str(label.chosen_id) if label.chosen_id else None,
        "rejected": str(label.rejected_id) if label.rejected_id else None,
        "correction": str(label.correction_id) if label.correction_id else None,
        "created_at": label.created_at.isoformat(),
    }


class ComparisonSides(Endpoint):
    @documented(answers={200: SidesSerializer}, writes=True)
    def post(self, request: Request, comparison: UUID) -> Response:
        """The order of sides of whoever asks: drawn at random the first time, and kept. Which branch
        is which stays sealed until the label: a `seal` stands for the head, and is what a label
        shows as `seen_heads`."""
        sides = draw_sides(comparison_id=comparison, reviewer=self.actor)
        found = read_comparison(actor=self.actor, comparison_id=comparison)
        judged = own_label(actor=self.actor, comparison=found) is not None
        left, right = (
            _side_json(side, seal, judged=judged)
            for side, seal in zip((sides.left, sides.right), sides.seals, strict=True)
        )
        return Response({"left": left, "right": right})


class ComparisonLabel(Endpoint):
    @documented(body=LabelRequestSerializer, answers={201: LabelSerializer}, creates=True)
    def post(self, request: Request, comparison: UUID) -> Response:
        """One reviewer's judgement, `choice` naming the side as they saw it. With a `claim` of the
        pair's item in the inbox it needs that claim's seat."""
        found = read_comparison(actor=self.actor, comparison_id=comparison)
        body = Body(request.data, fields=FIELDS)

        def act() -> Answer:
            label = label_comparison(
                comparison_id=comparison,
                actor=self.actor,
                choice=body.choice("choice", [choice.value for choice in Choice]),
                strength=body.whole("strength", low=1, high=5) if body.has("strength") else None,
                scores=body.object("scores"),
                rationale=body.text("rationale", longest=MAX_TEXT, default=""),
                corrected=body.text("corrected", longest=MAX_TEXT, default=""),
                corrected_of=body.choice("corrected_of", ["left", "right", ""], default=""),
                seen_heads=body.object("seen_heads"),
                claim=body.uuid_or_none("claim"),
            )
            return 201, label_json(label)

        return answer_once(request, project_id=found.project_id, actor=self.actor, act=act)

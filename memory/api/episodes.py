"""Episodes: what agents did, step by step, as memory sees it."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from memory.api.serializers import OUTCOMES, EpisodeListSerializer
from memory.consolidation.observations import Observed
from memory.episode_list import Salience, Told, list_episodes, read_episode_filter
from verel_site.access.endpoints import (
    PAGING_PARAMETERS,
    Endpoint,
    check_names,
    documented,
    query_parameter,
)
from verel_site.kit.cursors import read_page

PARAMETERS = (
    *PAGING_PARAMETERS,
    query_parameter("project", "slug or id; needed where the key reads several"),
    query_parameter("run", "id of a run"),
    query_parameter("branch", "id of a branch"),
    query_parameter("agent", "the source of the event that ended the step"),
    query_parameter("tool", "the tool that was called"),
    query_parameter("skill", "the skill that the step took up"),
    query_parameter("outcome", f"one of {', '.join(OUTCOMES)}"),
    query_parameter("signature", "of what went wrong; the same for all sightings of one fault"),
)


class EpisodeList(Endpoint):
    @extend_schema(operation_id="memory_episodes_list")
    @documented(answers={200: EpisodeListSerializer}, parameters=PARAMETERS)
    def get(self, request: Request) -> Response:
        """Steps of agents by their position in the journal, of which they are a projection: a
        tool's result with its call, or the end of a run. A verdict counts for the step that it was
        said behind, until the next one of its branch."""
        check_names(request, PARAMETERS)
        after, limit = read_page(request.query_params)
        project = pick_project(actor=self.actor, named=request.query_params.get("project"))
        page = list_episodes(
            actor=self.actor,
            project_id=project.pk,
            wanted=read_episode_filter(request.query_params),
            after=after,
            limit=limit,
        )
        return Response(
            {
                "results": [episode_json(one) for one in page.rows],
                "next": page.rows[-1].episode.position if page.more else None,
            }
        )


def episode_json(told: Told) -> dict[str, Any]:
    row = told.episode
    return {
        "event": str(row.event_id),
        "position": row.position,
        "project": str(row.project_id),
        "run": str(row.run_id),
        "branch": str(row.branch_id),
        "seq": row.seq,
        "agent": row.agent,
        "goal": row.goal,
        "action": {"tool": row.tool, "args_digest": row.args_digest, "skill": row.skill},
        "observation": {
            "says": row.says,
            "signature": row.signature,
            "verdict": told.verdict,
            "issues": list(_issues(told.observed)),
        },
        "outcome": row.outcome,
        "salience": _salience(told.salience),
        "surprise": round(row.surprise, 6),
        "tokens": row.tokens,
        "at": row.at.isoformat(),
    }


def _issues(observed: Observed) -> Any:
    for report in observed.reports:
        for issue in observed.issues.get(report.pk, ()):
            yield {
                "fingerprint": issue.fingerprint,
                "grader": report.grader,
                "kind": issue.kind,
                "severity": issue.severity,
                "message": issue.message,
                "locator": issue.locator,
            }


def _salience(told: Salience | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {
        "kept": told.kept,
        "hard": told.hard,
        "score": None if told.score is None else round(told.score, 6),
        "consolidation": told.consolidation,
    }

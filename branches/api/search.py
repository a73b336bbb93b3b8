"""Search over a project's events."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from branches.api.serializers import SearchPageSerializer
from branches.domain.search_query import Query, make_snippet, parse_query
from branches.models import Event
from branches.selectors.listings import pick_project
from branches.selectors.search import event_texts, find_events
from branches.storage.codec import Unreadable
from branches.storage.payloads import UnreadableEvent
from verel_site.access.endpoints import (
    PAGING_PARAMETERS,
    Endpoint,
    ProblemSerializer,
    documented,
    query_parameter,
)
from verel_site.access.rights import Right
from verel_site.kit.cursors import read_page
from verel_site.kit.problems import PROBLEM_TYPE

PARAMETERS = (
    query_parameter("project", "slug or id; needed where the key reads several"),
    query_parameter(
        "q",
        'words that an event has; "phrases", -exclusions, begin*, and type: source: run: branch:',
    ),
)


class Search(Endpoint):
    @documented(
        answers={200: SearchPageSerializer, (409, PROBLEM_TYPE): ProblemSerializer},
        parameters=[*PAGING_PARAMETERS, *PARAMETERS],
    )
    def get(self, request: Request) -> Response:
        """Events that match, newest first. `notes` tells what of the query could not be used, and
        `index` how fresh the answer is. 409 `search_off` where payloads are encrypted."""
        query = request.query_params
        after, limit = read_page(query)
        project = pick_project(actor=self.actor, named=query.get("project"))
        self.actor.demand(project.pk, Right.READ)
        asked = parse_query(query.get("q", ""))
        hits = find_events(project=project, query=asked, before=after or None, limit=limit)
        fresh = hits.freshness
        return Response(
            {
                "results": [hit_json(row, asked) for row in hits.rows],
                "next": hits.rows[-1].position if hits.more else None,
                "notes": list(hits.notes),
                "index": {
                    "position": fresh.position,
                    "upto": fresh.upto.isoformat() if fresh.upto else None,
                    "compared": fresh.direct,
                    "complete": not fresh.gap,
                    "cut": fresh.cut,
                },
            }
        )


def hit_json(row: Event, query: Query) -> dict[str, Any]:
    try:
        pieces = make_snippet(query.wanted, event_texts(row))
    except (Unreadable, UnreadableEvent):
        pieces = ()
    return {
        "event_id": str(row.event_id),
        "run": str(row.run_id),
        "branch": str(row.branch_id),
        "seq": row.seq,
        "position": row.position,
        "type": row.type,
        "source": row.source,
        "ts": row.ts.isoformat(),
        "snippet": [{"text": piece.text, "hit": piece.marked} for piece in pieces],
    }

"""The failure ledger and its known bugs: read by whoever may read, decided by people."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from verdicts.api.serializers import (
    FailureDetailSerializer,
    FailureEntryPageSerializer,
    FailurePageSerializer,
    FailureSerializer,
    KnownBugPageSerializer,
    WhySerializer,
)
from verdicts.failure_models import Failure, FailureEntry, KnownBug
from verdicts.failure_selectors import (
    STATES,
    FailureFilter,
    list_bugs,
    list_entries,
    list_failures,
    place_of,
    place_of_bug,
    read_failure,
    read_last_clustering,
    read_open_lines,
)
from verdicts.models import Report
from verdicts.quarantine import MAX_REASON, lift_quarantine, quarantine_failure
from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.kit.bodies import Body
from verel_site.kit.cursors import DEFAULT_LIMIT, MAX_LIMIT, read_int, read_page

_PROJECT = query_parameter("project", "slug or id; may be left out by who has one project")


def failure_json(failure: Failure) -> dict[str, Any]:
    """Read with its reports' branches and its ticket."""
    resolved, ticket = failure.resolved_report, failure.ticket
    return {
        "failure": str(failure.pk),
        "project": str(failure.project_id),
        "fingerprint": failure.fingerprint,
        "kind": failure.kind,
        "source": failure.source,
        "message": failure.message,
        "scrubbed": failure.scrubbed,
        "locator": failure.locator,
        "bug": failure.bug,
        "open": failure.open,
        "sightings": failure.sightings,
        "runs": failure.runs,
        "returns": failure.returns,
        "first_seen_at": failure.first_at.isoformat(),
        "last_seen": _place_json(failure.last_report),
        "resolved": _place_json(resolved) if resolved else None,
        "quarantine": {
            "entry": ticket.pk,
            "reason": ticket.reason,
            "by": _by_json(ticket),
            "at": ticket.at.isoformat(),
        }
        if ticket
        else None,
    }


def _place_json(report: Report) -> dict[str, Any]:
    return {
        "report": str(report.pk),
        "branch": str(report.branch_id),
        "run": str(report.branch.run_id),
        "head": {"seq": report.head_seq, "digest": bytes(report.head_digest).hex()},
        "at": report.received_at.isoformat(),
    }


def entry_json(entry: FailureEntry) -> dict[str, Any]:
    """`answers` is the entry that this one undoes; the places are null for what people decided."""
    return {
        "entry": entry.pk,
        "turn": entry.turn,
        "report": str(entry.report_id) if entry.report_id else None,
        "branch": str(entry.branch_id) if entry.branch_id else None,
        "run": str(entry.branch.run_id) if entry.branch else None,
        "head_seq": entry.head_seq if entry.report_id else None,
        "grader": entry.grader or None,
        "tool": entry.tool,
        "answers": entry.answers_id,
        "reason": entry.reason,
        "by": _by_json(entry),
        "at": entry.at.isoformat(),
    }


def _by_json(entry: FailureEntry) -> dict[str, str]:
    return {"kind": entry.by_kind, "id": entry.by_id, "name": entry.by_name}


def bug_json(bug: KnownBug) -> dict[str, Any]:
    return {
        "bug": bug.bug,
        "kind": bug.kind,
        "scrubbed": bug.scrubbed,
        "failures": bug.failures,
        "open_failures": bug.open_failures,
        "sightings": bug.sightings,
        "first_seen_at": bug.first_at.isoformat(),
        "last_seen_at": bug.last_at.isoformat(),
        "clustered_at": bug.clustered_at.isoformat(),
    }


class FailureList(Endpoint):
    @extend_schema(operation_id="failures_list")
    @documented(
        answers={200: FailurePageSerializer},
        parameters=[
            _PROJECT,
            query_parameter("state", f"one of {', '.join(STATES)}"),
            query_parameter("kind", "an issue's kind"),
            query_parameter("source", "a grader"),
            query_parameter("bug", "the key of a known bug"),
            query_parameter("q", "a fingerprint or its beginning, or words of message or locator"),
            *PAGING_PARAMETERS,
        ],
    )
    def get(self, request: Request) -> Response:
        """What ever shut a gate of the project, seen last first."""
        query = request.query_params
        project = pick_project(actor=self.actor, named=query.get("project"))
        page = list_failures(
            actor=self.actor,
            project=project,
            wanted=FailureFilter.read(query),
            after=query.get("after", ""),
            limit=read_int(query, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT),
            related=("ticket", "last_report__branch", "resolved_report__branch"),
        )
        results = [failure_json(failure) for failure in page.rows]
        return Response(
            {"results": results, "next": place_of(page.rows[-1]) if page.more else None}
        )


class FailureDetail(Endpoint):
    @documented(answers={200: FailureDetailSerializer})
    def get(self, request: Request, failure: UUID) -> Response:
        """A failure, and the branches on which it still stands."""
        found = read_failure(actor=self.actor, failure_id=failure)
        lines = [
            {
                "branch": str(line.branch_id),
                "run": str(line.run_id),
                "grader": line.grader,
                "tool": line.tool,
                "seq": line.seq,
                "returned": line.returned,
            }
            for line in read_open_lines(found)
        ]
        return Response({**failure_json(found), "open_on": lines})


class FailureHistory(Endpoint):
    @documented(answers={200: FailureEntryPageSerializer}, parameters=PAGING_PARAMETERS)
    def get(self, request: Request, failure: UUID) -> Response:
        """Every turn of a failure, oldest first."""
        after, limit = read_page(request.query_params)
        _, page = list_entries(actor=self.actor, failure_id=failure, after=after, limit=limit)
        results = [entry_json(entry) for entry in page.rows]
        return Response({"results": results, "next": page.rows[-1].pk if page.more else None})


class FailureQuarantine(Endpoint):
    @documented(body=WhySerializer, answers={200: FailureSerializer})
    def post(self, request: Request, failure: UUID) -> Response:
        """From now on its errors are warnings to the gate. People alone."""
        quarantine_failure(failure_id=failure, actor=self.actor, reason=_reason(request))
        return Response(failure_json(read_failure(actor=self.actor, failure_id=failure)))


class FailureLift(Endpoint):
    @documented(body=WhySerializer, answers={200: FailureSerializer})
    def post(self, request: Request, failure: UUID) -> Response:
        """From now on it shuts the gate again. People alone."""
        lift_quarantine(failure_id=failure, actor=self.actor, reason=_reason(request))
        return Response(failure_json(read_failure(actor=self.actor, failure_id=failure)))


class KnownBugList(Endpoint):
    @documented(answers={200: KnownBugPageSerializer}, parameters=[_PROJECT, *PAGING_PARAMETERS])
    def get(self, request: Request) -> Response:
        """Failures that say the same, as of the last night; the largest groups first."""
        query = request.query_params
        project = pick_project(actor=self.actor, named=query.get("project"))
        page = list_bugs(
            actor=self.actor,
            project=project,
            after=query.get("after", ""),
            limit=read_int(query, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT),
        )
        last = read_last_clustering(project)
        return Response(
            {
                "results": [bug_json(bug) for bug in page.rows],
                "next": place_of_bug(page.rows[-1]) if page.more else None,
                "clustered_at": last.at.isoformat() if last else None,
            }
        )


def _reason(request: Request) -> str:
    return Body(request.data, fields=("reason",)).text("reason", longest=MAX_REASON)

"""The failure ledger for a reader: lists in one order with a cursor, one failure, its history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from branches.selectors.listings import Page, cut
from verdicts.domain.terms import Grader, IssueKind
from verdicts.failure_models import Clustering, Failure, FailureEntry, FailureLine, KnownBug
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.kit.cursors import moment_cursor, read_moment_cursor
from verel_site.kit.refusals import BadInput, NotFound

STATES: Final = ("open", "resolved", "quarantined", "returned")
MAX_QUERY: Final = 200
FINGERPRINT: Final = 16
MAX_LINES: Final = 50


@dataclass(frozen=True, slots=True)
class FailureFilter:
    """What a list is narrowed to; an empty text narrows nothing. `bug` is the key of a known bug."""

    state: str = ""
    kind: str = ""
    source: str = ""
    bug: str = ""
    q: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "FailureFilter":
        """Raises BadInput for a state, kind or source that is none."""
        told = cls(
            state=_known(query, "state", STATES),
            kind=_known(query, "kind", [kind.value for kind in IssueKind]),
            source=_known(query, "source", [grader.value for grader in Grader]),
            bug=query.get("bug", "")[:FINGERPRINT],
            q=query.get("q", "").strip(),
        )
        if len(told.q) > MAX_QUERY or "\0" in told.q + told.bug:
            raise BadInput(f"q has at most {MAX_QUERY} characters.", parameter="q")
        return told

    def narrow(self, rows: QuerySet[Failure]) -> QuerySet[Failure]:
        states = {
            "open": Q(open=True),
            "resolved": Q(open=False),
            "quarantined": Q(ticket__isnull=False),
            "returned": Q(open=True, returns__gt=0),
        }
        rows = rows.filter(states.get(self.state, Q()))
        for name in ("kind", "source", "bug"):
            value = getattr(self, name)
            if value:
                rows = rows.filter(**{name: value})
        return rows.filter(self._words()) if self.q else rows

    def _words(self) -> Q:
        """A whole fingerprint is looked up; anything else is searched for in the texts."""
        if len(self.q) == FINGERPRINT and set(self.q) <= set("0123456789abcdef"):
            return Q(fingerprint=self.q)
        return (
            Q(fingerprint__startswith=self.q)
            | Q(message__icontains=self.q)
            | Q(locator__icontains=self.q)
        )


def _known(query: Mapping[str, str], name: str, known: "tuple[str, ...] | list[str]") -> str:
    value = query.get(name, "")
    if value and value not in known:
        raise BadInput(f"{name} is one of {', '.join(known)}.", parameter=name)
    return value


def list_failures(
    *,
    actor: Actor,
    project: Project,
    wanted: FailureFilter,
    after: str,
    limit: int,
    related: Sequence[str] = (),
) -> Page[Failure]:
    """Those seen last come first, read with the `related` rows that the caller tells of."""
    actor.demand(project.pk, Right.READ)
    rows = wanted.narrow(Failure.objects.visible_to(actor).filter(project=project))
    if after:
        at, key = read_moment_cursor(after)
        rows = rows.filter(Q(last_at__lt=at) | Q(last_at=at, pk__lt=key))
    rows = rows.select_related(*related) if related else rows
    return cut(rows.order_by("-last_at", "-pk")[: limit + 1], limit)


def place_of(failure: Failure) -> str:
    """The cursor behind a failure."""
    return moment_cursor(failure.last_at, failure.pk)


def read_failure(*, actor: Actor, failure_id: UUID) -> Failure:
    rows = Failure.objects.visible_to(actor).select_related(
        "project",
        "ticket",
        "first_report__branch__run",
        "last_report__branch__run",
        "resolved_report__branch__run",
    )
    failure = rows.filter(pk=failure_id).first()
    if failure is None:
        raise NotFound(f"There is no failure {failure_id} that you may see.")
    return failure


def list_entries(
    *, actor: Actor, failure_id: UUID, after: int, limit: int
) -> tuple[Failure, Page[FailureEntry]]:
    """A failure's history, oldest first."""
    failure = read_failure(actor=actor, failure_id=failure_id)
    rows = FailureEntry.objects.filter(failure=failure, pk__gt=after).order_by("pk")
    told = rows.select_related("report", "branch__run")
    return failure, cut(told[: limit + 1], limit)


def read_newest_entries(failure: Failure, limit: int) -> list[FailureEntry]:
    """The last turns of a failure, newest first. Call for a visible one."""
    rows = FailureEntry.objects.filter(failure=failure).order_by("-pk")
    return list(rows.select_related("report", "branch__run")[:limit])


def read_open_lines(failure: Failure) -> list[FailureLine]:
    """Where a failure still stands: the newest `MAX_LINES` branches. Call for a visible one."""
    rows = FailureLine.objects.filter(failure=failure, open=True).order_by("-pk")
    return list(rows.select_related("branch__run")[:MAX_LINES])


def list_bugs(*, actor: Actor, project: Project, after: str, limit: int) -> Page[KnownBug]:
    """Known bugs as of the last night, those with the most failures first."""
    actor.demand(project.pk, Right.READ)
    rows = KnownBug.objects.visible_to(actor).filter(project=project)
    if after:
        count, _, hexadecimal = after.partition("-")
        try:
            failures, key = int(count[:18]), UUID(hexadecimal)
        except ValueError as error:
            raise BadInput("after is the next of an earlier answer.", parameter="after") from error
        rows = rows.filter(Q(failures__lt=failures) | Q(failures=failures, pk__lt=key))
    return cut(rows.order_by("-failures", "-pk")[: limit + 1], limit)


def place_of_bug(bug: KnownBug) -> str:
    return f"{bug.failures}-{bug.pk.hex}"


def read_last_clustering(project: Project) -> Clustering | None:
    return Clustering.objects.filter(project=project).order_by("-at").first()

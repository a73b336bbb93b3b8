"""What a branch saw and did last, as lines of its agent's context: percepts and recent episodes.

Both are read through the lineage, so that a fork knows what its parent knew at the fork point. What
they say is what tools and pages said: it is cut short, brought into one line, and screened like
everything that nobody vouches for.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID

from django.db.models import Q

from branches.domain import terms
from branches.domain.events import plain_text
from branches.domain.lineage import Segment
from branches.domain.telling import one_line
from branches.models import Branch, Event
from branches.selectors.events import payload_of, read_branch
from branches.selectors.lineage import read_lineage
from branches.storage.codec import Unreadable
from branches.storage.payloads import UnreadableEvent
from memory.domain.assembly import Candidate, Origin, Section
from memory.domain.likeness import words_of
from memory.domain.readings import strip_hidden
from memory.models import Episode
from verel_site.access.actors import Actor
from verel_site.kit.refusals import BadInput
from verel_site.kit.strict_json import encode_sorted

RECENT: Final = 12
# Of each sense the last one counts, of so many events.
LOOKED_BACK: Final = 60
MAX_SAYS: Final = 320
# An agent pushes what it perceives; a grader's report tells what a sense of its own perceived.
PERCEPTS: Final = (terms.PERCEPT, "harness.percept")


def read_branch_lines(*, actor: Actor, project_id: UUID, branch_id: UUID) -> list[Candidate]:
    """Raises NotFound for a branch that the actor may not read, and BadInput for one of another
    project."""
    branch = read_branch(actor=actor, branch_id=branch_id)
    if branch.project_id != project_id:
        raise BadInput("branch is one of this project.", parameter="branch")
    segments = read_lineage(branch)
    return [*_percepts(branch, segments), *_episodes(branch, segments)]


def _within(segments: Iterable[Segment]) -> Q:
    lineage = Q(pk__in=[])
    for one in segments:
        lineage |= Q(branch_id=one.branch, seq__lte=one.upto)
    return lineage


def _percepts(branch: Branch, segments: Iterable[Segment]) -> Iterator[Candidate]:
    """The newest of each sense."""
    rows = Event.objects.filter(_within(segments), project_id=branch.project_id, type__in=PERCEPTS)
    seen: set[str] = set()
    for event in rows.order_by("-position")[:LOOKED_BACK]:
        try:
            payload = payload_of(event)
        except (Unreadable, UnreadableEvent):
            continue
        sense = str(payload.get("sense") or payload.get("source") or event.source)[:40]
        if sense in seen:
            continue
        seen.add(sense)
        content = payload.get("content", payload.get("text"))
        says = plain_text(content) if content else encode_sorted(payload).decode()
        yield _given(Origin.PERCEPT, event.event_id, event.position, sense, says, len(seen))


def _episodes(branch: Branch, segments: Iterable[Segment]) -> Iterator[Candidate]:
    rows = Episode.objects.filter(_within(segments), project_id=branch.project_id)
    for number, row in enumerate(rows.order_by("-position")[:RECENT], start=1):
        told = f"{row.tool or 'run'} {row.outcome}" + (f": {row.says}" if row.says else "")
        yield _given(Origin.EPISODE, row.event_id, row.position, row.agent, told, number)


def _given(
    origin: Origin, event: UUID, position: int, source: str, says: str, number: int
) -> Candidate:
    text = one_line(strip_hidden(says), MAX_SAYS)
    section = Section.SCRATCH if origin is Origin.PERCEPT else Section.EPISODES
    return Candidate(
        id=str(event),
        order=position,
        section=section,
        text=text,
        scope="",
        source=source,
        strength=1 / number,
        words=words_of(text),
        origin=origin,
    )

"""What graders said of a run, as this app shows it: it is told by an app above, which the
composition hands in."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from branches.models import Branch


@dataclass(frozen=True)
class ReportLine:
    """What one grader said about the head that an event was. `verdict` names the glyph, an
    `advisory` one is drawn hollow; `proof` is who signed it, or empty."""

    verdict: str
    grader: str
    summary: str
    proof: str = ""
    advisory: bool = False


@dataclass(frozen=True)
class Judged:
    """Gates' words by branch (pass, warn, fail, stale …), and what graders said of one head."""

    words: Mapping[UUID, str] = field(default_factory=dict)
    reports: Sequence[ReportLine] = ()


# A branch, and its digest when a report was about it.
type Head = tuple[UUID, bytes]
# Of the branches of one run, and of one of the heads that they have or had, in a fixed number of
# queries; a branch that nobody graded has no word.
type ReadVerdicts = Callable[[Collection[Branch], Head | None], Judged]
# Of one head alone, in one query.
type ReadReports = Callable[[UUID, bytes], Sequence[ReportLine]]


def no_verdicts(branches: Collection[Branch], head: Head | None) -> Judged:
    return Judged()


def no_reports(branch: UUID, digest: bytes) -> Sequence[ReportLine]:
    return ()

"""What graders said in an episode: reports on its branch, from its own event up to the next one's."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from memory.consolidation_models import Consolidation, SalientEpisode
from memory.models import Episode
from memory.querysets import EpisodeQuerySet
from verdicts.models import Issue, Report

# A grader that finds more at once tells of one fault in many words.
MAX_ISSUES: Final = 40


@dataclass
class Observed:
    """A kept episode and the reports that it holds, oldest first, with their first issues."""

    episode: Episode
    until: int
    reports: list[Report] = field(default_factory=list)
    issues: dict[UUID, list[Issue]] = field(default_factory=dict)


def kept_episodes(job: Consolidation, count: int) -> list[Episode]:
    """The next episodes that were kept, by position; `next_seq` is that of the one after each."""
    positions = list(
        SalientEpisode.objects.filter(consolidation=job, position__gt=job.cursor)
        .order_by("position")
        .values_list("position", flat=True)[:count]
    )
    rows = Episode.objects.filter(project_id=job.project_id, position__in=positions)
    return list(with_next(rows).order_by("position"))


def with_next(rows: EpisodeQuerySet) -> EpisodeQuerySet:
    """Each with the `next_seq` of its branch, up to which reports are about it."""
    after = Episode.objects.filter(branch=OuterRef("branch"), seq__gt=OuterRef("seq"))
    return rows.annotate(next_seq=Subquery(after.order_by("seq").values("seq")[:1]))


def observe(episodes: Sequence[Episode]) -> list[Observed]:
    told = [Observed(one, getattr(one, "next_seq", None) or 2**62) for one in episodes]
    by_branch: dict[UUID, list[Observed]] = defaultdict(list)
    for one in told:
        by_branch[one.episode.branch_id].append(one)
    for mine in by_branch.values():
        mine.sort(key=lambda one: one.episode.seq)
    for report in _reports(by_branch):
        mine = by_branch[report.branch_id]
        at = bisect_right([one.episode.seq for one in mine], report.head_seq) - 1
        if at >= 0 and report.head_seq < mine[at].until:
            mine[at].reports.append(report)
    _read_issues(told)
    return told


def holding_episode() -> Subquery:
    """Of a report, for a query of them: the event of the episode that it looked at."""
    before = Episode.objects.filter(branch=OuterRef("branch"), seq__lte=OuterRef("head_seq"))
    return Subquery(before.order_by("-seq").values("event_id")[:1])


def _reports(by_branch: dict[UUID, list[Observed]]) -> QuerySet[Report]:
    if not by_branch:
        return Report.objects.none()
    lowest = min(mine[0].episode.seq for mine in by_branch.values())
    highest = max(mine[-1].until for mine in by_branch.values())
    rows = Report.objects.filter(
        branch_id__in=list(by_branch), head_seq__gte=lowest, head_seq__lt=highest, errored=False
    )
    return rows.only("branch_id", "head_seq", "grader", "verdict", "order").order_by("order")


def _read_issues(told: Sequence[Observed]) -> None:
    holder = {report.pk: one for one in told for report in one.reports}
    rows = Issue.objects.filter(report_id__in=list(holder), position__lt=MAX_ISSUES)
    for issue in rows.order_by("report_id", "position"):
        holder[issue.report_id].issues.setdefault(issue.report_id, []).append(issue)


def count_kept(job: Consolidation) -> int:
    return SalientEpisode.objects.filter(consolidation=job).count()

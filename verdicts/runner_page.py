"""The page of a project's runners: whose signatures count, since when, and what they signed."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max
from django.utils import timezone

from verdicts.models import Runner
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right


@dataclass(frozen=True, slots=True)
class RunnerRow:
    """`verdict` and `word` are the glyph of its standing now."""

    id: UUID
    name: str
    key_id: str
    verdict: str
    word: str
    valid_from: datetime
    valid_until: datetime | None
    registered_by: str
    receipts: int
    last_signed: datetime | None
    revocable: bool


@dataclass(frozen=True)
class RunnerPage:
    """`name`, `public_key` and `valid_until` are what was typed, where it was refused."""

    project: Project
    runners: tuple[RunnerRow, ...]
    may_curate: bool
    fault: str = ""
    name: str = ""
    public_key: str = ""
    valid_until: str = ""

    screen: str = "gate"
    nav: str = "gate"
    tab: str = "runners"
    title: str = "Runners"


def read_runner_page(
    *,
    project: Project,
    actor: Actor,
    fault: str = "",
    name: str = "",
    public_key: str = "",
    valid_until: str = "",
) -> RunnerPage:
    """One query for all runners. Call for a visible project."""
    rows = Runner.objects.filter(project=project).order_by("-created_at")
    told = rows.annotate(receipts=Count("reports"), last_signed=Max("reports__received_at"))
    return RunnerPage(
        project=project,
        runners=tuple(_row(runner, runner.receipts, runner.last_signed) for runner in told),
        may_curate=actor.may(project.pk, Right.CURATE),
        fault=fault,
        name=name,
        public_key=public_key,
        valid_until=valid_until,
    )


def _row(runner: Runner, receipts: int, last_signed: datetime | None) -> RunnerRow:
    verdict, word = _standing(runner, timezone.now())
    return RunnerRow(
        id=runner.pk,
        name=runner.name,
        key_id=runner.key_id,
        verdict=verdict,
        word=word,
        valid_from=runner.valid_from,
        valid_until=runner.valid_until,
        registered_by=runner.registered_by,
        receipts=receipts,
        last_signed=last_signed,
        revocable=runner.revoked_at is None,
    )


def _standing(runner: Runner, now: datetime) -> tuple[str, str]:
    if runner.revoked_at is not None:
        return "fail", "Revoked"
    if runner.valid_until is not None and runner.valid_until < now:
        return "stale", "Expired"
    if runner.valid_from > now:
        return "pending", "Not yet valid"
    return "pass", "Valid"

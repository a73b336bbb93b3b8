"""The failure ledger's rows. `verdicts.models` names them for Django; they refer to its rows by name.

`FailureEntry` is the ledger, and only grows. `Failure` and `FailureLine` are what its entries and
the stored reports come to, kept for quick looking up; `verify` computes them anew.
"""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from verdicts.domain.ledger import Turn
from verdicts.domain.terms import Grader, IssueKind
from verdicts.querysets import FailureQuerySet, KnownBugQuerySet

MAX_TEXT = 1_000


def turn_choices() -> list[tuple[str, str]]:
    return [(turn.value, turn.value) for turn in Turn]


def source_choices() -> list[tuple[str, str]]:
    return [(grader.value, grader.value) for grader in Grader]


def failure_kind_choices() -> list[tuple[str, str]]:
    return [(kind.value, kind.value) for kind in IssueKind]


class Coverage(models.Model):
    """What a report names as run or read, where it names anything. `names` is JSON, packed:
    `{"tests": [...] or null, "files": [...] or null}`, with `before` of the same shape where earlier
    reports of its tool named more. Added with its report, never changed."""

    report = models.OneToOneField(
        "verdicts.Report", on_delete=models.PROTECT, related_name="coverage"
    )
    names = models.BinaryField()

    class Meta:
        verbose_name_plural = "coverages"

    def __str__(self) -> str:
        return f"coverage of {self.report_id}"


class Failure(models.Model):
    """A fingerprint that shut a gate of the project at least once.

    Kind, source, message and locator are those of the sighting that entered it, long texts cut;
    `bug` is what failures of one known bug share. `open`: it was seen after it was last resolved. `ticket` is the
    quarantine that holds it now.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey("access.Project", on_delete=models.PROTECT, related_name="failures")
    fingerprint = models.CharField(max_length=16)
    kind = models.CharField(max_length=16, choices=failure_kind_choices)
    source = models.CharField(max_length=16, choices=source_choices)
    message = models.TextField()
    scrubbed = models.TextField()
    locator = models.TextField(blank=True)
    bug = models.CharField(max_length=16)
    first_report = models.ForeignKey("verdicts.Report", on_delete=models.PROTECT, related_name="+")
    first_at = models.DateTimeField()
    last_report = models.ForeignKey("verdicts.Report", on_delete=models.PROTECT, related_name="+")
    last_at = models.DateTimeField()
    sightings = models.PositiveBigIntegerField(default=0, help_text="reports that found it")
    runs = models.PositiveIntegerField(default=0)
    resolved_report = models.ForeignKey(
        "verdicts.Report", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True, blank=True)
    open = models.BooleanField(default=True)
    returns = models.PositiveIntegerField(default=0, help_text="how often it came back")
    ticket = models.OneToOneField(
        "verdicts.FailureEntry",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="holds",
    )

    objects = FailureQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "fingerprint"], name="failure_once"),
            models.CheckConstraint(condition=Q(first_at__lte=F("last_at")), name="failure_times"),
            models.CheckConstraint(
                condition=Q(resolved_report=None, resolved_at=None)
                | Q(resolved_report__isnull=False, resolved_at__isnull=False),
                name="failure_resolution",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-last_at", "-id"], name="failure_latest"),
            models.Index(fields=["project", "open", "-last_at", "-id"], name="failure_by_state"),
            models.Index(fields=["project", "bug"], name="failure_of_bug"),
            models.Index(
                fields=["project"], condition=Q(ticket__isnull=False), name="failure_held"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


class FailureEntry(models.Model):
    """One turn of a failure. Added, never changed: a trigger keeps that on PostgreSQL.

    `report` is the one that turned it, on that branch and head; none for what a person decided.
    `answers` is the entry before that this one undoes: the resolution that did not last, the
    quarantine that was lifted.
    """

    failure = models.ForeignKey(Failure, on_delete=models.PROTECT, related_name="entries")
    turn = models.CharField(max_length=12, choices=turn_choices)
    report = models.ForeignKey(
        "verdicts.Report", on_delete=models.PROTECT, null=True, blank=True, related_name="turns"
    )
    branch = models.ForeignKey(
        "branches.Branch", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    grader = models.CharField(max_length=16, choices=source_choices, blank=True)
    tool = models.CharField(max_length=120, blank=True)
    head_seq = models.PositiveBigIntegerField(default=0)
    answers = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField(blank=True)
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["failure", "report", "turn"], name="failure_turn_once"),
            models.CheckConstraint(
                condition=Q(turn__in=[turn.value for turn in Turn]), name="failure_turn"
            ),
            models.CheckConstraint(
                condition=Q(turn__in=[Turn.QUARANTINED.value, Turn.LIFTED.value])
                | Q(report__isnull=False, branch__isnull=False),
                name="failure_turn_has_report",
            ),
        ]
        indexes = [models.Index(fields=["branch", "grader", "tool"], name="failure_turn_of_line")]
        verbose_name_plural = "failure entries"

    def __str__(self) -> str:
        return f"{self.turn} {self.failure_id}"


class FailureLine(models.Model):
    """How a failure stands on one branch by one tool. `seq` is of the head that said so last: where
    it was seen last, or resolved. `returned`: it had been resolved before, and stands again.

    `silent` is the tool's last run on the branch's head as it was then, where that did not name the
    failure and did not look there."""

    failure = models.ForeignKey(Failure, on_delete=models.PROTECT, related_name="lines")
    run = models.ForeignKey("branches.Run", on_delete=models.PROTECT, related_name="+")
    branch = models.ForeignKey("branches.Branch", on_delete=models.PROTECT, related_name="+")
    grader = models.CharField(max_length=16, choices=source_choices)
    tool = models.CharField(max_length=120, blank=True)
    open = models.BooleanField()
    returned = models.BooleanField(default=False)
    silent = models.ForeignKey(
        "verdicts.Report", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    seq = models.PositiveBigIntegerField()
    entry = models.ForeignKey(
        FailureEntry, on_delete=models.PROTECT, related_name="+", help_text="its last turn"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["branch", "grader", "tool", "failure"], name="failure_line_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["branch", "grader", "tool"],
                condition=Q(open=True),
                name="failure_line_open",
            )
        ]

    def __str__(self) -> str:
        return f"{'open' if self.open else 'resolved'} on {self.branch_id}"


class Clustering(models.Model):
    """One night's look for known bugs in a project's ledger."""

    project = models.ForeignKey("access.Project", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now, editable=False)
    failures = models.PositiveBigIntegerField(help_text="how many the ledger had")
    bugs = models.PositiveBigIntegerField(help_text="how many groups they made")

    class Meta:
        indexes = [models.Index(fields=["project", "-at"], name="clustering_latest")]

    def __str__(self) -> str:
        return f"{self.bugs} known bugs"


class KnownBug(models.Model):
    """Failures of one kind whose scrubbed messages are the same, as of the last clustering."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        "access.Project", on_delete=models.PROTECT, related_name="known_bugs"
    )
    bug = models.CharField(max_length=16)
    kind = models.CharField(max_length=16, choices=failure_kind_choices)
    scrubbed = models.TextField()
    failures = models.PositiveBigIntegerField()
    open_failures = models.PositiveBigIntegerField()
    sightings = models.PositiveBigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    clustered_at = models.DateTimeField()

    objects = KnownBugQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "bug"], name="known_bug_once"),
            models.CheckConstraint(
                condition=Q(open_failures__lte=F("failures")), name="known_bug_counts"
            ),
        ]
        indexes = [models.Index(fields=["project", "-failures", "-id"], name="known_bug_largest")]

    def __str__(self) -> str:
        return f"{self.kind} {self.bug}"

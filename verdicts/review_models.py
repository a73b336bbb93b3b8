"""What concerns reviewers together: the rules that propose pairs, and contests of more than two.
`verdicts.models` names these rows for Django."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from branches.models import Branch, Merge, Run
from verdicts.domain.pairing import MAX_REVIEWERS, Cause
from verel_site.access.models import Project


def cause_choices() -> list[tuple[str, str]]:
    return [(cause.value, cause.value) for cause in Cause]


class PairRules(models.Model):
    """Which pairs a project proposes by itself, as of one version. Rows are added, never changed.
    A project without a row proposes none."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="pair_rules")
    version = models.PositiveIntegerField()
    on_finished = models.BooleanField(default=False)
    sample_percent = models.PositiveSmallIntegerField(default=100)
    on_disputed = models.BooleanField(default=False)
    reviewers = models.PositiveSmallIntegerField(default=1)
    overlap_percent = models.PositiveSmallIntegerField(default=0)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="pair_rules_version_once"),
            models.CheckConstraint(
                condition=Q(version__gte=1)
                & Q(sample_percent__gte=1, sample_percent__lte=100)
                & Q(overlap_percent__lte=100)
                & Q(reviewers__gte=1, reviewers__lte=MAX_REVIEWERS),
                name="pair_rules_bounds",
            ),
        ]
        verbose_name_plural = "pair rules"

    def __str__(self) -> str:
        return f"pair rules {self.version}"


class PairCursor(models.Model):
    """Up to which head's position a project's finished branches have been looked at; only those of
    projects whose rules propose something."""

    project = models.OneToOneField(Project, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.project_id} up to {self.position}"


class Contest(models.Model):
    """More than two heads of one run, compared by champion and challenger. `current` is the pair
    that waits for judgement; `winner` stands once every round is decided."""

    class State(models.TextChoices):
        OPEN = "open"
        DONE = "done"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="contests")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="contests")
    digest = models.CharField(max_length=64, help_text="hex; of the heads of all contenders")
    required = models.PositiveSmallIntegerField(default=1, help_text="reviewers of each round")
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN.value)
    current = models.ForeignKey(
        "verdicts.Comparison", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    winner = models.ForeignKey(
        Branch, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    merge = models.OneToOneField(
        Merge, on_delete=models.PROTECT, null=True, blank=True, related_name="contest"
    )
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "digest"], name="contest_of_heads_once"),
            models.CheckConstraint(
                condition=Q(required__gte=1, required__lte=MAX_REVIEWERS),
                name="contest_required",
            ),
            models.CheckConstraint(
                condition=Q(state="open", current__isnull=False, winner=None)
                | Q(state="done", current=None),
                name="contest_state",
            ),
        ]
        indexes = [models.Index(fields=["project"], condition=Q(state="open"), name="contest_open")]

    def __str__(self) -> str:
        return f"contest in {self.run_id}"


class Contender(models.Model):
    """One head of a contest. `position` is its place in the order that was drawn, from 0."""

    contest = models.ForeignKey(Contest, on_delete=models.PROTECT, related_name="contenders")
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="contenders")
    position = models.PositiveSmallIntegerField()
    head_digest = models.BinaryField(max_length=32)
    head_seq = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contest", "position"], name="contender_place_once"),
            models.UniqueConstraint(fields=["contest", "branch"], name="contender_once"),
        ]

    def __str__(self) -> str:
        return f"{self.branch_id} at {self.position}"

"""What concerns reviewers together: the rules that propose pairs, and how far they have looked.
`verdicts.models` names these rows for Django."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

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

"""The curves of forgetting that people took for their projects; `memory.models` names them for Django."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from memory.domain.strength import TABLE, Curve
from memory.domain.terms import ItemType
from verel_site.access.models import Project


def item_choices() -> list[tuple[str, str]]:
    return [(item.value, item.value) for item in ItemType]


class CurveAdoption(models.Model):
    """A fitted curve that a person took for one type of item, with the numbers that were looked at:
    a later fit changes nothing about it. Of a type one at most has not ended, and is in use."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    item_type = models.CharField(max_length=16, choices=item_choices)
    base_days = models.FloatField()
    beta = models.FloatField()
    trials = models.PositiveIntegerField(help_text="that the fit stood on")
    digest = models.BinaryField(max_length=32, help_text="of the fit")
    reason = models.TextField()
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)
    ended_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "item_type"],
                condition=Q(ended_at=None),
                name="curve_adoption_one_in_use",
            ),
            models.CheckConstraint(
                condition=Q(base_days__gt=0, beta__gt=0), name="curve_adoption_is_a_curve"
            ),
        ]
        indexes = [models.Index(fields=["project", "at"], name="curve_adoption_by_time")]

    def __str__(self) -> str:
        return f"{self.item_type}: {self.base_days:.0f} days, {self.beta:.2f}, by {self.by_name}"

    @property
    def curve(self) -> Curve:
        """With the default's floor, which is a policy and is not fitted."""
        floor = TABLE[ItemType(self.item_type)].floor
        return Curve(self.base_days, self.beta, floor, fitted=True)

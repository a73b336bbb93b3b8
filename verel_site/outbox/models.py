import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from verel_site.access.models import Project


class Promise(models.Model):
    """Something owed to the outside world. The row is the promise; a sweep keeps it."""

    class State(models.TextChoices):
        DUE = "due"
        SENT = "sent"
        FAILED = "failed"
        WITHDRAWN = "withdrawn"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="promises")
    kind = models.CharField(max_length=32)
    subject = models.UUIDField(help_text="the row that is to be delivered")
    destination = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State.choices, default=State.DUE.value)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject", "destination"], name="promise_once_per_destination"
            )
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(state="due"), name="promise_due")]

    def __str__(self) -> str:
        return f"{self.kind} to {self.destination}"

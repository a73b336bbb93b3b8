import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from verel_site.access.models import Project


class Item(models.Model):
    """One thing that waits for people: `required` answers about `subject`, as it was at `digest`.

    `kind` names what it is (see `kinds`). Title, about and flag are what a list shows, written
    down when it was posted; `body` is what the kind keeps for its own showing. `touched_at` moves
    with everything that a reader of the inbox could see change.
    """

    class State(models.TextChoices):
        OPEN = "open"
        DONE = "done"
        CLOSED = "closed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="items", db_index=False
    )
    kind = models.CharField(max_length=32)
    subject = models.UUIDField(help_text="the row that is to be decided")
    digest = models.CharField(max_length=64, blank=True, help_text="hex; what is to be looked at")
    title = models.CharField(max_length=300)
    about = models.CharField(max_length=300, blank=True)
    flag = models.CharField(max_length=40, blank=True)
    body = models.JSONField(default=dict)
    required = models.PositiveSmallIntegerField(default=1)
    scored = models.PositiveSmallIntegerField(default=0)
    priority = models.SmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="assigned_items",
    )
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN.value)
    closed_because = models.CharField(max_length=300, blank=True)
    posted_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)
    touched_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "subject", "digest"], name="item_once"
            ),
            models.CheckConstraint(
                condition=Q(required__gte=1) & Q(scored__lte=F("required")),
                name="item_never_over_collected",
            ),
            models.CheckConstraint(
                condition=Q(state="open", closed_at=None)
                | Q(state__in=["done", "closed"], closed_at__isnull=False),
                name="item_state_and_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["project", "kind", "-priority", "created_at", "id"],
                condition=Q(state="open"),
                name="item_open_by_kind",
            ),
            models.Index(
                fields=["project", "-priority", "created_at", "id"],
                condition=Q(state="open"),
                name="item_open",
            ),
            models.Index(fields=["kind", "subject"], name="item_of_subject"),
            models.Index(fields=["project", "touched_at"], name="item_touched"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.title[:60]}"


class Claim(models.Model):
    """A seat at an item, held until `expires_at`. The id is the token that its holder shows."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="claims", db_index=False)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="claims"
    )
    expires_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "reviewer"], name="claim_once_per_reviewer")
        ]

    def __str__(self) -> str:
        return f"{self.reviewer_id} holds {self.item_id}"


class Draft(models.Model):
    """What a reviewer has filled in and not given. It outlives the claim."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="drafts", db_index=False)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    body = models.JSONField(default=dict)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "reviewer"], name="draft_once_per_reviewer")
        ]

    def __str__(self) -> str:
        return f"draft of {self.reviewer_id} for {self.item_id}"


class Absence(models.Model):
    """An item that is not offered to a reviewer: skipped by them, or one they may not judge."""

    item = models.ForeignKey(
        Item, on_delete=models.CASCADE, related_name="absences", db_index=False
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    barred = models.BooleanField(default=False, help_text="for good; a skip can be taken back")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "reviewer"], name="absence_once_per_reviewer")
        ]

    def __str__(self) -> str:
        return f"{self.item_id} without {self.reviewer_id}"


class Decision(models.Model):
    """One reviewer's answer to an item, on the digest that was looked at. Only its undo changes it.

    `counted` says that it took one of the item's seats: who answers at the subject itself while
    others hold the seats does not.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="decisions")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="decisions")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions"
    )
    answer = models.CharField(max_length=32)
    reason = models.TextField(blank=True)
    digest = models.CharField(max_length=64, blank=True)
    result = models.JSONField(default=dict, help_text="what the kind needs for an undo")
    counted = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.CharField(max_length=150, blank=True)
    undone_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "reviewer"],
                condition=Q(undone_at=None),
                name="decision_once_per_reviewer",
            )
        ]
        indexes = [models.Index(fields=["reviewer", "-created_at"], name="decision_latest")]

    def __str__(self) -> str:
        return f"{self.answer} on {self.item_id}"


class Comment(models.Model):
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="comments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.text[:60]


class SavedView(models.Model):
    """A reader's own name for a set of filters."""

    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views"
    )
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reviewer", "name"], name="saved_view_name_once")
        ]

    def __str__(self) -> str:
        return self.name

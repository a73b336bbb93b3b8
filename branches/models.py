import uuid
from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from branches.domain.terms import (
    Answer,
    DirectiveKind,
    ExportState,
    Granularity,
    ImportState,
    Status,
)
from branches.querysets import BranchQuerySet, EventQuerySet, RunQuerySet
from verel_site.access.models import Project


def status_choices() -> list[tuple[str, str]]:
    return [(status.value, status.value) for status in Status]


def directive_choices() -> list[tuple[str, str]]:
    return [(kind.value, kind.value) for kind in DirectiveKind]


def answer_choices() -> list[tuple[str, str]]:
    return [(answer.value, answer.value) for answer in Answer]


def granularity_choices() -> list[tuple[str, str]]:
    return [(granularity.value, granularity.value) for granularity in Granularity]


def import_choices() -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in ImportState]


class Run(models.Model):
    """One execution tree: a goal and all its branches."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="runs")
    number = models.PositiveIntegerField(help_text="1, 2, 3 … within the project")
    goal = models.TextField()
    agent = models.CharField(max_length=120, blank=True)
    model = models.CharField(max_length=120, blank=True)
    spec = models.JSONField(default=dict)
    metadata = models.JSONField(default=dict)
    origin = models.CharField(max_length=200, blank=True, help_text="what it was imported from")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    touched_at = models.DateTimeField(default=timezone.now, db_index=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="run_number_once")
        ]
        indexes = [models.Index(fields=["project", "-touched_at"], name="run_latest")]

    def __str__(self) -> str:
        return f"r-{self.number} {self.goal[:60]}"


def branch_label(name: str, number: int) -> str:
    """What a branch is called: by its name, or by its number in the run."""
    return name or ("main" if number == 0 else f"fork {number}")


class Branch(models.Model):
    """One timeline. It shares its parent's lineage up to and with `fork_seq`, and owns a suffix.

    `base` counts the lineage's events before the suffix, so `base + seq` is an event's step.
    Chains are 32 raw bytes; at the root they start from zeros.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="branches")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="branches")
    number = models.PositiveIntegerField(help_text="0 is the trunk; forks count up in the run")
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    fork_seq = models.PositiveBigIntegerField(null=True, blank=True)
    base = models.PositiveBigIntegerField(default=0)
    name = models.CharField(max_length=120, blank=True)
    status = models.CharField(
        max_length=16, choices=status_choices, default=Status.RUNNING.value, db_index=True
    )
    head_seq = models.PositiveBigIntegerField(default=0)
    head_position = models.PositiveBigIntegerField(default=0)
    head_digest = models.BinaryField(max_length=32, default=bytes(32))
    head_seal = models.BinaryField(max_length=32, default=bytes(32))
    fork_digest = models.BinaryField(max_length=32, default=bytes(32))
    forked_by = models.CharField(max_length=150, blank=True)
    override = models.TextField(blank=True)
    note = models.TextField(blank=True)
    tokens = models.PositiveBigIntegerField(default=0, help_text="output tokens that events told")
    claimable = models.BooleanField(default=False)
    lease_epoch = models.PositiveBigIntegerField(default=0)
    lease_worker = models.CharField(max_length=120, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    touched_at = models.DateTimeField(default=timezone.now)

    objects = BranchQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="branch_number_once"),
            models.CheckConstraint(
                condition=Q(parent=None, fork_seq=None) | Q(parent__isnull=False, fork_seq__gte=1),
                name="branch_fork_point",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in Status]), name="branch_status"
            ),
        ]
        indexes = [
            models.Index(
                fields=["project", "lease_expires_at"],
                condition=Q(claimable=True),
                name="branch_claimable",
            ),
            models.Index(
                fields=["project", "head_position"],
                condition=Q(status="completed"),
                name="branch_completed",
            ),
        ]
        verbose_name_plural = "branches"

    def __str__(self) -> str:
        return f"{self.label} of {self.run_id}"

    @property
    def label(self) -> str:
        return branch_label(self.name, self.number)


class Event(models.Model):
    """One immutable record on a branch. `branches.journal` alone writes this table.

    `payload` holds the codec envelope; `position` is the order of storing, gapless for no one but
    strictly rising within a project in the order of commits.
    """

    position = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField()
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="+", db_index=False)
    branch = models.ForeignKey(
        Branch, on_delete=models.PROTECT, related_name="events", db_index=False
    )
    seq = models.PositiveBigIntegerField()
    type = models.CharField(max_length=120)
    source = models.CharField(max_length=200)
    ts = models.DateTimeField()
    received_at = models.DateTimeField()
    task_id = models.UUIDField(null=True, blank=True)
    parent_id = models.UUIDField(null=True, blank=True)
    schema_version = models.PositiveSmallIntegerField(default=1)
    payload = models.BinaryField()
    digest = models.BinaryField(max_length=32)
    seal = models.BinaryField(max_length=32)

    objects = EventQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "event_id"], name="event_once"),
            models.UniqueConstraint(fields=["branch", "seq"], name="event_seq_once"),
        ]
        indexes = [models.Index(fields=["run", "position"], name="event_of_run")]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class Blob(models.Model):
    """A binary content part kept out of line, addressed by the SHA-256 of its bytes.

    `data` holds the codec envelope; read it by `branches.blobs.blob_bytes`.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)
    mime = models.CharField(max_length=120)
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "sha256"], name="blob_once")]

    def __str__(self) -> str:
        return self.sha256


class Directive(models.Model):
    """A message to an agent. `id` is the cursor; a reader acknowledges by moving past it."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="directives")
    kind = models.CharField(max_length=32, choices=directive_choices)
    body = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["project", "id"], name="directive_cursor")]

    def __str__(self) -> str:
        return f"{self.kind} for {self.branch_id}"


class Approval(models.Model):
    """A branch's question to a person; the branch waits in stasis until it is answered."""

    id = models.UUIDField(primary_key=True)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="approvals")
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="approvals")
    request_seq = models.PositiveBigIntegerField()
    request_digest = models.BinaryField(max_length=32)
    action = models.CharField(max_length=200)
    args = models.JSONField(default=dict)
    allow = models.JSONField(default=list)
    description = models.TextField(blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    answer = models.CharField(max_length=8, choices=answer_choices, blank=True)
    answer_args = models.JSONField(null=True, blank=True)
    answer_text = models.TextField(blank=True)
    answered_by = models.CharField(max_length=150, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(answer="", answered_at=None)
                | (~Q(answer="") & Q(answered_at__isnull=False)),
                name="approval_answer_and_time",
            )
        ]
        indexes = [models.Index(fields=["project", "answered_at"], name="approval_open")]

    def __str__(self) -> str:
        return self.action

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class Merge(models.Model):
    """One branch wins over others. Never changed but by its revert."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="merges")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="merges")
    winner = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="merges_won")
    winner_status = models.CharField(max_length=16, help_text="before the merge")
    winner_digest = models.BinaryField(max_length=32)
    granularity = models.CharField(
        max_length=16, choices=granularity_choices, default=Granularity.DECISION.value
    )
    note = models.TextField(blank=True)
    bypass_reason = models.TextField(blank=True)
    admission = models.JSONField()
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    undo_until = models.DateTimeField()
    reverted_at = models.DateTimeField(null=True, blank=True)
    reverted_by = models.CharField(max_length=150, blank=True)
    revert_reason = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["project", "-created_at"], name="merge_latest")]

    def __str__(self) -> str:
        return f"merge of {self.winner_id}"


class MergeLoser(models.Model):
    merge = models.ForeignKey(Merge, on_delete=models.PROTECT, related_name="losers")
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="merges_lost")
    status = models.CharField(max_length=16, help_text="before the merge")
    digest = models.BinaryField(max_length=32)
    refused = models.TextField(blank=True, help_text="why no triplet came of it")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["merge", "branch"], name="merge_loser_once")]

    def __str__(self) -> str:
        return f"{self.branch_id} lost"


class Triplet(models.Model):
    """`{prompt, chosen, rejected}` of one merge and loser; withdrawn when the merge is reverted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="triplets")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="triplets")
    merge = models.ForeignKey(Merge, on_delete=models.PROTECT, related_name="triplets")
    chosen_branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="+")
    rejected_branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField(help_text="1, 2, 3 … within the project")
    granularity = models.CharField(max_length=16, choices=granularity_choices)
    prompt = models.BinaryField(help_text="envelope of compact JSON: a list of messages")
    chosen = models.BinaryField()
    rejected = models.BinaryField()
    tools = models.BinaryField()
    metadata = models.JSONField()
    prompt_digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merge", "rejected_branch"], name="triplet_once_per_merge_and_loser"
            ),
            models.UniqueConstraint(fields=["project", "number"], name="triplet_number_once"),
            models.CheckConstraint(
                condition=~Q(chosen_branch=F("rejected_branch")), name="triplet_two_sides"
            ),
        ]

    def __str__(self) -> str:
        return f"triplet {self.number}"


class Dataset(models.Model):
    """A snapshot of triplets in one format, with its manifest; its files lie in the archive. The
    row appears when all of it is there: until then there is its export, under the same id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="datasets")
    format = models.CharField(max_length=16)
    filter = models.JSONField(default=dict)
    as_of = models.DateTimeField(
        default=timezone.now, help_text="it holds what had passed its undo window by then"
    )
    manifest = models.JSONField(default=dict)
    files = models.JSONField(default=dict, help_text="file name to archive key")
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["project", "-created_at"], name="dataset_latest")]

    def __str__(self) -> str:
        return f"{self.format} {self.created_at:%Y-%m-%d %H:%M}"


def export_choices() -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in ExportState]


class Export(models.Model):
    """A dataset that somebody asked for: the promise, and how far its keeping is. `held_until`
    is when the worker that holds it counts as dead."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="exports")
    format = models.CharField(max_length=16)
    filter = models.JSONField(default=dict)
    as_of = models.DateTimeField()
    state = models.CharField(
        max_length=8, choices=export_choices, default=ExportState.WAITING.value
    )
    total = models.PositiveIntegerField(help_text="triplets to look at")
    done = models.PositiveIntegerField(default=0)
    fault = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    holder = models.UUIDField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(state="waiting"), name="export_waiting"
            ),
            models.Index(fields=["held_until"], condition=Q(state="working"), name="export_held"),
            models.Index(fields=["project", "-created_at"], name="export_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.format} {self.state}"


class Import(models.Model):
    """One transcript that is read in, or that was, and what came of it.

    One that was uploaded is a promise first: `upload` names its bytes, `claim` who reads it now.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="imports")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="imports")
    name = models.CharField(max_length=200)
    format = models.CharField(max_length=32)
    sha256 = models.CharField(max_length=64, blank=True)
    summary = models.JSONField(default=dict)
    imported_by = models.CharField(max_length=150)
    user_id = models.BigIntegerField(
        null=True, blank=True, help_text="whose rights it is read with"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    state = models.CharField(max_length=16, choices=import_choices, default=ImportState.DONE.value)
    fault = models.TextField(blank=True)
    upload = models.CharField(max_length=64, blank=True)
    bytes_read = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    claim = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ImportState]), name="import_state"
            )
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(state__in=["waiting", "reading"]),
                name="import_open",
            )
        ]

    def __str__(self) -> str:
        return self.name


class SearchCursor(models.Model):
    """How far the search index of a project has followed its journal.

    `position` is the last event that was read, `upto` when that one was received. `cut` counts
    events of which the index could not hold everything.
    """

    project = models.OneToOneField(
        Project, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    position = models.PositiveBigIntegerField(default=0)
    upto = models.DateTimeField(null=True, blank=True)
    events = models.PositiveBigIntegerField(default=0)
    cut = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"indexed up to {self.position}"

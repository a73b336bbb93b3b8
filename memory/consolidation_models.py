"""The rows of consolidation; `memory.models` names them for Django."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from memory.domain.consolidation import Fate, JobState, Step, Trigger
from memory.querysets import CandidateQuerySet, ConsolidationQuerySet
from verel_site.access.models import Project


def job_choices() -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in JobState]


def step_choices() -> list[tuple[str, str]]:
    return [(step.value, step.value) for step in Step]


def trigger_choices() -> list[tuple[str, str]]:
    return [(trigger.value, trigger.value) for trigger in Trigger]


def fate_choices() -> list[tuple[str, str]]:
    return [(fate.value, fate.value) for fate in Fate]


class Consolidation(models.Model):
    """One consolidation of a project: the promise, how far its keeping is, and what came of it.

    Whoever holds it does so under `epoch` until `held_until`; each window of work names the epoch
    in its transaction, so that a worker that was taken for dead writes nothing any more. `cursor`
    is the last row of `step` that is done.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="consolidations")
    number = models.PositiveIntegerField(help_text="1, 2, 3 … within the project")
    trigger = models.CharField(max_length=10, choices=trigger_choices)
    state = models.CharField(max_length=10, choices=job_choices, default=JobState.WAITING.value)
    step = models.CharField(max_length=10, choices=step_choices, default=Step.SALIENCE.value)
    cursor = models.PositiveBigIntegerField(default=0)
    done = models.PositiveIntegerField(default=0, help_text="rows of the step that were looked at")
    total = models.PositiveIntegerField(default=0, help_text="rows of the step, when it began")
    after_position = models.PositiveBigIntegerField(help_text="episodes from here on, without it")
    upto_position = models.PositiveBigIntegerField(help_text="episodes up to here, with it")
    counts = models.JSONField(default=dict)
    fault = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="since a window was done")
    epoch = models.PositiveIntegerField(default=0)
    held_until = models.DateTimeField(null=True, blank=True)
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    closed_by = models.CharField(max_length=150, blank=True, help_text="who cancelled it")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = ConsolidationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="consolidation_number"),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(state__in=["waiting", "working"]),
                name="consolidation_one_open",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(state__in=["waiting", "working"]),
                name="consolidation_open",
            )
        ]

    def __str__(self) -> str:
        return f"consolidation {self.number} {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state in (JobState.WAITING.value, JobState.WORKING.value)

    def count(self, name: str) -> int:
        return int(self.counts.get(name, 0))


class KnownFault(models.Model):
    """Where a fault of a project was seen first: an episode with it is new only there."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    signature = models.CharField(max_length=64)
    position = models.PositiveBigIntegerField(help_text="of the first episode with it")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "signature"], name="known_fault_once")
        ]

    def __str__(self) -> str:
        return self.signature


class SalientEpisode(models.Model):
    """An episode that a consolidation kept: its salience, for as long as that one stands."""

    consolidation = models.ForeignKey(Consolidation, on_delete=models.CASCADE, related_name="kept")
    position = models.PositiveBigIntegerField()
    hard = models.BooleanField(help_text="kept for its surprise, or a fault never seen before")
    score = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["consolidation", "position"], name="salient_once")
        ]

    def __str__(self) -> str:
        return f"episode at {self.position}"


class Candidate(models.Model):
    """A claim of a consolidation on its way to a record, and what became of it.

    `sources` are the episodes behind it, one a run: event, quote, entailment score, and the precise
    report that bears it out. Of one group the first is the head, and takes in the others.
    """

    consolidation = models.ForeignKey(
        Consolidation, on_delete=models.CASCADE, related_name="candidates"
    )
    origin = models.CharField(max_length=80, help_text="what it was read from; each is read once")
    kind = models.CharField(max_length=8)
    group = models.CharField(max_length=64)
    is_head = models.BooleanField(default=False)
    text = models.TextField()
    premise = models.TextField()
    subject = models.CharField(max_length=200, blank=True)
    predicate = models.CharField(max_length=200, blank=True)
    object = models.TextField(blank=True)
    key = models.CharField(max_length=420, blank=True)
    expression = models.TextField(blank=True)
    item_type = models.CharField(max_length=16)
    source = models.CharField(max_length=40, blank=True)
    sources = models.JSONField(default=list)
    episodes = models.PositiveIntegerField(default=1, help_text="that say it, runs or not")
    score = models.FloatField(null=True, blank=True)
    scorer = models.CharField(max_length=80, blank=True)
    precise = models.BooleanField(default=False)
    turn = models.PositiveIntegerField(default=0)
    fate = models.CharField(max_length=10, choices=fate_choices, default=Fate.EXTRACTED.value)
    became = models.CharField(max_length=12, blank=True)
    why = models.TextField(blank=True)
    record = models.ForeignKey(
        "memory.Record", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = CandidateQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["consolidation", "origin"], name="candidate_once"),
            models.UniqueConstraint(
                fields=["consolidation", "group"],
                condition=Q(is_head=True),
                name="candidate_one_head",
            ),
        ]
        indexes = [
            models.Index(fields=["consolidation", "fate", "turn", "id"], name="candidate_of_fate"),
            models.Index(
                fields=["consolidation", "key"],
                condition=Q(is_head=True) & ~Q(key=""),
                name="candidate_of_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.fate} {self.text[:60]}"

import hashlib
import uuid
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from branches.models import Branch, Run
from memory.consolidation_models import Candidate as Candidate
from memory.consolidation_models import Consolidation as Consolidation
from memory.consolidation_models import KnownFault as KnownFault
from memory.consolidation_models import SalientEpisode as SalientEpisode
from memory.curve_models import CurveAdoption as CurveAdoption
from memory.domain.readings import strip_hidden
from memory.domain.strength import TABLE, Curve, Curves, curve_of
from memory.domain.terms import (
    Answer,
    Grounding,
    IntentionState,
    ItemType,
    Kind,
    Outcome,
    RequestState,
    Standing,
    Tier,
    Trust,
)
from memory.querysets import EpisodeQuerySet, IntentionQuerySet, RecordQuerySet, RequestQuerySet
from verdicts.models import Report
from verel_site.access.models import Project
from verel_site.kit.strict_json import encode_sorted


def kind_choices() -> list[tuple[str, str]]:
    return [(kind.value, kind.value) for kind in Kind]


def trust_choices() -> list[tuple[str, str]]:
    return [(trust.value, trust.value) for trust in Trust]


def tier_choices() -> list[tuple[str, str]]:
    return [(tier.value, tier.value) for tier in Tier]


def standing_choices() -> list[tuple[str, str]]:
    return [(standing.value, standing.value) for standing in Standing]


def grounding_choices() -> list[tuple[str, str]]:
    return [(grounding.value, grounding.value) for grounding in Grounding]


def type_choices() -> list[tuple[str, str]]:
    return [(item.value, item.value) for item in ItemType]


def outcome_choices() -> list[tuple[str, str]]:
    return [(outcome.value, outcome.value) for outcome in Outcome]


def answer_choices() -> list[tuple[str, str]]:
    return [(answer.value, answer.value) for answer in Answer]


def request_choices() -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in RequestState]


def intention_choices() -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in IntentionState]


class Record(models.Model):
    """One version of a fact, a design rule or a skill.

    What it says never changes: an edit is a new record with the next `version`, which supersedes
    this one. `confidence` moves on evidence alone; the strength of retrieval is computed from
    `retrieval_count` and `retrieved_at`, and stored nowhere.
    """

    position = models.BigAutoField(primary_key=True)
    record_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="memory")
    number = models.PositiveIntegerField(help_text="1, 2, 3 … within the project")
    kind = models.CharField(max_length=8, choices=kind_choices)
    version = models.PositiveIntegerField(default=1)
    supersedes = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="later"
    )
    scope = models.CharField(max_length=120)
    tier = models.CharField(max_length=8, choices=tier_choices)
    text = models.TextField(help_text="what it says, in one sentence or a few")
    subject = models.CharField(max_length=200, blank=True)
    predicate = models.CharField(max_length=200, blank=True)
    object = models.TextField(blank=True)
    key = models.CharField(max_length=420, blank=True)
    entities = models.JSONField(default=list)
    relations = models.JSONField(default=list)
    expression = models.TextField(blank=True, help_text="of a design rule, canonical")
    details = models.JSONField(default=dict, help_text="of a skill: its front matter and files")
    item_type = models.CharField(
        max_length=16, choices=type_choices, default=ItemType.API_CONTRACT.value
    )
    digest = models.BinaryField(max_length=32)
    same_text = models.CharField(max_length=64, help_text="SHA-256 of the folded text")

    trust = models.CharField(max_length=16, choices=trust_choices, default=Trust.UNVERIFIED.value)
    standing = models.CharField(
        max_length=12, choices=standing_choices, default=Standing.LIVE.value
    )
    held_for = models.JSONField(default=list, help_text="why it waits for a person")
    suppressed_by = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="suppresses"
    )
    grounding = models.CharField(
        max_length=12, choices=grounding_choices, default=Grounding.INFERRED.value
    )
    source = models.CharField(max_length=40, blank=True)
    confidence = models.FloatField(default=0.0)
    support_count = models.PositiveIntegerField(default=0, help_text="independent runs")
    contradiction_count = models.PositiveIntegerField(default=0)
    suite_digest = models.CharField(
        max_length=64, blank=True, help_text="of the suite that it was verified on"
    )
    seal = models.JSONField(
        default=dict, help_text="of a promoted skill: key, signature, who promoted it and when"
    )
    retrieval_count = models.PositiveIntegerField(default=0)
    retrieved_at = models.DateTimeField(null=True, blank=True)

    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    asserted_at = models.DateTimeField(default=timezone.now)

    objects = RecordQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="record_number_once"),
            models.UniqueConstraint(
                fields=["project", "scope", "key"],
                condition=Q(standing="live") & ~Q(key=""),
                name="record_one_live_of_a_key",
            ),
            models.CheckConstraint(
                condition=~Q(tier="global") | Q(trust="verified"), name="record_global_is_verified"
            ),
            models.CheckConstraint(
                condition=Q(confidence__gte=0, confidence__lte=1), name="record_confidence"
            ),
            models.CheckConstraint(
                condition=Q(trust__in=[trust.value for trust in Trust]), name="record_trust"
            ),
        ]
        indexes = [
            models.Index(fields=["project", "standing", "kind"], name="record_by_standing"),
            models.Index(
                fields=["project", "trust", "-asserted_at"],
                condition=Q(standing="live"),
                name="record_vouched",
            ),
            models.Index(fields=["project", "key"], name="record_of_key"),
            models.Index(fields=["project", "same_text"], name="record_of_text"),
        ]

    def __str__(self) -> str:
        return f"{self.label} {strip_hidden(self.text[:60])}"

    @property
    def label(self) -> str:
        return f"{self.kind[0]}-{self.number}"

    @property
    def may_be_recalled(self) -> bool:
        """Of itself; see `RecordQuerySet.recallable`."""
        return self.standing == Standing.LIVE.value and self.trust != Trust.UNVERIFIED.value

    def curve(self, curves: Curves) -> Curve:
        return curve_of(ItemType(self.item_type), Trust(self.trust), curves)

    def strength(self, now: Any, curves: Curves) -> float:
        """Of its retrieval, at a moment; a record that was never retrieved ages from its making.
        `curves` are those of its project, as `memory.curves.read_curves` reads them."""
        age_days = (now - (self.retrieved_at or self.created_at)).total_seconds() / 86_400
        return self.curve(curves).strength(age_days, self.retrieval_count)


class RecordSign(models.Model):
    """What a near-duplicate of a record has in common with it; see `domain.likeness.signs_of`."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    record = models.ForeignKey(Record, on_delete=models.PROTECT, related_name="signs")
    sign = models.CharField(max_length=32)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["record", "sign"], name="record_sign_once")]
        indexes = [models.Index(fields=["project", "sign"], name="record_of_sign")]

    def __str__(self) -> str:
        return self.sign


class RecordVector(models.Model):
    """Where a record that may be recalled lies among meanings. A row is never changed: a newer one
    takes its place, so that a reader finds all news behind the highest id that it knows."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    record = models.OneToOneField(Record, on_delete=models.PROTECT, related_name="vector")
    embedder = models.CharField(max_length=80)
    scope = models.CharField(max_length=120)
    data = models.BinaryField(help_text="float32, little-endian; empty once it left recall")

    class Meta:
        indexes = [models.Index(fields=["project", "embedder", "id"], name="vector_news")]

    def __str__(self) -> str:
        return f"{self.embedder} of {self.record_id}"


class Projection(models.Model):
    """What a rented store was given of a record, and who is giving it just now."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    record = models.OneToOneField(Record, on_delete=models.PROTECT, related_name="projection")
    digest = models.CharField(max_length=64, blank=True, help_text="of the entry; empty for none")
    claimed_until = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"projection of {self.record_id}"


class Evidence(models.Model):
    """One event that speaks for a record, or against it."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    record = models.ForeignKey(Record, on_delete=models.PROTECT, related_name="evidence")
    event_id = models.UUIDField()
    position = models.PositiveBigIntegerField(help_text="of the event, in the journal")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="+")
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="+")
    seq = models.PositiveBigIntegerField()
    source = models.CharField(max_length=200, blank=True)
    quote = models.TextField(blank=True)
    score = models.FloatField(null=True, blank=True, help_text="entailment, 0 to 1")
    corroborator = models.JSONField(default=dict, help_text="the precise source that agrees")
    agrees = models.BooleanField(default=True)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "evidence"
        constraints = [models.UniqueConstraint(fields=["record", "event_id"], name="evidence_once")]
        indexes = [models.Index(fields=["event_id"], name="evidence_of_event")]

    def __str__(self) -> str:
        return f"event {self.event_id} on {self.record_id}"


class CurveFit(models.Model):
    """How fast one type of item faded by a project's own contexts: shown, until a person adopts it.

    `log` is what it was fitted to, in classes of age: days as of what was never retrieved, hits,
    trials.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    item_type = models.CharField(max_length=16, choices=type_choices)
    base_days = models.FloatField()
    beta = models.FloatField()
    log_likelihood = models.FloatField()
    default_log_likelihood = models.FloatField()
    trials = models.PositiveIntegerField()
    spread = models.FloatField(help_text="of the logarithms of the ages")
    log = models.JSONField(default=list)
    fitted_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "item_type"], name="curve_fit_once")
        ]

    def __str__(self) -> str:
        return f"{self.item_type}: {self.base_days:.0f} days, {self.beta:.2f}"

    @property
    def curve(self) -> Curve:
        """With the default's floor, which is a policy and is not fitted."""
        floor = TABLE[ItemType(self.item_type)].floor
        return Curve(self.base_days, self.beta, floor, fitted=True)

    @property
    def digest(self) -> bytes:
        """Of what a person looks at before adopting it; a fit made anew has another one."""
        told = [self.item_type, float(self.base_days), float(self.beta), self.trials]
        return hashlib.sha256(encode_sorted(told)).digest()


class PairScore(models.Model):
    """How far a premise supports a hypothesis, as somebody pushed it; the pair by its digest."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    pair = models.BinaryField(max_length=32)
    value = models.FloatField()
    precise = models.BooleanField(default=False, help_text="a precise grader's report agrees")
    report = models.ForeignKey(Report, on_delete=models.PROTECT, null=True, related_name="+")
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "pair", "by_kind", "by_id"], name="pair_score_once"
            ),
            models.CheckConstraint(
                condition=Q(value__gte=0, value__lte=1), name="pair_score_from_0_to_1"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.value:.2f} by {self.by_name}"


class RefusedValue(models.Model):
    """What a person refused, for ever: restating it, or waiting, does not clear it."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    record = models.ForeignKey(Record, on_delete=models.PROTECT, related_name="refusals")
    key = models.CharField(max_length=420, blank=True)
    value = models.TextField(help_text="the folded object, or the whole text without a key")
    reason = models.TextField()
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.CharField(max_length=150, blank=True)
    clear_reason = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["project", "key"], name="refused_of_key")]

    def __str__(self) -> str:
        return f"{self.key} {self.value[:60]}"


class PromotionRequest(models.Model):
    """A question to a person, pinned to what the record and its evidence were when it was asked."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="promotions")
    record = models.ForeignKey(Record, on_delete=models.PROTECT, related_name="requests")
    content_digest = models.BinaryField(max_length=32)
    evidence_digest = models.BinaryField(max_length=32)
    evidence = models.JSONField(default=list, help_text="the events, as they stood")
    conflicts = models.JSONField(default=list)
    gate = models.JSONField(default=dict, help_text="the decision that an eval-backed one rests on")
    state = models.CharField(max_length=8, choices=request_choices, default=RequestState.OPEN.value)
    void_reason = models.TextField(blank=True)
    deferred_until = models.DateTimeField(null=True, blank=True)
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = RequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["record"], condition=Q(state="open"), name="request_one_open_of_a_record"
            )
        ]
        indexes = [models.Index(fields=["project", "state", "created_at"], name="request_open")]

    def __str__(self) -> str:
        return f"promotion of {self.record_id}"


class PromotionDecision(models.Model):
    """What a person answered. Never changed but by its undo."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(
        PromotionRequest, on_delete=models.PROTECT, null=True, related_name="decisions"
    )
    record = models.ForeignKey(Record, on_delete=models.PROTECT, related_name="decisions")
    other = models.ForeignKey(
        Record,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="merged into, or made by the edit",
    )
    answer = models.CharField(max_length=8, choices=answer_choices)
    content_digest = models.BinaryField(max_length=32)
    reason = models.TextField(blank=True)
    trust_before = models.CharField(max_length=16)
    trust_after = models.CharField(max_length=16)
    moved = models.JSONField(default=dict, help_text="what it changed, as an undo needs it")
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.CharField(max_length=150, blank=True)
    undone_reason = models.TextField(blank=True)
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["project", "-created_at"], name="memory_decision_latest")]

    def __str__(self) -> str:
        return f"{self.answer} of {self.record_id}"


class Assembly(models.Model):
    """A context that was assembled: what entered, and why the rest did not."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="assemblies")
    role = models.CharField(max_length=120, blank=True)
    goal = models.TextField(blank=True)
    scopes = models.JSONField(default=list)
    result = models.JSONField(help_text="policy, entered, left out")
    tokens = models.PositiveIntegerField()
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "assemblies"
        indexes = [models.Index(fields=["project", "-created_at"], name="assembly_latest")]

    def __str__(self) -> str:
        return f"context of {self.tokens} tokens"


class Retrieval(models.Model):
    """A record entered a context. What a fit of the curves reads."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    record = models.ForeignKey(Record, on_delete=models.PROTECT, related_name="retrievals")
    assembly = models.ForeignKey(Assembly, on_delete=models.PROTECT, related_name="retrievals")
    age_days = models.FloatField(help_text="since the one before, or since the record was made")
    retrievals = models.PositiveIntegerField(help_text="before this one")
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["record", "-at"], name="retrieval_latest")]

    def __str__(self) -> str:
        return f"{self.record_id} at {self.at:%Y-%m-%d %H:%M}"


class SkillFile(models.Model):
    """A file of a skill, addressed by the SHA-256 of its bytes."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "sha256"], name="skill_file_once")
        ]

    def __str__(self) -> str:
        return self.sha256


class Episode(models.Model):
    """One agent step, projected from the journal: dropped and replayed, it is the same row."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="episodes")
    position = models.PositiveBigIntegerField(help_text="of the event that ended it")
    event_id = models.UUIDField()
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="+")
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="+")
    seq = models.PositiveBigIntegerField()
    agent = models.CharField(max_length=200)
    goal = models.TextField()
    tool = models.CharField(max_length=200, blank=True)
    skill = models.CharField(max_length=64, blank=True, help_text="that the step took up")
    args_digest = models.CharField(max_length=64, blank=True)
    signature = models.CharField(max_length=64, blank=True, help_text="of what went wrong")
    says = models.TextField(blank=True, help_text="the beginning of what was observed")
    outcome = models.CharField(max_length=12, choices=outcome_choices)
    surprise = models.FloatField(help_text="nats")
    tokens = models.PositiveBigIntegerField(default=0)
    at = models.DateTimeField()

    objects = EpisodeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "position"], name="episode_once")]
        indexes = [
            models.Index(fields=["branch", "seq"], name="episode_of_branch"),
            models.Index(
                fields=["project", "skill", "position"],
                condition=~Q(skill=""),
                name="episode_of_skill",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool or 'step'} {self.outcome}"


class MemoryCursor(models.Model):
    """How far memory has followed a project's journal."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=20, help_text="episodes or intentions")
    position = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="memory_cursor_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} up to {self.position}"


class Intention(models.Model):
    """What is to happen once an event matches its cue; a failure if none does in time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="intentions")
    number = models.PositiveIntegerField(help_text="1, 2, 3 … within the project")
    scope = models.CharField(max_length=120)
    cue = models.TextField(help_text="a condition over an event, canonical")
    action = models.JSONField()
    idempotency_key = models.CharField(max_length=200)
    state = models.CharField(
        max_length=10, choices=intention_choices, default=IntentionState.WAITING.value
    )
    after_position = models.PositiveBigIntegerField(help_text="only later events may fire it")
    expires_at = models.DateTimeField()
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = IntentionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "idempotency_key"], name="intention_key_once"
            ),
            models.UniqueConstraint(fields=["project", "number"], name="intention_number_once"),
        ]
        indexes = [models.Index(fields=["project", "state"], name="intention_open")]

    def __str__(self) -> str:
        return f"i-{self.number} {self.cue[:60]}"

    @property
    def ttl_seconds(self) -> int:
        """As it was asked for."""
        return round((self.expires_at - self.created_at).total_seconds())


class IntentionFire(models.Model):
    """A cue that was met. The row is won by inserting it, and so there is one at most."""

    intention = models.OneToOneField(Intention, on_delete=models.PROTECT, related_name="fire")
    event_id = models.UUIDField()
    position = models.PositiveBigIntegerField()
    worker = models.CharField(max_length=120, blank=True)
    epoch = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True)
    fired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"fire of {self.intention_id}"

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from branches.models import Branch, Run
from verdicts.domain.facts import ReceiptStanding
from verdicts.domain.labels import Choice
from verdicts.domain.pairing import Cause
from verdicts.domain.terms import Confidence, Grader, IssueKind, Part, Severity, Verdict
from verdicts.failure_models import Clustering as Clustering
from verdicts.failure_models import Coverage as Coverage
from verdicts.failure_models import Failure as Failure
from verdicts.failure_models import FailureEntry as FailureEntry
from verdicts.failure_models import FailureLine as FailureLine
from verdicts.failure_models import KnownBug as KnownBug
from verdicts.querysets import (
    ComparisonQuerySet,
    LabelQuerySet,
    ReportQuerySet,
    SuiteQuerySet,
)
from verdicts.review_models import Contender as Contender
from verdicts.review_models import Contest as Contest
from verdicts.review_models import PairCursor as PairCursor
from verdicts.review_models import PairRules as PairRules
from verdicts.review_models import cause_choices
from verel_site.access.models import Project


def grader_choices() -> list[tuple[str, str]]:
    return [(grader.value, grader.value) for grader in Grader]


def verdict_choices() -> list[tuple[str, str]]:
    return [(verdict.value, verdict.value) for verdict in Verdict]


def severity_choices() -> list[tuple[str, str]]:
    return [(severity.value, severity.value) for severity in Severity]


def confidence_choices() -> list[tuple[str, str]]:
    return [(confidence.value, confidence.value) for confidence in Confidence]


def kind_choices() -> list[tuple[str, str]]:
    return [(kind.value, kind.value) for kind in IssueKind]


def standing_choices() -> list[tuple[str, str]]:
    return [(standing.value, standing.value) for standing in ReceiptStanding]


def choice_choices() -> list[tuple[str, str]]:
    return [(choice.value, choice.value) for choice in Choice]


class Policy(models.Model):
    """What a project's gate demands, as of one version. Rows are added, never changed.

    `required` is a list of `{"grader": str, "suite": hex digest or null}`. A project without a
    row is under version 0: nothing required, and what nobody graded does not merge.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="policies")
    version = models.PositiveIntegerField()
    required = models.JSONField(default=list)
    receipts_required = models.BooleanField(
        default=True, help_text="A required grader without a frozen suite owes a receipt too."
    )
    warn_may_merge = models.BooleanField(default=True)
    advisory_window = models.PositiveSmallIntegerField(
        default=1, help_text="An advisory grader warns when most of its last M runs do."
    )
    limits = models.JSONField(
        default=dict, help_text="What a loop is allowed; a limit that is not named is the default."
    )
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="policy_version_once"),
            models.CheckConstraint(condition=Q(version__gte=1), name="policy_version_counts"),
            models.CheckConstraint(
                condition=Q(advisory_window__gte=1, advisory_window__lte=99),
                name="policy_window",
            ),
        ]
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return f"policy {self.version}"


class Runner(models.Model):
    """A registered Ed25519 public key, in a trust domain that agents can not reach.

    `key_id` is what receipts may name the key by, a hint: the SHA-256 in hex of the raw public key
    unless it was registered under another.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="runners")
    name = models.CharField(max_length=120)
    key_id = models.CharField(max_length=64)
    public_key = models.BinaryField(max_length=32)
    valid_from = models.DateTimeField(default=timezone.now)
    valid_until = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    registered_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "key_id"], name="runner_key_once"),
            models.CheckConstraint(
                condition=Q(valid_until=None) | Q(valid_until__gt=F("valid_from")),
                name="runner_validity",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Suite(models.Model):
    """An eval definition by its digest. Once frozen it never changes; a new one takes its place.

    Its cases are `SuiteCase` rows, or are kept elsewhere and known here by the digest alone: then
    it has no `token`, and is not rotated. `rotate_at` is the promise of the next rotation.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="suites")
    grader = models.CharField(max_length=16, choices=grader_choices)
    name = models.CharField(max_length=120)
    digest = models.CharField(max_length=64)
    owner = models.CharField(max_length=150)
    frozen_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_reason = models.TextField(blank=True)
    follows = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="followed_by"
    )
    rotate_days = models.PositiveSmallIntegerField(null=True, blank=True)
    rotate_at = models.DateTimeField(null=True, blank=True, db_index=True)
    token = models.CharField(max_length=64, blank=True, help_text="the leakage canary")
    scanned_position = models.PositiveBigIntegerField(default=0)
    scanned_issue = models.PositiveBigIntegerField(default=0)
    watched_at = models.DateTimeField(
        null=True, blank=True, help_text="when the canary was last looked at"
    )
    tripped_at = models.DateTimeField(null=True, blank=True)
    tripped_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SuiteQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "grader", "digest"], name="suite_once"),
            models.CheckConstraint(
                condition=Q(grader__in=[grader.value for grader in Grader]), name="suite_grader"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.digest[:8]}"


def part_choices() -> list[tuple[str, str]]:
    return [(part.value, part.value) for part in Part]


class SuiteCase(models.Model):
    """One case of a suite: in use, held out from all but the canary, or kept to be minted from.

    Read by a runner's key and the suite's owners alone; no page and no admin shows it.
    """

    suite = models.ForeignKey(Suite, on_delete=models.PROTECT, related_name="cases")
    part = models.CharField(max_length=8, choices=part_choices)
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=200)
    body = models.JSONField()
    since = models.DateTimeField(default=timezone.now, help_text="in use, under any suite")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["suite", "part", "position"], name="case_position_once"
            ),
            models.CheckConstraint(
                condition=Q(part__in=[part.value for part in Part]), name="case_part"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.part} {self.position}"


class SuiteResult(models.Model):
    """How many cases of a suite and of its hold-out one run passed; told by a runner."""

    suite = models.ForeignKey(Suite, on_delete=models.PROTECT, related_name="results")
    passed = models.PositiveIntegerField()
    total = models.PositiveIntegerField()
    holdout_passed = models.PositiveIntegerField()
    holdout_total = models.PositiveIntegerField()
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(passed__lte=F("total"), holdout_passed__lte=F("holdout_total")),
                name="suite_result_counts",
            )
        ]
        indexes = [models.Index(fields=["suite", "-id"], name="suite_result_latest")]

    def __str__(self) -> str:
        return f"{self.passed} of {self.total}"


class Nonce(models.Model):
    """A nonce that a receipt has used up. Those still owed are derived, and have no row."""

    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="+")
    head_digest = models.BinaryField(max_length=32)
    grader = models.CharField(max_length=16, choices=grader_choices)
    value = models.CharField(max_length=64)
    used_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["value"], name="nonce_used_once")]
        indexes = [models.Index(fields=["branch", "grader"], name="nonce_of_branch")]

    def __str__(self) -> str:
        return f"{self.grader} {self.value[:8]}"


class Report(models.Model):
    """What one grader said about one head. Never changed.

    `order` counts the branch's reports from 1. `verdict` is the grader's own claim: shown, signed
    by its receipt, never trusted. `receipt` is the envelope as it was pushed; the columns after it
    hold what checking it gave at that time.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="reports")
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="reports")
    order = models.PositiveIntegerField()
    head_digest = models.BinaryField(max_length=32)
    head_seq = models.PositiveBigIntegerField()
    grader = models.CharField(max_length=16, choices=grader_choices)
    tool = models.CharField(
        max_length=120, blank=True, help_text="Of one grader's tools none replaces another's word."
    )
    verdict = models.CharField(max_length=4, choices=verdict_choices)
    summary = models.TextField(blank=True)
    errored = models.BooleanField(default=False)
    model = models.CharField(max_length=120, blank=True)
    author_model = models.CharField(
        max_length=120, blank=True, help_text="The model that the graded head was written by."
    )
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)
    elapsed_ms = models.PositiveBigIntegerField(null=True, blank=True)
    capabilities = models.JSONField(default=list)
    artifacts = models.JSONField(default=dict, help_text="name to reference")
    trace = models.JSONField(default=dict)
    schema_version = models.CharField(max_length=8, default="2.0")
    receipt = models.TextField(blank=True)
    receipt_standing = models.CharField(max_length=16, choices=standing_choices, blank=True)
    receipt_fault = models.TextField(blank=True)
    receipt_claims = models.JSONField(
        default=dict, help_text="suite_digest, inputs_digest, covered_files, result_digest"
    )
    suite_digest = models.CharField(
        max_length=64, blank=True, help_text="The suite that its receipt claims to have run."
    )
    runner = models.ForeignKey(
        Runner, on_delete=models.PROTECT, null=True, blank=True, related_name="reports"
    )
    result_digest = models.CharField(max_length=64)
    covered_digest = models.CharField(
        max_length=64, blank=True, help_text="Of the names that it covers, part of its result."
    )
    left_out = models.JSONField(
        default=list, help_text="What earlier reports of its tool looked at, and it did not."
    )
    raw_sha256 = models.CharField(max_length=64)
    in_ledger = models.BooleanField(default=False, help_text="recorded in the failure ledger")
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    received_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ReportQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["branch", "order"], name="report_order_once"),
            models.CheckConstraint(
                condition=Q(grader__in=[grader.value for grader in Grader]), name="report_grader"
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=[verdict.value for verdict in Verdict]),
                name="report_verdict",
            ),
            models.CheckConstraint(
                condition=Q(receipt="", receipt_standing="")
                | (~Q(receipt="") & Q(receipt_standing__in=[s.value for s in ReceiptStanding])),
                name="report_receipt_standing",
            ),
            models.CheckConstraint(
                condition=~Q(receipt_standing="valid") | Q(runner__isnull=False),
                name="report_valid_receipt_has_runner",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-received_at"], name="report_latest"),
            models.Index(
                fields=["project", "suite_digest", "-received_at"],
                condition=~Q(suite_digest=""),
                name="report_of_suite",
            ),
            models.Index(
                fields=["branch"], condition=Q(in_ledger=False), name="report_not_in_ledger"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.grader} on {self.branch_id}"


class Issue(models.Model):
    """One finding of a report; `position` is its place in the list as pushed, from 0."""

    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="issues")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=kind_choices)
    severity = models.CharField(max_length=8, choices=severity_choices)
    confidence = models.CharField(max_length=6, choices=confidence_choices)
    source = models.CharField(max_length=16, choices=grader_choices)
    message = models.TextField()
    locator = models.TextField(blank=True)
    locator_precise = models.BooleanField(default=False)
    fingerprint = models.CharField(max_length=16, db_index=True)
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["report", "position"], name="issue_position_once"),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in IssueKind]), name="issue_kind"
            ),
            models.CheckConstraint(
                condition=Q(severity__in=[severity.value for severity in Severity]),
                name="issue_severity",
            ),
            models.CheckConstraint(
                condition=Q(confidence__in=[confidence.value for confidence in Confidence]),
                name="issue_confidence",
            ),
            models.CheckConstraint(
                condition=Q(source__in=[grader.value for grader in Grader]), name="issue_source"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


class Weighing(models.Model):
    """A branch that was reported on since it was last looked at for whether people are needed:
    the promise that the inbox's sweep keeps. `order` is its newest report's."""

    branch = models.OneToOneField(Branch, on_delete=models.PROTECT, related_name="+")
    order = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.branch_id} up to report {self.order}"


class GateDecision(models.Model):
    """What the gate said when a merge asked, on which head, under which policy."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="gate_decisions")
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="gate_decisions")
    head_digest = models.BinaryField(max_length=32)
    policy_version = models.PositiveIntegerField()
    verdict = models.CharField(max_length=4, choices=verdict_choices)
    open = models.BooleanField()
    reasons = models.JSONField(default=list)
    attributions = models.JSONField(default=dict)
    bypass_reason = models.TextField(blank=True)
    by_kind = models.CharField(max_length=8)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict__in=[verdict.value for verdict in Verdict]),
                name="gate_decision_verdict",
            ),
            models.CheckConstraint(
                condition=~Q(verdict="fail", open=True), name="gate_never_open_on_fail"
            ),
        ]
        indexes = [models.Index(fields=["branch", "-created_at"], name="gate_decision_latest")]

    def __str__(self) -> str:
        return f"{self.verdict} for {self.branch_id}"


class Comparison(models.Model):
    """Two heads of one run, to be judged. `first` is the branch with the lower id: the pair has no
    order, and a reviewer's left and right come from `SideOrder`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="comparisons")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="comparisons")
    first = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="+")
    second = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="+")
    first_digest = models.BinaryField(max_length=32)
    second_digest = models.BinaryField(max_length=32)
    first_seq = models.PositiveBigIntegerField()
    second_seq = models.PositiveBigIntegerField()
    cause = models.CharField(
        max_length=12, choices=cause_choices, default=Cause.HAND.value, help_text="who proposed it"
    )
    rules_version = models.PositiveIntegerField(
        null=True, blank=True, help_text="of the rules that proposed it"
    )
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["first", "second", "first_digest", "second_digest"],
                name="comparison_of_heads_once",
            ),
            models.CheckConstraint(condition=~Q(first=F("second")), name="comparison_two_branches"),
            models.CheckConstraint(
                condition=Q(cause__in=[cause.value for cause in Cause]), name="comparison_cause"
            ),
        ]
        indexes = [
            models.Index(fields=["run", "-created_at"], name="comparison_of_run"),
            models.Index(fields=["project", "-created_at"], name="comparison_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.first_id} or {self.second_id}"


class SideOrder(models.Model):
    """Which branch a reviewer sees on the left: `first`, or `second` if swapped. Drawn once."""

    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="sides")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    swapped = models.BooleanField()
    drawn_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["comparison", "reviewer"], name="sides_drawn_once")
        ]

    def __str__(self) -> str:
        return "swapped" if self.swapped else "straight"


class Label(models.Model):
    """A reviewer's judgement of a comparison. `choice` is the side that was picked; `chosen` and
    `rejected` are the branches which that was, or null for equal and both bad."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="labels")
    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="labels")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="labels"
    )
    choice = models.CharField(max_length=8, choices=choice_choices)
    chosen = models.ForeignKey(
        Branch, on_delete=models.PROTECT, null=True, blank=True, related_name="labels_won"
    )
    rejected = models.ForeignKey(
        Branch, on_delete=models.PROTECT, null=True, blank=True, related_name="labels_lost"
    )
    strength = models.PositiveSmallIntegerField(null=True, blank=True)
    scores = models.JSONField(default=dict)
    rationale = models.TextField(blank=True)
    corrected = models.TextField(blank=True)
    corrected_side = models.ForeignKey(
        Branch,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="in place of whose answer the corrected output stands",
    )
    correction = models.OneToOneField(
        Branch,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="corrects",
        help_text="the branch that the corrected output became",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_reason = models.TextField(blank=True)

    objects = LabelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["comparison", "reviewer"],
                condition=Q(withdrawn_at=None),
                name="label_once_per_reviewer",
            ),
            models.CheckConstraint(
                condition=Q(
                    choice__in=["left", "right"], chosen__isnull=False, rejected__isnull=False
                )
                | Q(choice__in=["equal", "both_bad"], chosen=None, rejected=None),
                name="label_choice_and_branches",
            ),
            models.CheckConstraint(
                condition=Q(strength=None) | Q(strength__gte=1, strength__lte=5),
                name="label_strength",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-created_at"], name="label_latest"),
            models.Index(
                fields=["created_at"],
                condition=Q(corrected_side__isnull=False, correction=None, withdrawn_at=None),
                name="label_owes_correction",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.choice} on {self.comparison_id}"

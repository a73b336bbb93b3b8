"""The shapes of requests and answers, for the OpenAPI schema. They describe; they do not validate:
reports are read by `report_form`, other bodies by `kit.bodies`, and answers are built by
`answers`. A test holds both sides together."""

from typing import Any

from rest_framework import serializers

from branches.domain.terms import Granularity
from verdicts.domain.labels import Choice
from verdicts.domain.ledger import Turn
from verdicts.domain.progress import Step
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity, Verdict

ISSUE_KINDS = [kind.value for kind in IssueKind]


class Shape(serializers.Serializer[Any]):
    """An object with named fields."""


class GradedHeadSerializer(Shape):
    seq = serializers.IntegerField(help_text="within the branch's own suffix; 0: the fork point")
    digest = serializers.CharField(help_text="SHA-256, hexadecimal")


class BySerializer(Shape):
    kind = serializers.CharField(help_text="person, key or system")
    id = serializers.CharField()
    name = serializers.CharField()


class FoundIssueSerializer(Shape):
    kind = serializers.ChoiceField(ISSUE_KINDS)
    severity = serializers.ChoiceField([severity.value for severity in Severity])
    message = serializers.CharField()
    locator = serializers.CharField(required=False)
    locator_precise = serializers.BooleanField(required=False)
    confidence = serializers.ChoiceField(
        [confidence.value for confidence in Confidence], required=False
    )
    source = serializers.CharField(  # type: ignore[assignment]  # a name of DRF's too
        required=False, help_text="a grader; the report's own by default"
    )
    detail = serializers.DictField(required=False)


class IssueSerializer(FoundIssueSerializer):
    fingerprint = serializers.CharField(help_text="computed by the server")


class CoveredSerializer(Shape):
    tests = serializers.ListField(
        child=serializers.CharField(), required=False, allow_null=True, help_text="that ran"
    )
    files = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        allow_null=True,
        help_text="files, and folders of which all were looked through",
    )


class ReportRequestSerializer(Shape):
    grader = serializers.ChoiceField([grader.value for grader in Grader])
    head_digest = serializers.CharField(help_text="of the head that was graded")
    tool = serializers.CharField(
        required=False, help_text="which of this grader's tools; each has its own latest report"
    )
    issues = FoundIssueSerializer(many=True)
    summary = serializers.CharField(required=False)
    verdict = serializers.ChoiceField([verdict.value for verdict in Verdict], required=False)
    capabilities = serializers.ListField(child=serializers.CharField(), required=False)
    model = serializers.CharField(required=False)
    cost_usd = serializers.FloatField(required=False, allow_null=True)
    elapsed_ms = serializers.FloatField(required=False, allow_null=True)
    errored = serializers.BooleanField(required=False)
    receipt = serializers.JSONField(required=False, help_text="a DSSE envelope")
    artifacts = serializers.DictField(child=serializers.CharField(), required=False)
    trace = serializers.DictField(required=False)
    covered = CoveredSerializer(
        required=False,
        help_text="what it ran or read: only there its silence resolves a failure; absent, it "
        "speaks for the whole head",
    )
    schema_version = serializers.CharField(required=False)


class StandingReceiptSerializer(Shape):
    standing = serializers.CharField()
    fault = serializers.CharField()
    runner = serializers.CharField(allow_null=True)


class ReportSerializer(Shape):
    report = serializers.UUIDField()
    branch = serializers.UUIDField()
    order = serializers.IntegerField()
    head = GradedHeadSerializer()
    grader = serializers.ChoiceField([grader.value for grader in Grader])
    tool = serializers.CharField()
    verdict = serializers.ChoiceField(
        [verdict.value for verdict in Verdict], help_text="the grader's claim"
    )
    summary = serializers.CharField()
    errored = serializers.BooleanField()
    model = serializers.CharField()
    cost_usd = serializers.FloatField(allow_null=True)
    elapsed_ms = serializers.IntegerField(allow_null=True)
    capabilities = serializers.ListField(child=serializers.CharField())
    artifacts = serializers.DictField(child=serializers.CharField())
    trace = serializers.DictField()
    receipt = StandingReceiptSerializer(allow_null=True)
    result_digest = serializers.CharField()
    raw_sha256 = serializers.CharField(help_text="of the bytes that the report was read from")
    by = BySerializer()
    received_at = serializers.DateTimeField()
    issues = IssueSerializer(many=True)


class ImportedSerializer(Shape):
    format = serializers.CharField(help_text="as it was read")
    head_digest = serializers.CharField()
    raw_sha256 = serializers.CharField()
    results = ReportSerializer(many=True)


class PreviewedSerializer(Shape):
    format = serializers.CharField(help_text="as it was read")
    head_digest = serializers.CharField()
    results = serializers.ListField(
        child=serializers.DictField(),
        help_text="bodies for POST branches/{b}/reports, each with the result_digest that a "
        "receipt has to sign beside it",
    )


class ReportPageSerializer(Shape):
    results = ReportSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class RequiredSerializer(Shape):
    grader = serializers.ChoiceField([grader.value for grader in Grader])
    standing = serializers.CharField()
    why = serializers.CharField()


class GraderLineSerializer(RequiredSerializer):
    name = serializers.CharField(help_text="the grader, or the server's own regression guard")
    advisory = serializers.BooleanField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    proof = serializers.CharField()


class GateSerializer(Shape):
    branch = serializers.UUIDField()
    verdict = serializers.ChoiceField([verdict.value for verdict in Verdict])
    open = serializers.BooleanField()
    stale = serializers.BooleanField()
    reasons = serializers.ListField(child=serializers.CharField())
    attributions = serializers.DictField(
        child=serializers.CharField(), help_text="fingerprint to grader"
    )
    required = RequiredSerializer(many=True)  # type: ignore[assignment]
    graders = GraderLineSerializer(many=True)
    head_digest = serializers.CharField()
    policy_version = serializers.IntegerField()
    nonces = serializers.DictField(
        child=serializers.CharField(), help_text="one for each receipt that is still owed"
    )


class FlakySerializer(Shape):
    fingerprint = serializers.CharField()
    head = serializers.CharField(help_text="the digest of the head that was run again")
    grader = serializers.ChoiceField([grader.value for grader in Grader])
    tool = serializers.CharField(allow_blank=True)
    found = serializers.IntegerField(help_text="in so many of the runs on this head")
    runs = serializers.IntegerField()


class LimitsSerializer(Shape):
    window = serializers.IntegerField(help_text="iterations over which the set must not rise")
    reruns = serializers.IntegerField(help_text="runs on one head that tell a flaky test")
    cycle = serializers.IntegerField(help_text="the longest circle of heads that is looked for")
    epsilon = serializers.FloatField(help_text="failures fewer, for an iteration to be worth it")
    flat = serializers.IntegerField(help_text="iterations that may yield less while cost grows")
    ladder = serializers.ListField(child=serializers.CharField(), help_text="the cheapest first")
    families = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="what the names of a model family's models hold: two judges of one family "
        "confirm nothing to each other",
    )


class AdvisedSerializer(Shape):
    fingerprint = serializers.CharField()
    grader = serializers.ChoiceField([grader.value for grader in Grader])
    message = serializers.CharField()
    confirmed = serializers.BooleanField()
    why = serializers.CharField(help_text="who confirms it, or what it lacks")
    weighty = serializers.BooleanField(help_text="a second family confirms it, as an error")


class BranchProgressSerializer(Shape):
    branch = serializers.UUIDField()
    step = serializers.ChoiceField(choices=[step.value for step in Step])
    target = serializers.CharField(allow_blank=True, help_text="a model, or a fingerprint to probe")
    why = serializers.CharField()
    curve = serializers.ListField(child=serializers.IntegerField())
    progressed = serializers.BooleanField()
    regressed = serializers.ListField(child=serializers.CharField())
    stuck = serializers.BooleanField()
    cycle = serializers.IntegerField(help_text="length of the circle it goes round in; 0: none")
    disagreement = serializers.CharField(
        allow_blank=True, help_text="what precise graders differ about; it waits for a person"
    )
    quarantined = serializers.ListField(child=serializers.CharField())
    flaky = serializers.ListField(child=FlakySerializer())
    unconfirmed = serializers.ListField(child=serializers.CharField())
    advised = serializers.ListField(
        child=AdvisedSerializer(), help_text="what only advice reports, and who confirms it"
    )
    confirmed = serializers.ListField(
        child=serializers.CharField(),
        help_text="errors of a judge that one of another model family confirms, where nothing "
        "precise fails: a person is asked",
    )
    rung = serializers.IntegerField()
    ladder = serializers.ListField(child=serializers.CharField())
    limits = LimitsSerializer()
    policy_version = serializers.IntegerField()


class NoncesSerializer(Shape):
    branch = serializers.UUIDField()
    head_digest = serializers.CharField()
    nonces = serializers.DictField(child=serializers.CharField(), help_text="by grader")


class MergeRequestSerializer(Shape):
    winner = serializers.UUIDField()
    losers = serializers.ListField(child=serializers.UUIDField())
    expected_heads = serializers.DictField(
        child=serializers.CharField(), help_text="branch to the digest of the head you looked at"
    )
    note = serializers.CharField(required=False)
    granularity = serializers.ChoiceField([kind.value for kind in Granularity], required=False)
    bypass_reason = serializers.CharField(
        required=False, help_text="to go past a shut gate; needs a right of its own"
    )


class WinnerSerializer(Shape):
    branch = serializers.UUIDField()
    digest = serializers.CharField()


class LoserSerializer(WinnerSerializer):
    refused = serializers.CharField(allow_null=True, help_text="why no triplet came of it")


class TripletSerializer(Shape):
    triplet = serializers.UUIDField()
    number = serializers.IntegerField()
    run = serializers.UUIDField()
    merge = serializers.UUIDField()
    granularity = serializers.ChoiceField([kind.value for kind in Granularity])
    chosen_branch = serializers.UUIDField()
    rejected_branch = serializers.UUIDField()
    prompt = serializers.ListField(child=serializers.DictField())
    chosen = serializers.ListField(child=serializers.DictField())
    rejected = serializers.ListField(child=serializers.DictField())
    tools = serializers.ListField(child=serializers.JSONField())
    metadata = serializers.DictField()
    prompt_sha256 = serializers.CharField()
    created_at = serializers.DateTimeField()
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class TripletPageSerializer(Shape):
    results = TripletSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class MergeSerializer(Shape):
    merge = serializers.UUIDField()
    project = serializers.UUIDField()
    run = serializers.UUIDField()
    winner = WinnerSerializer()
    losers = LoserSerializer(many=True)
    granularity = serializers.ChoiceField([kind.value for kind in Granularity])
    note = serializers.CharField()
    bypass_reason = serializers.CharField(allow_null=True)
    admission = serializers.DictField(help_text="the gate's word, as it was then")
    by = BySerializer()
    created_at = serializers.DateTimeField()
    undo_until = serializers.DateTimeField()
    reverted_at = serializers.DateTimeField(allow_null=True)
    reverted_by = serializers.CharField()
    revert_reason = serializers.CharField()
    triplets = TripletSerializer(many=True)


class RevertSerializer(Shape):
    reason = serializers.CharField()


class DatasetRequestSerializer(Shape):
    project = serializers.CharField(
        required=False, help_text="slug or id; may be left out by who has one project"
    )
    format = serializers.CharField(
        required=False, help_text="trl (by default), kto, openai, axolotl or llamafactory"
    )
    filter = serializers.DictField(
        required=False,
        help_text="run, granularity, reviewer, verdict, bypassed, since, until, text",
    )


class ProgressSerializer(Shape):
    done = serializers.IntegerField(help_text="triplets that were looked at")
    total = serializers.IntegerField()


class DatasetSerializer(Shape):
    dataset = serializers.UUIDField()
    project = serializers.UUIDField()
    format = serializers.CharField()
    filter = serializers.DictField()
    status = serializers.CharField(help_text="waiting, working, failed or ready")
    fault = serializers.CharField(allow_null=True)
    progress = ProgressSerializer()
    manifest = serializers.DictField()
    files = serializers.ListField(child=serializers.CharField())
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()


class CaseSerializer(Shape):
    name = serializers.CharField()
    body = serializers.JSONField(help_text="what the runner makes of it")


class SuiteRequestSerializer(Shape):
    project = serializers.CharField(
        required=False, help_text="slug or id; may be left out by who has one project"
    )
    grader = serializers.ChoiceField([grader.value for grader in Grader])
    name = serializers.CharField()
    cases = CaseSerializer(many=True)
    holdout = CaseSerializer(many=True, required=False)
    reserve = CaseSerializer(many=True, required=False)
    rotate_days = serializers.IntegerField(
        required=False, allow_null=True, help_text="30 by default; null: it is not rotated"
    )


class WhySerializer(Shape):
    reason = serializers.CharField()


class ReserveSerializer(Shape):
    cases = CaseSerializer(many=True)


class SuiteSerializer(Shape):
    suite = serializers.UUIDField()
    project = serializers.UUIDField()
    grader = serializers.ChoiceField([grader.value for grader in Grader])
    name = serializers.CharField()
    digest = serializers.CharField()
    owner = serializers.CharField()
    cases = serializers.IntegerField(help_text="in use; 0 where they are kept elsewhere")
    holdout = serializers.IntegerField()
    reserve = serializers.IntegerField()
    follows = serializers.UUIDField(allow_null=True, help_text="the suite that it took over from")
    created_at = serializers.DateTimeField()
    frozen_at = serializers.DateTimeField(allow_null=True)
    retired_at = serializers.DateTimeField(allow_null=True)
    retired_reason = serializers.CharField()
    rotate_days = serializers.IntegerField(allow_null=True)
    rotate_at = serializers.DateTimeField(allow_null=True)
    fresh_cases_needed = serializers.IntegerField(
        help_text="how many people have to write before the next rotation"
    )
    tripped_at = serializers.DateTimeField(allow_null=True)
    tripped_reason = serializers.CharField()


class SuiteListSerializer(Shape):
    results = SuiteSerializer(many=True)


class SuiteCaseSerializer(CaseSerializer):
    part = serializers.CharField(help_text="case or holdout")


class SuiteCasesSerializer(Shape):
    suite = serializers.UUIDField()
    digest = serializers.CharField()
    canary = serializers.CharField()
    results = SuiteCaseSerializer(many=True)


class SuiteResultRequestSerializer(Shape):
    passed = serializers.IntegerField()
    total = serializers.IntegerField()
    holdout_passed = serializers.IntegerField(required=False)
    holdout_total = serializers.IntegerField(required=False)


class SuiteResultSerializer(Shape):
    suite = serializers.UUIDField()
    passed = serializers.IntegerField()
    total = serializers.IntegerField()
    holdout_passed = serializers.IntegerField()
    holdout_total = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class SideSerializer(Shape):
    seal = serializers.CharField(
        help_text="stands for the head: made for this reviewer and this pair alone"
    )
    head_digest = serializers.CharField(
        allow_null=True, help_text="SHA-256, hexadecimal; null until the reviewer has judged"
    )
    steps = serializers.IntegerField()


class SidesSerializer(Shape):
    left = SideSerializer()
    right = SideSerializer()


class LabelRequestSerializer(Shape):
    choice = serializers.ChoiceField([choice.value for choice in Choice])
    strength = serializers.IntegerField(required=False, help_text="1 to 5")
    scores = serializers.DictField(
        required=False,
        help_text="a rubric's names to numbers: below zero the left side is better, above the right",
    )
    rationale = serializers.CharField(required=False)
    corrected = serializers.CharField(
        required=False, help_text="a better final output; it becomes a branch of its own"
    )
    corrected_of = serializers.ChoiceField(
        ["left", "right", ""], required=False, help_text="the side; unnamed, the better one"
    )
    claim = serializers.UUIDField(required=False, help_text="of the pair's item in the inbox")
    seen_heads = serializers.DictField(
        required=False, help_text="left and right: the seals, or the digests, that were looked at"
    )


class LabelSerializer(Shape):
    label = serializers.UUIDField()  # type: ignore[assignment]  # an attribute of fields too
    comparison = serializers.UUIDField()
    choice = serializers.CharField()
    chosen = serializers.UUIDField(allow_null=True)
    rejected = serializers.UUIDField(allow_null=True)
    correction = serializers.UUIDField(
        allow_null=True,
        help_text="the corrected output's branch, made once nobody is asked any more",
    )
    created_at = serializers.DateTimeField()


class FailurePlaceSerializer(Shape):
    report = serializers.UUIDField()
    branch = serializers.UUIDField()
    run = serializers.UUIDField()
    head = GradedHeadSerializer()
    at = serializers.DateTimeField()


class QuarantineSerializer(Shape):
    entry = serializers.IntegerField(help_text="of the ledger: the ticket")
    reason = serializers.CharField()
    by = BySerializer()
    at = serializers.DateTimeField()


class FailureSerializer(Shape):
    failure = serializers.UUIDField()
    project = serializers.UUIDField()
    fingerprint = serializers.CharField()
    kind = serializers.ChoiceField(ISSUE_KINDS)
    source = serializers.CharField()  # type: ignore[assignment]  # a field of that name is ours
    message = serializers.CharField(help_text="of the sighting that entered it")
    scrubbed = serializers.CharField()
    locator = serializers.CharField()
    bug = serializers.CharField(help_text="what failures of one known bug share")
    open = serializers.BooleanField(help_text="seen after it was last resolved")
    sightings = serializers.IntegerField(help_text="reports that found it")
    runs = serializers.IntegerField()
    returns = serializers.IntegerField(help_text="how often it came back")
    first_seen_at = serializers.DateTimeField()
    last_seen = FailurePlaceSerializer()
    resolved = FailurePlaceSerializer(allow_null=True, help_text="the last report that did not")
    quarantine = QuarantineSerializer(allow_null=True)


class FailurePageSerializer(Shape):
    results = FailureSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class FailureLineSerializer(Shape):
    branch = serializers.UUIDField()
    run = serializers.UUIDField()
    grader = serializers.CharField()
    tool = serializers.CharField()
    seq = serializers.IntegerField(help_text="of the head on which it was seen last")
    returned = serializers.BooleanField()


class FailureDetailSerializer(FailureSerializer):
    open_on = FailureLineSerializer(many=True)


class FailureEntrySerializer(Shape):
    entry = serializers.IntegerField()
    turn = serializers.ChoiceField([turn.value for turn in Turn])
    report = serializers.UUIDField(allow_null=True)
    branch = serializers.UUIDField(allow_null=True)
    run = serializers.UUIDField(allow_null=True)
    head_seq = serializers.IntegerField(allow_null=True)
    grader = serializers.CharField(allow_null=True)
    tool = serializers.CharField()
    answers = serializers.IntegerField(allow_null=True, help_text="the entry that it undoes")
    reason = serializers.CharField()
    by = BySerializer()
    at = serializers.DateTimeField()


class FailureEntryPageSerializer(Shape):
    results = FailureEntrySerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class KnownBugSerializer(Shape):
    bug = serializers.CharField()
    kind = serializers.ChoiceField(ISSUE_KINDS)
    scrubbed = serializers.CharField()
    failures = serializers.IntegerField()
    open_failures = serializers.IntegerField()
    sightings = serializers.IntegerField()
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    clustered_at = serializers.DateTimeField()


class KnownBugPageSerializer(Shape):
    results = KnownBugSerializer(many=True)
    next = serializers.CharField(allow_null=True)
    clustered_at = serializers.DateTimeField(allow_null=True, help_text="null: no night yet")

"""The shapes of requests and answers, for the OpenAPI schema. They describe; they do not validate:
bodies are read by `kit.bodies`, and answers are built by `answers`. A test holds both together."""

from typing import Any

from rest_framework import serializers

from memory.domain.assembly import Left, Origin
from memory.domain.consolidation import JobState, Step, Trigger
from memory.domain.terms import (
    Answer,
    IntentionState,
    ItemType,
    Kind,
    Outcome,
    RequestState,
    Standing,
    Tier,
    Trust,
)
from memory.records import Became
from verdicts.domain.terms import Verdict

KINDS = [one.value for one in Kind]
ANSWERS = [one.value for one in Answer]
VERDICTS = [one.value for one in Verdict]
OUTCOMES = [one.value for one in Outcome]


class Shape(serializers.Serializer[Any]):
    """An object with named fields."""


class WhoSerializer(Shape):
    kind = serializers.CharField(help_text="person, key or system")
    id = serializers.CharField()
    name = serializers.CharField()


class CitedSerializer(Shape):
    event = serializers.UUIDField(help_text="an event of the project's own journal")
    quote = serializers.CharField(required=False)
    score = serializers.FloatField(required=False, help_text="how far it entails the record, 0–1")
    report = serializers.UUIDField(
        required=False, help_text="a precise grader's report on its branch, at it or later"
    )
    sees = serializers.ChoiceField(
        VERDICTS, required=False, help_text="the verdict by which that report agrees; pass if none"
    )


class ProposalSerializer(Shape):
    project = serializers.CharField(required=False, help_text="slug or id")
    kind = serializers.ChoiceField([Kind.FACT.value, Kind.RULE.value], required=False)
    text = serializers.CharField(required=False, help_text="what it says; a rule may do without")
    scope = serializers.CharField(
        required=False, help_text="team, repo:NAME or agent:NAME; team by default"
    )
    subject = serializers.CharField(required=False)
    predicate = serializers.CharField(required=False)
    object = serializers.CharField(required=False)
    item_type = serializers.ChoiceField([one.value for one in ItemType], required=False)
    entities = serializers.ListField(child=serializers.CharField(), required=False)
    relations = serializers.ListField(required=False)
    expression = serializers.CharField(
        required=False, help_text="of a rule: `viewport <= 375 => require overflow-x-auto`"
    )
    source = serializers.CharField(  # type: ignore[assignment]  # a name of DRF's too
        required=False, help_text="who observed it, such as vision"
    )
    entailment = serializers.FloatField(required=False, help_text="0–1; below 0.5 is dropped")
    evidence = CitedSerializer(many=True, required=False)


class ScoreSerializer(Shape):
    pair = serializers.CharField(help_text="SHA-256 of the pair, hexadecimal")
    value = serializers.FloatField(help_text="0–1")
    event = serializers.UUIDField(required=False, help_text="of the episode; cited with a report")
    report = serializers.UUIDField(
        required=False, help_text="of a precise grader, on the event's branch, at it or later"
    )
    sees = serializers.ChoiceField(
        VERDICTS, required=False, help_text="the verdict by which that report agrees; pass if none"
    )


class ScoresSerializer(Shape):
    project = serializers.CharField(required=False, help_text="slug or id")
    scores = ScoreSerializer(many=True)


class PushedScoreSerializer(Shape):
    pair = serializers.CharField(help_text="SHA-256 of the pair, hexadecimal")
    value = serializers.FloatField()
    precise = serializers.BooleanField(help_text="a precise grader's report agrees")


class PushedScoresSerializer(Shape):
    scores = PushedScoreSerializer(many=True)


class RetrievalSerializer(Shape):
    count = serializers.IntegerField()
    last = serializers.DateTimeField(allow_null=True)
    strength = serializers.FloatField(help_text="fades with disuse; says nothing about truth")


class RecordSerializer(Shape):
    record = serializers.UUIDField()
    project = serializers.UUIDField()
    label = serializers.CharField()  # type: ignore[assignment]  # a name of DRF's too
    number = serializers.IntegerField()
    kind = serializers.ChoiceField(KINDS)
    version = serializers.IntegerField()
    scope = serializers.CharField()
    tier = serializers.ChoiceField([one.value for one in Tier])
    text = serializers.CharField()
    subject = serializers.CharField()
    predicate = serializers.CharField()
    object = serializers.CharField()
    subj_pred_key = serializers.CharField()
    entities = serializers.ListField(child=serializers.CharField())
    relations = serializers.ListField()
    expression = serializers.CharField(help_text="of a design rule, in its canonical spelling")
    details = serializers.DictField(
        help_text="of a skill: name, license, compatibility, metadata, allowed_tools, files"
    )
    item_type = serializers.ChoiceField([one.value for one in ItemType])
    content_digest = serializers.CharField(help_text="SHA-256, hexadecimal")
    trust = serializers.ChoiceField([one.value for one in Trust])
    standing = serializers.ChoiceField([one.value for one in Standing])
    supersedes = serializers.UUIDField(
        allow_null=True, help_text="the version that a person edited into this one"
    )
    held_for = serializers.ListField(help_text="why it waits for a person")
    suppressed_by = serializers.UUIDField(allow_null=True)
    grounding = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a name of DRF's too
    epistemic_confidence = serializers.FloatField(help_text="moves on evidence alone")
    suite_digest = serializers.CharField(
        allow_null=True, help_text="of the frozen suite that it was verified on"
    )
    seal = serializers.DictField(
        allow_null=True,
        help_text="of a promoted skill: key and signature (Ed25519, hex), by, at; "
        "memory/skills/key tells how to verify it",
    )
    support_count = serializers.IntegerField(help_text="independent runs")
    contradiction_count = serializers.IntegerField()
    retrieval = RetrievalSerializer()
    by = WhoSerializer()
    created_at = serializers.DateTimeField()
    asserted_at = serializers.DateTimeField()


class ProvenanceSerializer(Shape):
    event = serializers.UUIDField()
    run = serializers.UUIDField()
    score = serializers.FloatField(allow_null=True)
    agrees = serializers.BooleanField()
    quote = serializers.CharField()
    corroborator = serializers.DictField()


class SourceSerializer(ProvenanceSerializer):
    branch = serializers.UUIDField()
    seq = serializers.IntegerField()
    source = serializers.CharField(  # type: ignore[assignment]  # a name of DRF's too
        help_text="who wrote the event"
    )
    by = serializers.CharField(help_text="who cited it")
    at = serializers.DateTimeField(help_text="when it was cited")


class RejectedSerializer(Shape):
    value = serializers.CharField(help_text="folded: one case, single spaces")
    reason = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()


class EvaluationSerializer(Shape):
    verdict = serializers.ChoiceField(VERDICTS)
    policy_version = serializers.IntegerField()
    at = serializers.DateTimeField()
    suite = serializers.CharField(help_text="name of the frozen suite")
    grader = serializers.CharField()
    receipt = serializers.CharField(help_text="how the runner's receipt stands")
    runner = serializers.CharField()
    related = serializers.BooleanField(help_text="of a run that speaks for the record")
    fault = serializers.CharField(help_text="why it counts no more; empty while it does")


class NeedSerializer(Shape):
    name = serializers.CharField()
    record = serializers.UUIDField(allow_null=True, help_text="what is live under that name")


class SkillStandingSerializer(Shape):
    trigger = serializers.CharField(
        help_text="when to take it up: metadata.trigger, or the description"
    )
    deps = NeedSerializer(many=True, help_text="of metadata.deps, apart by spaces or commas")
    runs = serializers.IntegerField(
        help_text="that took this version up, by a call of a tool such as Skill with its name"
    )
    decided = serializers.IntegerField(help_text="of these, ended in a verdict")
    succeeded = serializers.IntegerField(help_text="of these, merged by an open gate")
    success_rate = serializers.FloatField(allow_null=True, help_text="succeeded of decided")
    last_used = serializers.DateTimeField(allow_null=True)
    seal_holds = serializers.BooleanField(help_text="with this installation's key, as it is now")


class RecordDetailSerializer(RecordSerializer):
    provenance = SourceSerializer(many=True)
    rejected_values = RejectedSerializer(many=True, help_text="under its key, for ever")
    evaluation = EvaluationSerializer(allow_null=True, help_text="the last that backed it")
    skill = SkillStandingSerializer(allow_null=True, help_text="null of what is no skill")


class SigningKeySerializer(Shape):
    algorithm = serializers.CharField()
    key = serializers.CharField(help_text="public key, hexadecimal")


class ActionSerializer(Shape):
    tool = serializers.CharField(help_text="empty of the end of a run")
    args_digest = serializers.CharField(help_text="SHA-256 of the arguments; empty without any")
    skill = serializers.CharField(help_text="that the step took up; mostly empty")


class SeenIssueSerializer(Shape):
    fingerprint = serializers.CharField()
    grader = serializers.CharField()
    kind = serializers.CharField()
    severity = serializers.CharField()
    message = serializers.CharField()
    locator = serializers.CharField()


class ObservationSerializer(Shape):
    says = serializers.CharField(help_text="the beginning of what was observed")
    signature = serializers.CharField(help_text="of what went wrong; empty where nothing did")
    verdict = serializers.ChoiceField(
        VERDICTS, allow_null=True, help_text="the worst that a grader said in it; null if none did"
    )
    issues = SeenIssueSerializer(many=True)


class SalienceSerializer(Shape):
    kept = serializers.BooleanField()
    hard = serializers.BooleanField(help_text="for its surprise, or a fault never seen before")
    score = serializers.FloatField(allow_null=True, help_text="0 to 1; null where it was dropped")
    consolidation = serializers.IntegerField(help_text="number of the one that weighed it")


class EpisodeSerializer(Shape):
    event = serializers.UUIDField(help_text="that ended the step; the byte-exact source")
    position = serializers.IntegerField()
    project = serializers.UUIDField()
    run = serializers.UUIDField()
    branch = serializers.UUIDField()
    seq = serializers.IntegerField()
    agent = serializers.CharField()
    goal = serializers.CharField()
    action = ActionSerializer()
    observation = ObservationSerializer()
    outcome = serializers.ChoiceField(
        OUTCOMES, help_text="done is its agent's word; the verdict is the graders'"
    )
    salience = SalienceSerializer(allow_null=True, help_text="null until it was weighed")
    surprise = serializers.FloatField(help_text="nats")
    tokens = serializers.IntegerField(help_text="output tokens told since the step before")
    at = serializers.DateTimeField()


class EpisodeListSerializer(Shape):
    results = EpisodeSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class RecordListSerializer(Shape):
    results = RecordSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class SuspicionSerializer(Shape):
    code = serializers.CharField()
    says = serializers.CharField()


class ProposedSerializer(Shape):
    became = serializers.ChoiceField([one.value for one in Became])
    suspicions = SuspicionSerializer(many=True)
    record = RecordSerializer()


class PromotionAskSerializer(Shape):
    record = serializers.UUIDField()
    gate_decision = serializers.UUIDField(
        required=False, help_text="of an evaluation that backs it"
    )


class PromotionSerializer(Shape):
    promotion = serializers.UUIDField()
    record = serializers.UUIDField()
    label = serializers.CharField()  # type: ignore[assignment]  # a name of DRF's too
    state = serializers.ChoiceField([one.value for one in RequestState])
    void_reason = serializers.CharField()
    content_digest = serializers.CharField()
    evidence_digest = serializers.CharField()
    evidence = ProvenanceSerializer(many=True)
    conflicts = serializers.ListField()
    gate = serializers.DictField()
    by = WhoSerializer()
    deferred_until = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class PromotionListSerializer(Shape):
    results = PromotionSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class EditSerializer(Shape):
    text = serializers.CharField(required=False)
    object = serializers.CharField(required=False)
    expression = serializers.CharField(required=False)


class DecideSerializer(Shape):
    answer = serializers.ChoiceField(ANSWERS)
    content_digest = serializers.CharField(help_text="of what was looked at")
    evidence_digest = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)
    into = serializers.UUIDField(required=False, help_text="for merge: the record that stays")
    scope = serializers.CharField(required=False, help_text="for promote and edit: its new scope")
    edit = EditSerializer(required=False)


class DecidedSerializer(Shape):
    record = serializers.UUIDField()
    answer = serializers.ChoiceField(ANSWERS)
    trust = serializers.ChoiceField([one.value for one in Trust])
    standing = serializers.ChoiceField([one.value for one in Standing])
    scope = serializers.CharField()
    other = serializers.UUIDField(allow_null=True)
    by = serializers.CharField()
    reason = serializers.CharField()
    at = serializers.DateTimeField()


class PickedSerializer(Shape):
    record = serializers.UUIDField()
    content_digest = serializers.CharField()


class BulkSerializer(Shape):
    project = serializers.CharField(required=False, help_text="slug or id")
    answer = serializers.ChoiceField(
        [Answer.PROMOTE.value, Answer.DEMOTE.value, Answer.REJECT.value, Answer.BURY.value]
    )
    reason = serializers.CharField(required=False)
    records = PickedSerializer(many=True)


class BulkRowSerializer(Shape):
    record = serializers.UUIDField()
    decided = DecidedSerializer(allow_null=True)
    problem = serializers.DictField(allow_null=True)


class BulkDoneSerializer(Shape):
    results = BulkRowSerializer(many=True)


class EnteredSerializer(Shape):
    id = serializers.CharField(help_text="of the record, or of the event; role for the role")
    origin = serializers.ChoiceField([one.value for one in Origin])
    section = serializers.CharField()
    text = serializers.CharField()
    tokens = serializers.IntegerField()
    rank = serializers.FloatField()
    confidence = serializers.FloatField()
    strength = serializers.FloatField()
    relevance = serializers.FloatField(help_text="how well it fits the goal")


class LeftOutSerializer(Shape):
    id = serializers.CharField()
    origin = serializers.ChoiceField([one.value for one in Origin])
    reason = serializers.ChoiceField([one.value for one in Left])
    by = serializers.CharField(required=False, help_text="the line that took its place")
    text = serializers.CharField(required=False, help_text="of a percept or an episode")
    standing = serializers.CharField(required=False)
    scope = serializers.CharField(required=False)
    rank = serializers.FloatField(required=False)
    likeness = serializers.FloatField(required=False, help_text="to the line that took its place")
    tokens = serializers.IntegerField(required=False)
    room = serializers.IntegerField(required=False, help_text="tokens that were left for it")
    says = serializers.CharField(required=False, help_text="what is suspicious about it")


class AskedSerializer(Shape):
    source = serializers.CharField(  # type: ignore[assignment]  # a name of DRF's too
        help_text="words, meaning, or the rented store's name"
    )
    found = serializers.IntegerField(help_text="of those that it named, how many may enter")
    fault = serializers.CharField(required=False, help_text="why it could not be asked")


class AssemblySerializer(Shape):
    context = serializers.UUIDField()  # type: ignore[assignment]  # a name of DRF's too
    project = serializers.UUIDField()
    role = serializers.CharField()
    goal = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    tokens = serializers.IntegerField()
    policy = serializers.DictField()
    entered = EnteredSerializer(many=True)
    left_out = LeftOutSerializer(many=True)
    asked = AskedSerializer(many=True)
    branch = serializers.UUIDField(allow_null=True)
    trial = serializers.BooleanField(help_text="a person's look, which counts as no retrieval")
    notes = serializers.ListField(
        child=serializers.CharField(),
        help_text="why it is empty, or was assembled without a source",
    )
    text = serializers.CharField()
    created_at = serializers.DateTimeField()


class IntentionRequestSerializer(Shape):
    project = serializers.CharField(required=False, help_text="slug or id")
    cue = serializers.CharField(help_text='a condition: `type == "data.tool.result"`')
    action = serializers.DictField(help_text="what is to be done; handed to the worker as it is")
    idempotency_key = serializers.CharField()
    ttl_seconds = serializers.IntegerField()
    scope = serializers.CharField(required=False)


class FireSerializer(Shape):
    event = serializers.UUIDField(help_text="that met the cue")
    met_at = serializers.DateTimeField()
    worker = serializers.CharField(help_text="who claimed it last; empty if nobody did")
    epoch = serializers.IntegerField(help_text="how often it was claimed")
    claimed_until = serializers.DateTimeField(allow_null=True)
    fired_at = serializers.DateTimeField(allow_null=True, help_text="when it was reported")


class IntentionSerializer(Shape):
    intention = serializers.UUIDField()
    project = serializers.UUIDField()
    number = serializers.IntegerField()
    scope = serializers.CharField()
    cue = serializers.CharField()
    action = serializers.DictField()
    idempotency_key = serializers.CharField()
    state = serializers.ChoiceField([one.value for one in IntentionState])
    ttl_seconds = serializers.IntegerField()
    expires_at = serializers.DateTimeField()
    fire = FireSerializer(allow_null=True, help_text="null until an event meets the cue")
    by = WhoSerializer()
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)


class IntentionListSerializer(Shape):
    results = IntentionSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class IntentionClaimSerializer(Shape):
    project = serializers.CharField(required=False, help_text="slug or id")
    worker = serializers.CharField()
    seconds = serializers.IntegerField()


class DueSerializer(Shape):
    intention = IntentionSerializer()
    event = serializers.UUIDField(help_text="that met the cue")
    epoch = serializers.IntegerField(help_text="of the claim; report it back")
    claimed_until = serializers.DateTimeField()


class FiredSerializer(Shape):
    epoch = serializers.IntegerField()


class ConsolidationOrderSerializer(Shape):
    project = serializers.CharField(required=False, help_text="slug or id")


class ConsolidationSerializer(Shape):
    consolidation = serializers.UUIDField()
    project = serializers.UUIDField()
    number = serializers.IntegerField()
    trigger = serializers.ChoiceField([one.value for one in Trigger])
    state = serializers.ChoiceField([one.value for one in JobState])
    step = serializers.ChoiceField([one.value for one in Step])
    done = serializers.IntegerField(help_text="rows of the step")
    total = serializers.IntegerField(help_text="rows of the step, when it began")
    after_position = serializers.IntegerField()
    upto_position = serializers.IntegerField()
    counts = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="episodes, salient, candidates, entailed, merged, written, and what became of them",
    )
    drop_rate = serializers.FloatField(allow_null=True, help_text="measured; null of no episode")
    fault = serializers.CharField()
    by = WhoSerializer()
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)


class ConsolidationListSerializer(Shape):
    results = ConsolidationSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)

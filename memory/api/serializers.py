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
    expression = serializers.CharField()
    details = serializers.DictField()
    item_type = serializers.ChoiceField([one.value for one in ItemType])
    content_digest = serializers.CharField(help_text="SHA-256, hexadecimal")
    trust = serializers.ChoiceField([one.value for one in Trust])
    standing = serializers.ChoiceField([one.value for one in Standing])
    held_for = serializers.ListField(help_text="why it waits for a person")
    suppressed_by = serializers.UUIDField(allow_null=True)
    grounding = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a name of DRF's too
    epistemic_confidence = serializers.FloatField(help_text="moves on evidence alone")
    seal = serializers.DictField(
        allow_null=True,
        help_text="of a promoted skill: key and signature (Ed25519, hex), by, at",
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


class RecordDetailSerializer(RecordSerializer):
    provenance = ProvenanceSerializer(many=True)


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

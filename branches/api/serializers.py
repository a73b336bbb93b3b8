"""The shapes of requests and answers, for the OpenAPI schema.

They describe; they do not validate. Bodies are read by `kit.bodies` and `intake.batches`, which
coerce nothing and point at the field, and answers are built by `answers`. A test holds both sides
together.
"""

from typing import Any

from rest_framework import serializers

from branches.domain.terms import Answer, DirectiveKind, Status


class Shape(serializers.Serializer[Any]):
    """An object with named fields."""


class HeadSerializer(Shape):
    seq = serializers.IntegerField(help_text="within the branch's own suffix")
    digest = serializers.CharField(help_text="SHA-256, hexadecimal")


class CountsSerializer(Shape):
    events = serializers.IntegerField(help_text="of the branch's own suffix")
    lineage = serializers.IntegerField(help_text="from the root on")
    tokens = serializers.IntegerField()


class RunCountsSerializer(Shape):
    branches = serializers.IntegerField()
    events = serializers.IntegerField()
    tokens = serializers.IntegerField()


class RunStartSerializer(Shape):
    goal = serializers.CharField()
    run = serializers.UUIDField(required=False, help_text="the client's own id for the run")
    spec = serializers.DictField(
        required=False, help_text="may carry agent, model and tools (OpenAI tool objects)"
    )
    metadata = serializers.DictField(required=False)


class RunStartedSerializer(Shape):
    run = serializers.UUIDField()
    branch = serializers.UUIDField(help_text="the trunk")
    number = serializers.IntegerField()
    head = HeadSerializer()


class RunSerializer(Shape):
    run = serializers.UUIDField()
    project = serializers.UUIDField()
    number = serializers.IntegerField()
    goal = serializers.CharField()
    agent = serializers.CharField()
    model = serializers.CharField()
    origin = serializers.CharField()
    metadata = serializers.DictField()
    counts = RunCountsSerializer()
    created_at = serializers.DateTimeField()
    touched_at = serializers.DateTimeField()


class RunDetailSerializer(RunSerializer):
    spec = serializers.DictField()


class RunPageSerializer(Shape):
    results = RunSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class NodeSerializer(Shape):
    branch = serializers.UUIDField()
    number = serializers.IntegerField()
    name = serializers.CharField()
    parent = serializers.UUIDField(allow_null=True)  # type: ignore[assignment]
    fork_seq = serializers.IntegerField(allow_null=True)
    base = serializers.IntegerField(help_text="the lineage's events before the suffix")
    status = serializers.ChoiceField([status.value for status in Status])
    head = HeadSerializer()
    counts = CountsSerializer()


class TreeSerializer(Shape):
    run = serializers.UUIDField()
    branches = NodeSerializer(many=True, help_text="parents before their children")


class HeldSerializer(Shape):
    epoch = serializers.IntegerField()
    worker = serializers.CharField()
    expires_at = serializers.DateTimeField()


class BranchSerializer(NodeSerializer):
    run = serializers.UUIDField()
    project = serializers.UUIDField()
    override = serializers.CharField()
    note = serializers.CharField()
    forked_by = serializers.CharField()
    cached_prefix_id = serializers.CharField()
    claimable = serializers.BooleanField()
    lease = HeldSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    touched_at = serializers.DateTimeField()


class ReasonSerializer(Shape):
    reason = serializers.CharField(required=False)


class CompletionSerializer(ReasonSerializer):
    lease_epoch = serializers.IntegerField(required=False, min_value=0)


class SentEventSerializer(Shape):
    event_id = serializers.UUIDField(help_text="the client's; unique for ever in a project")
    branch = serializers.UUIDField(required=False)
    type = serializers.CharField(help_text="starts with harness. or data.")
    source = serializers.CharField()  # type: ignore[assignment]
    ts = serializers.DateTimeField(help_text="ISO 8601 with an offset")
    task_id = serializers.UUIDField(required=False, allow_null=True)
    parent_id = serializers.UUIDField(required=False, allow_null=True)
    payload = serializers.DictField()
    schema_version = serializers.IntegerField(required=False)


class BatchSerializer(Shape):
    events = SentEventSerializer(many=True)
    expected_seq = serializers.IntegerField(required=False)
    lease_epoch = serializers.IntegerField(required=False)


class ReceiptSerializer(Shape):
    event_id = serializers.UUIDField()
    seq = serializers.IntegerField()
    position = serializers.IntegerField()
    digest = serializers.CharField()
    duplicate = serializers.BooleanField()


class AppendedSerializer(Shape):
    results = ReceiptSerializer(many=True)
    head = HeadSerializer()


class EventSerializer(Shape):
    event_id = serializers.UUIDField()
    branch = serializers.UUIDField()
    run = serializers.UUIDField()
    type = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    ts = serializers.DateTimeField()
    received_at = serializers.DateTimeField()
    task_id = serializers.UUIDField(allow_null=True)
    parent_id = serializers.UUIDField(allow_null=True)
    payload = serializers.DictField()
    schema_version = serializers.IntegerField()
    seq = serializers.IntegerField()
    position = serializers.IntegerField()
    digest = serializers.CharField()
    seal = serializers.CharField()


class EventPageSerializer(Shape):
    results = EventSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class SnippetPieceSerializer(Shape):
    text = serializers.CharField(trim_whitespace=False)
    hit = serializers.BooleanField(help_text="whether this piece matched")


class HitSerializer(Shape):
    event_id = serializers.UUIDField()
    run = serializers.UUIDField()
    branch = serializers.UUIDField()
    seq = serializers.IntegerField()
    position = serializers.IntegerField()
    type = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    ts = serializers.DateTimeField()
    snippet = SnippetPieceSerializer(many=True)


class IndexSerializer(Shape):
    position = serializers.IntegerField(help_text="the last event that the index has seen")
    upto = serializers.DateTimeField(allow_null=True, help_text="when that one was received")
    compared = serializers.IntegerField(help_text="newer events that were compared directly")
    complete = serializers.BooleanField(help_text="false: some newer events were not looked at")
    cut = serializers.IntegerField(help_text="events that the index could not hold whole")


class SearchPageSerializer(Shape):
    results = HitSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)
    notes = serializers.ListField(child=serializers.CharField())
    index = IndexSerializer()


class ForkRequestSerializer(Shape):
    fork_seq = serializers.IntegerField(help_text="the parent's event to fork after")
    override = serializers.CharField(required=False)
    note = serializers.CharField(required=False, help_text="required without an override")
    name = serializers.CharField(required=False)
    claimable = serializers.BooleanField(required=False)


class TypedSerializer(Shape):
    kind = serializers.CharField(help_text="json, quantity or text")
    value = serializers.JSONField()
    unit = serializers.CharField(required=False)


class PatchSerializer(Shape):
    name = serializers.CharField()
    value = serializers.CharField()
    typed = TypedSerializer()
    line = serializers.IntegerField()


class UnreadSerializer(Shape):
    line = serializers.IntegerField()
    text = serializers.CharField()


class ForkSerializer(Shape):
    branch = serializers.UUIDField()
    run = serializers.UUIDField()
    parent = serializers.UUIDField()  # type: ignore[assignment]
    fork_seq = serializers.IntegerField()
    patches = PatchSerializer(many=True)
    unread = UnreadSerializer(many=True, help_text="lines that are no patch")
    cached_prefix_id = serializers.CharField()
    cache_key = serializers.CharField()
    head = HeadSerializer()


class CachePointSerializer(Shape):
    message = serializers.IntegerField()
    block = serializers.IntegerField()


class ContextSerializer(Shape):
    format = serializers.CharField(help_text="openai, anthropic or events")
    run = serializers.UUIDField()
    branch = serializers.UUIDField()
    messages = serializers.ListField(child=serializers.DictField())
    system = serializers.ListField(child=serializers.DictField(), required=False)
    tools = serializers.ListField(child=serializers.JSONField())
    variables = serializers.DictField()
    approx_tokens = serializers.IntegerField()
    cached_prefix_id = serializers.CharField()
    cache_key = serializers.CharField()
    breakpoints = serializers.ListField(
        child=serializers.IntegerField(), help_text="the messages of the cache points"
    )
    cache_points = CachePointSerializer(
        many=True, required=False, help_text="format anthropic: where a cache_control belongs"
    )
    head = HeadSerializer()


class ClaimRequestSerializer(Shape):
    project = serializers.CharField(help_text="slug or id")
    worker = serializers.CharField()
    seconds = serializers.IntegerField(required=False)
    format = serializers.CharField(required=False)


class LeaseSerializer(Shape):
    epoch = serializers.IntegerField()
    expires_at = serializers.DateTimeField()


class LeasedSerializer(Shape):
    branch = serializers.UUIDField()
    lease = LeaseSerializer()


class ClaimedSerializer(LeasedSerializer):
    context = ContextSerializer()  # type: ignore[assignment]


class HeartbeatSerializer(Shape):
    epoch = serializers.IntegerField()
    seconds = serializers.IntegerField(required=False)


class DirectiveSerializer(Shape):
    id = serializers.IntegerField()
    kind = serializers.CharField(help_text=", ".join(DirectiveKind))
    branch = serializers.UUIDField()
    body = serializers.DictField()
    created_at = serializers.DateTimeField()


class DirectivePageSerializer(Shape):
    results = DirectiveSerializer(many=True)
    next = serializers.IntegerField(help_text="pass it as `after` to acknowledge these")


class ApprovalSerializer(Shape):
    id = serializers.UUIDField()
    project = serializers.UUIDField()
    run = serializers.UUIDField()
    branch = serializers.UUIDField()
    action = serializers.CharField()
    args = serializers.JSONField()
    allow = serializers.ListField(child=serializers.CharField())
    description = serializers.CharField()
    request_seq = serializers.IntegerField()
    request_digest = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    answer = serializers.CharField(allow_null=True)
    answer_args = serializers.DictField(allow_null=True)
    answer_text = serializers.CharField()
    answered_by = serializers.CharField()
    answered_at = serializers.DateTimeField(allow_null=True)


class ApprovalPageSerializer(Shape):
    results = ApprovalSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class AnswerSerializer(Shape):
    answer = serializers.ChoiceField([answer.value for answer in Answer])
    args = serializers.DictField(required=False)
    text = serializers.CharField(required=False)
    request_digest = serializers.CharField(help_text="of the request that you looked at")

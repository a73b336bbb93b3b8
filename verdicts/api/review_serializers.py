"""Shapes of what concerns reviewers together: agreement, contests, rules that propose pairs."""

from rest_framework import serializers

from verdicts.api.serializers import Shape


class EstimateSerializer(Shape):
    pairs = serializers.IntegerField(help_text="how many pairs it is a figure of")
    value = serializers.FloatField(allow_null=True, help_text="null: undefined")
    low = serializers.FloatField(allow_null=True, help_text="of the 95 % interval")
    high = serializers.FloatField(allow_null=True, help_text="null: too few pairs")


class AgreementQuestionSerializer(Shape):
    name = serializers.CharField(help_text="overall, or a name of the rubric")
    percent = EstimateSerializer(help_text="from 0 to 1")
    kappa = EstimateSerializer(allow_null=True, help_text="Cohen's; where two people answered")
    alpha = EstimateSerializer(help_text="Krippendorff's")


class RaterSerializer(Shape):
    id = serializers.CharField(help_text="of a user, or a grader's name")
    name = serializers.CharField()
    percent = EstimateSerializer()
    kappa = EstimateSerializer()
    weakest = serializers.CharField(allow_null=True, help_text="the question least agreed on")


class CoupleSerializer(Shape):
    reviewers = serializers.ListField(child=serializers.CharField())
    percent = EstimateSerializer()
    kappa = EstimateSerializer()


class AgreementSerializer(Shape):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    labels = serializers.IntegerField()
    capped = serializers.BooleanField(help_text="there are more, older ones")
    pairs = serializers.IntegerField()
    shared = serializers.IntegerField(help_text="judged by two reviewers or more")
    disputed = serializers.IntegerField()
    adjudicated = serializers.IntegerField()
    questions = AgreementQuestionSerializer(many=True)
    reviewers = RaterSerializer(many=True, help_text="each against what the others agree on")
    graders = RaterSerializer(many=True, help_text="each against what people agree on")
    couples = CoupleSerializer(many=True)


class PairRulesRequestSerializer(Shape):
    on_finished = serializers.BooleanField(
        required=False, help_text="propose what a finished branch makes a pair with"
    )
    sample_percent = serializers.IntegerField(
        required=False, help_text="of those, so many in a hundred; drawn by the heads' digests"
    )
    on_disputed = serializers.BooleanField(
        required=False, help_text="propose pairs over which graders disagree"
    )
    reviewers = serializers.IntegerField(required=False, help_text="of each proposed pair")
    overlap_percent = serializers.IntegerField(
        required=False, help_text="so many in a hundred go to one reviewer more"
    )
    reason = serializers.CharField(required=False)


class PairRulesSerializer(Shape):
    version = serializers.IntegerField()
    on_finished = serializers.BooleanField()
    sample_percent = serializers.IntegerField()
    on_disputed = serializers.BooleanField()
    reviewers = serializers.IntegerField()
    overlap_percent = serializers.IntegerField()


class ContestRequestSerializer(Shape):
    branches = serializers.ListField(child=serializers.UUIDField())
    reviewers = serializers.IntegerField(required=False, help_text="of each round; 1")


class ContestRoundSerializer(Shape):
    champion = serializers.UUIDField()
    challenger = serializers.UUIDField()
    won = serializers.CharField(help_text="a branch, or equal or both_bad")


class ContestSerializer(Shape):
    contest = serializers.UUIDField()
    run = serializers.UUIDField()
    state = serializers.ChoiceField(["open", "done"])
    contenders = serializers.IntegerField()
    rounds_decided = serializers.IntegerField()
    current = serializers.UUIDField(allow_null=True, help_text="the comparison that waits")
    winner = serializers.UUIDField(allow_null=True)
    losers = serializers.ListField(child=serializers.UUIDField())
    merge = serializers.UUIDField(allow_null=True)
    rounds = ContestRoundSerializer(many=True, help_text="empty while it is open")

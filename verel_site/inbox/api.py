"""The inbox over HTTP: what waits, seats, answers and what is said beside them."""

from typing import Any
from uuid import UUID

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from verel_site.access.endpoints import PAGING_PARAMETERS, Endpoint, documented, query_parameter
from verel_site.access.projects import get_project
from verel_site.inbox.claims import (
    Wanted,
    claim_item,
    claim_next,
    heartbeat_claim,
    keep_draft,
    read_draft,
    release_claim,
    requeue_item,
    skip_item,
)
from verel_site.inbox.decisions import decide_item, undo_decision
from verel_site.inbox.items import MAX_COMMENT, assign_item, comment_item, read_item
from verel_site.inbox.listings import (
    claim_json,
    decision_json,
    item_json,
    list_items,
    seat_json,
)
from verel_site.kit.bodies import Body
from verel_site.kit.cursors import read_page
from verel_site.kit.refusals import BadInput

STATES = ("open", "done", "closed", "all")
MAX_PASSING = 200
MAX_REASON = 4_000


class Shape(serializers.Serializer[Any]):
    """An object with named fields."""


class ItemSerializer(Shape):
    item = serializers.UUIDField()
    project = serializers.UUIDField()
    kind = serializers.CharField(help_text="approval, comparison, adjudication, escalation …")
    subject = serializers.UUIDField(help_text="the row that is to be decided")
    digest = serializers.CharField(help_text="hexadecimal; what an answer is bound to")
    title = serializers.CharField()
    about = serializers.CharField(allow_blank=True)
    flag = serializers.CharField(allow_blank=True)
    required = serializers.IntegerField(  # type: ignore[assignment]  # an attribute of fields too
        help_text="how many answers it takes"
    )
    scored = serializers.IntegerField(help_text="how many it has")
    priority = serializers.IntegerField()
    state = serializers.CharField(help_text="open, done or closed")
    closed_because = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)


class SeatSerializer(Shape):
    free = serializers.IntegerField()
    held = serializers.IntegerField(help_text="live claims of others")
    frees_at = serializers.DateTimeField(allow_null=True)


class ItemDetailSerializer(ItemSerializer):
    seat = SeatSerializer()
    draft = serializers.DictField()


class ItemPageSerializer(Shape):
    results = ItemSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class ClaimSerializer(Shape):
    item = serializers.UUIDField()
    claim = serializers.UUIDField(help_text="the token; an answer shows it")
    expires_at = serializers.DateTimeField()


class TokenSerializer(Shape):
    claim = serializers.UUIDField()


class NextSerializer(Shape):
    project = serializers.CharField(required=False, help_text="slug or id")
    kinds = serializers.ListField(child=serializers.CharField(), required=False)
    passing = serializers.ListField(
        child=serializers.UUIDField(), required=False, help_text="items to leave out"
    )


class AnswerItemSerializer(Shape):
    answer = serializers.CharField()
    digest = serializers.CharField(help_text="the item's, as it was looked at")
    claim = serializers.UUIDField(required=False)
    fields_ = serializers.DictField(required=False, help_text="what the kind takes beside it")

    def get_fields(self) -> dict[str, Any]:
        found = super().get_fields()
        found["fields"] = found.pop("fields_")
        return found


class DecisionSerializer(Shape):
    decision = serializers.UUIDField()
    item = serializers.UUIDField()
    answer = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    digest = serializers.CharField(allow_blank=True)
    counted = serializers.BooleanField(help_text="took one of the item's seats")
    result = serializers.DictField()
    created_at = serializers.DateTimeField()
    undone_at = serializers.DateTimeField(allow_null=True)


class DraftSerializer(Shape):
    draft = serializers.DictField()


class CommentSerializer(Shape):
    text = serializers.CharField()


class AssignSerializer(Shape):
    assignee = serializers.IntegerField(allow_null=True, help_text="a user's id; null: everybody")


class UndoSerializer(Shape):
    reason = serializers.CharField(required=False, help_text="needed once 10 seconds are over")


class Inbox(Endpoint):
    # Named here: the item's own address would be given the same name.
    @extend_schema(operation_id="inbox_list")
    @documented(
        answers={200: ItemPageSerializer},
        parameters=[
            *PAGING_PARAMETERS,
            query_parameter("project", "slug or id"),
            query_parameter("kind", "one kind alone"),
            query_parameter("state", f"one of {', '.join(STATES)}; open by default"),
            query_parameter("q", "words of title and note"),
        ],
    )
    def get(self, request: Request) -> Response:
        """What waits for whoever asks, by the kinds that they may decide; the oldest first."""
        query = request.query_params
        named, kind = query.get("project"), query.get("kind")
        state = query.get("state", "open")
        if state not in STATES:
            raise BadInput(f"state is one of {', '.join(STATES)}.", parameter="state")
        page = list_items(
            actor=self.actor,
            wanted=Wanted(
                project_id=get_project(actor=self.actor, slug=named).pk if named else None,
                kinds=(kind,) if kind else (),
                text=query.get("q", ""),
            ),
            state=state,
            after=query.get("after", ""),
            limit=read_page({"limit": query.get("limit", "")})[1],
        )
        return Response({"results": [item_json(item) for item in page.items], "next": page.next})


class NextItem(Endpoint):
    @documented(body=NextSerializer, answers={200: ClaimSerializer, 204: None})
    def post(self, request: Request) -> Response:
        """A seat at the next item that has one free; 204 where nothing is."""
        body = Body(request.data, fields=("project", "kinds", "passing"))
        named = body.text("project", longest=64, default="")
        claim = claim_next(
            actor=self.actor,
            wanted=Wanted(
                project_id=get_project(actor=self.actor, slug=named).pk if named else None,
                kinds=tuple(str(kind) for kind in body.listed("kinds")),
            ),
            passing=body.uuids("passing", most=MAX_PASSING) if body.has("passing") else (),
        )
        return Response(status=204) if claim is None else Response(claim_json(claim))


class ItemDetail(Endpoint):
    @documented(answers={200: ItemDetailSerializer})
    def get(self, request: Request, item: UUID) -> Response:
        """An item, its seats, and the draft that whoever asks has left at it."""
        found = read_item(actor=self.actor, item_id=item)
        draft = read_draft(item, self.actor.user_id) if self.actor.user_id else {}
        return Response({**item_json(found), "seat": seat_json(found, self.actor), "draft": draft})


class ItemClaim(Endpoint):
    @documented(answers={200: ClaimSerializer}, writes=True)
    def post(self, request: Request, item: UUID) -> Response:
        """A seat at this item; 409 with the time at which one frees where others hold all."""
        return Response(claim_json(claim_item(item_id=item, actor=self.actor)))


class ItemHeartbeat(Endpoint):
    @documented(body=TokenSerializer, answers={200: ClaimSerializer})
    def post(self, request: Request, item: UUID) -> Response:
        """The claim's time starts anew; 409 where it lapsed and others took its seat."""
        read_item(actor=self.actor, item_id=item)
        token = Body(request.data, fields=("claim",)).uuid("claim")
        return Response(claim_json(heartbeat_claim(item_id=item, actor=self.actor, token=token)))


class ItemRelease(Endpoint):
    @documented(body=TokenSerializer, answers={204: None})
    def post(self, request: Request, item: UUID) -> Response:
        """Gives the seat back. What was filled in is kept."""
        read_item(actor=self.actor, item_id=item)
        token = Body(request.data, fields=("claim",)).uuid("claim")
        release_claim(item_id=item, actor=self.actor, token=token)
        return Response(status=204)


class ItemSkip(Endpoint):
    @documented(answers={204: None}, writes=True)
    def post(self, request: Request, item: UUID) -> Response:
        """Not for whoever asks, until they requeue it."""
        skip_item(item_id=item, actor=self.actor)
        return Response(status=204)


class ItemRequeue(Endpoint):
    @documented(answers={204: None}, writes=True)
    def post(self, request: Request, item: UUID) -> Response:
        """Takes a skip back."""
        requeue_item(item_id=item, actor=self.actor)
        return Response(status=204)


class ItemDraft(Endpoint):
    @documented(body=DraftSerializer, answers={204: None})
    def put(self, request: Request, item: UUID) -> Response:
        """Keeps what is filled in; it outlives the claim."""
        read_item(actor=self.actor, item_id=item)
        body = Body(request.data, fields=("draft",))
        keep_draft(item_id=item, actor=self.actor, body=body.object("draft"))
        return Response(status=204)


class ItemDecide(Endpoint):
    @documented(body=AnswerItemSerializer, answers={200: DecisionSerializer})
    def post(self, request: Request, item: UUID) -> Response:
        """One person's answer, bound to the digest that they looked at. Without a claim a free seat
        is taken with it; with one that was lost it is a 409, and a draft is kept."""
        read_item(actor=self.actor, item_id=item)
        body = Body(request.data, fields=("answer", "digest", "claim", "fields"))
        decision = decide_item(
            item_id=item,
            actor=self.actor,
            answer=body.text("answer", longest=32),
            digest=body.text("digest", longest=64, default=""),
            fields=body.object("fields"),
            claim=body.uuid_or_none("claim"),
        )
        return Response(decision_json(decision))


class ItemComment(Endpoint):
    @documented(body=CommentSerializer, answers={204: None})
    def post(self, request: Request, item: UUID) -> Response:
        """Says something beside the item, to everybody who may see it."""
        read_item(actor=self.actor, item_id=item)
        text = Body(request.data, fields=("text",)).text("text", longest=MAX_COMMENT)
        comment_item(item_id=item, actor=self.actor, text=text)
        return Response(status=204)


class ItemAssign(Endpoint):
    @documented(body=AssignSerializer, answers={200: ItemSerializer})
    def post(self, request: Request, item: UUID) -> Response:
        """Offers the item to one person alone, or to everybody again."""
        read_item(actor=self.actor, item_id=item)
        body = Body(request.data, fields=("assignee",))
        assignee = body.whole("assignee", low=1) if body.has("assignee") else None
        return Response(item_json(assign_item(item_id=item, actor=self.actor, assignee=assignee)))


class DecisionUndo(Endpoint):
    @documented(body=UndoSerializer, answers={200: DecisionSerializer})
    def post(self, request: Request, decision: UUID) -> Response:
        """Takes an answer back; within 10 seconds without a reason."""
        body = Body(request.data, fields=("reason",))
        undone = undo_decision(
            decision_id=decision,
            actor=self.actor,
            reason=body.text("reason", longest=MAX_REASON, default=""),
        )
        return Response(decision_json(undone))


urlpatterns: list[URLPattern] = [
    path("inbox", Inbox.as_view()),
    path("inbox/next", NextItem.as_view()),
    path("inbox/<uuid:item>", ItemDetail.as_view()),
    path("inbox/<uuid:item>/claim", ItemClaim.as_view()),
    path("inbox/<uuid:item>/heartbeat", ItemHeartbeat.as_view()),
    path("inbox/<uuid:item>/release", ItemRelease.as_view()),
    path("inbox/<uuid:item>/skip", ItemSkip.as_view()),
    path("inbox/<uuid:item>/requeue", ItemRequeue.as_view()),
    path("inbox/<uuid:item>/draft", ItemDraft.as_view()),
    path("inbox/<uuid:item>/decide", ItemDecide.as_view()),
    path("inbox/<uuid:item>/comments", ItemComment.as_view()),
    path("inbox/<uuid:item>/assign", ItemAssign.as_view()),
    path("inbox/decisions/<uuid:decision>/undo", DecisionUndo.as_view()),
]

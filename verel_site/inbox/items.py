"""Posting what waits for people, and closing what waits no more."""

import unicodedata
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Membership
from verel_site.access.projects import lock_project
from verel_site.access.rights import RIGHTS_OF_ROLE, Role
from verel_site.audit.ledger import record_act
from verel_site.inbox.kinds import find_kind
from verel_site.inbox.models import Absence, Claim, Comment, Item
from verel_site.kit import strict_json
from verel_site.kit.refusals import Forbidden, NotFound, Refusal, Unprocessable

MAX_TITLE: Final = 300
MAX_COMMENT: Final = 20_000
# Control, format and surrogate characters.
HIDDEN: Final = frozenset(["Cc", "Cf", "Cs"])
OPEN: Final = Item.State.OPEN.value


class ItemClosed(Refusal):
    code = "item_closed"
    title = "It waits no more"


class BadComment(Unprocessable):
    code = "bad_comment"
    title = "The comment cannot be kept"


class BadAssignee(Unprocessable):
    code = "bad_assignee"
    title = "It cannot be assigned so"


@transaction.atomic
def post_item(
    *,
    project_id: UUID,
    kind: str,
    subject_id: UUID,
    subject_digest: bytes | str,
    title: str,
    about: str = "",
    flag: str = "",
    body: dict[str, Any] | None = None,
    required: int = 1,
    priority: int = 0,
    due_at: datetime | None = None,
    barred: Collection[int] = (),
    actor: Actor = SYSTEM,
) -> Item:
    """The item of (project, kind, subject, digest); the one that there is, if there is one.

    Call it in the transaction of what makes people needed. `about` and `flag` are what a list
    says beside the title; `body` is the kind's own; `barred` are the ids of users who may not
    judge it. Open items of the same subject at another digest are closed: it has moved on.
    """
    find_kind(kind)
    digest = subject_digest.hex() if isinstance(subject_digest, bytes) else subject_digest
    same = Item.objects.filter(project_id=project_id, kind=kind, subject=subject_id)
    item, made = Item.objects.get_or_create(
        project_id=project_id,
        kind=kind,
        subject=subject_id,
        digest=digest,
        defaults={
            "title": _fit(title) or kind,
            "about": _fit(about),
            "flag": _fit(flag)[:40],
            "body": body or {},
            "required": required,
            "priority": priority,
            "due_at": due_at,
            "posted_by": actor.name,
        },
    )
    if made:
        Absence.objects.bulk_create(
            Absence(item=item, reviewer_id=user_id, barred=True) for user_id in set(barred)
        )
        close_items(same.exclude(pk=item.pk), "It has moved on since; the newer one waits instead.")
    return item


def _fit(text: str) -> str:
    """One line of what may be anything, as long as the column is. It stands in titles of windows
    too, where nothing could make a control character visible: each gives way to a sign."""
    line = " ".join(text[: 4 * MAX_TITLE].split())
    line = "".join("\ufffd" if unicodedata.category(c) in HIDDEN else c for c in line)
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 1]}…"


def close_items(items: QuerySet[Item], because: str) -> int:
    """Call in a transaction. Closed items stay to be read, and hold nobody."""
    now = timezone.now()
    ids = list(items.filter(state=OPEN).order_by("pk").values_list("pk", flat=True))
    if not ids:
        return 0
    closed = Item.objects.filter(pk__in=ids, state=OPEN).update(
        state=Item.State.CLOSED, closed_at=now, touched_at=now, closed_because=because[:300]
    )
    Claim.objects.filter(item_id__in=ids).delete()
    return closed


@transaction.atomic
def close_item(*, project_id: UUID, kind: str, subject_id: UUID, because: str) -> bool:
    """The subject settled elsewhere: its open items wait no more. Drafts are kept."""
    same = Item.objects.filter(project_id=project_id, kind=kind, subject=subject_id)
    return close_items(same, because) > 0


@transaction.atomic
def reopen_item(*, project_id: UUID, kind: str, subject_id: UUID) -> bool:
    """The subject waits again as it was: the newest of its items that were closed without all their
    answers is open once more. What was answered fully, or is open, is left alone."""
    same = Item.objects.filter(project_id=project_id, kind=kind, subject=subject_id)
    item = same.order_by("-created_at").first()
    if item is None or item.state != Item.State.CLOSED:
        return False
    return (
        Item.objects.filter(pk=item.pk, state=Item.State.CLOSED.value).update(
            state=OPEN, closed_at=None, closed_because="", touched_at=timezone.now()
        )
        == 1
    )


def read_item(*, actor: Actor, item_id: UUID) -> Item:
    """Raises NotFound for what the actor may not see."""
    item = Item.objects.select_related("project", "assignee").filter(pk=item_id).first()
    if item is None or not actor.may(item.project_id, find_kind(item.kind).right):
        if item is None or item.project_id not in actor.projects:
            raise NotFound(f"There is no item {item_id} that you may see.")
        actor.demand(item.project_id, find_kind(item.kind).right)
    return item


def read_reviewer(actor: Actor) -> int:
    """The user id of the person who acts."""
    if actor.user_id is None:
        raise Forbidden("The inbox is answered by people: this needs a person behind it.")
    return actor.user_id


def touch_item(item_id: UUID) -> None:
    Item.objects.filter(pk=item_id).update(touched_at=timezone.now())


@transaction.atomic
def comment_item(*, item_id: UUID, actor: Actor, text: str) -> Comment:
    item = read_item(actor=actor, item_id=item_id)
    author = read_reviewer(actor)
    if not text.strip() or len(text) > MAX_COMMENT:
        raise BadComment(f"A comment has 1 to {MAX_COMMENT:,} characters.", pointer="/text")
    strict_json.check(text, at="/text")
    touch_item(item.pk)
    return Comment.objects.create(item=item, author_id=author, text=text.strip())


@transaction.atomic
def assign_item(*, item_id: UUID, actor: Actor, assignee: int | None) -> Item:
    """Offers the item to one person alone, or to everybody again (None)."""
    item = read_item(actor=actor, item_id=item_id)
    read_reviewer(actor)
    if assignee is not None:
        _check_assignee(item, assignee)
    lock_project(project_id=item.project_id)
    before = item.assignee_id
    if (
        Item.objects.filter(pk=item.pk, state=OPEN).update(
            assignee_id=assignee, touched_at=timezone.now()
        )
        != 1
    ):
        raise ItemClosed("It was answered, or settled elsewhere.")
    record_act(
        project_id=item.project_id,
        actor=actor,
        action="inbox.assign",
        subject=f"item:{item.pk}",
        before={"assignee": before},
        after={"assignee": assignee},
    )
    item.refresh_from_db()
    return item


def _check_assignee(item: Item, user_id: int) -> None:
    member = Membership.objects.filter(project_id=item.project_id, user_id=user_id).first()
    needed = find_kind(item.kind).right
    if member is None or needed not in RIGHTS_OF_ROLE[Role(member.role)]:
        raise BadAssignee("That person may not answer this kind of item.", pointer="/assignee")
    if Absence.objects.filter(item=item, reviewer_id=user_id, barred=True).exists():
        raise BadAssignee("That person is a party to it.", pointer="/assignee")

"""The inbox page as one value: the list beside the item, and everything around both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from verel_site.access.actors import Actor
from verel_site.access.models import Membership, Project
from verel_site.access.rights import RIGHTS_OF_ROLE, Role
from verel_site.inbox.claims import Wanted, read_draft
from verel_site.inbox.items import OPEN, read_item
from verel_site.inbox.kinds import Answer, Kind, all_kinds, find_kind
from verel_site.inbox.models import Claim, Comment, Decision, Item, SavedView
from verel_site.inbox.queues import (
    Counts,
    Hold,
    Look,
    Mark,
    frees_in,
    person_name,
    read_counts,
    read_groups,
    read_holds,
    read_today,
    tell_decision,
    tell_number,
)
from verel_site.inbox.seats import Filled, Free, find_seat
from verel_site.kit.cursors import moment_cursor, read_moment_cursor
from verel_site.kit.refusals import BadInput

VIEWS: Final = {
    "review": ("To review", "inbox"),
    "others": ("Needs others", "users"),
    "done": ("Done today", "check"),
    "skipped": ("Skipped", "skip-forward"),
}
DONE_ROWS: Final = 200
MAX_COMMENTS: Final = 100


@dataclass(frozen=True, slots=True)
class InboxQuery:
    """The filters of the page's address; what is unknown falls back to the first choice."""

    view: str = "review"
    kinds: tuple[str, ...] = ()
    project: str = ""
    text: str = ""
    mine: bool = False
    newest: bool = False
    after: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> "InboxQuery":
        view = query.get("view", "")
        known = [kind.name for kind in all_kinds()]
        return cls(
            view=view if view in VIEWS else "review",
            kinds=tuple(name for name in known if name in query.getlist("kind")),
            project=query.get("project", "")[:64],
            text=query.get("q", "").strip()[:200],
            mine=query.get("mine") == "1",
            newest=query.get("sort") == "newest",
            after=query.get("after", "")[:60],
        )

    def encode(self) -> str:
        """The query without what is the default."""
        pairs: list[tuple[str, str]] = [("view", self.view)] if self.view != "review" else []
        pairs += [("kind", kind) for kind in self.kinds]
        named = (("project", self.project), ("q", self.text), ("after", self.after))
        pairs += [(name, value) for name, value in named if value]
        pairs += [("mine", "1")] if self.mine else []
        pairs += [("sort", "newest")] if self.newest else []
        return urlencode(pairs)

    @property
    def suffix(self) -> str:
        encoded = self.encode()
        return f"?{encoded}" if encoded else ""

    def href(self, item: UUID | None = None) -> str:
        base = reverse("inbox-item", args=[item]) if item else reverse("inbox")
        return base + self.suffix

    def wanted(self, projects: list[Project]) -> Wanted:
        named = next((p.pk for p in projects if p.slug == self.project), None)
        return Wanted(project_id=named, kinds=self.kinds, mine=self.mine, text=self.text)


def read_cursor(text: str) -> tuple[datetime, UUID] | None:
    """None for what is no cursor: a page's address begins at the top then."""
    try:
        return read_moment_cursor(text)
    except BadInput:
        return None


@dataclass(frozen=True, slots=True)
class Row:
    item: Item
    href: str
    pane: str
    held_by: str = ""
    frees: str = ""
    mine: bool = False
    current: bool = False
    undo: UUID | None = None
    glyph: str = ""
    word: str = ""

    @property
    def seats(self) -> list[bool]:
        return [number < self.item.scored for number in range(min(self.item.required, 9))]

    @property
    def age(self) -> str:
        return tell_age(timezone.now() - self.item.created_at)


def tell_age(age: timedelta) -> str:
    seconds = age.total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)}\u00a0{unit}"
    return "now"


@dataclass(frozen=True, slots=True)
class Group:
    kind: Kind
    rows: tuple[Row, ...]
    count: int
    more: str = ""
    more_word: str = ""

    @property
    def number(self) -> str:
        return tell_number(self.count)


@dataclass(frozen=True, slots=True)
class Facet:
    word: str
    href: str
    on: bool
    count: int
    icon: str = ""
    name: str = ""

    @property
    def number(self) -> str:
        return tell_number(self.count)


@dataclass(frozen=True, slots=True)
class Pane:
    """The item beside the list, as its kind shows it. `blocked` says why it takes no answer now."""

    item: Item
    kind: Kind
    context: Mapping[str, Any]
    answers: tuple[Answer, ...]
    heading: str
    href: str
    href_word: str
    blocked: str
    draft: Mapping[str, Any]
    claim: Claim | None
    comments: tuple[tuple[str, Comment], ...]
    comments_cut: bool
    comments_sealed: bool
    people: tuple[tuple[int, str], ...]
    given: Mark | None
    suffix: str
    error: str = ""
    skipped: bool = False

    @property
    def holds(self) -> str:
        now = timezone.now()
        return frees_in(self.claim.expires_at, now) if self.claim else ""

    @property
    def query(self) -> str:
        return self.suffix.removeprefix("?")

    @property
    def shown_answers(self) -> list[tuple[Answer, str]]:
        """Each with what its field holds: the draft's, or what it starts with."""
        return [(a, str(self.draft.get(a.needs, a.prefill))) for a in self.answers]

    @property
    def age(self) -> str:
        return tell_age(timezone.now() - self.item.created_at)


@dataclass(frozen=True)
class InboxPage:
    """`templates/inbox/inbox.html`."""

    filters: InboxQuery
    groups: tuple[Group, ...]
    counts: Counts
    done: int
    views: tuple[Facet, ...]
    kinds: tuple[Facet, ...]
    projects: tuple[Facet, ...]
    saved: tuple[SavedView, ...]
    held: int
    next_frees: str
    stopped: str
    recent: tuple[Mark, ...]
    mine_held: int
    mine_frees: str
    pane: Pane | None
    bulk: tuple[tuple[str, str], ...]
    undo: Mapping[str, Any] | None = None
    notice: str = ""

    screen: str = "inbox"
    nav: str = "inbox"

    @property
    def title(self) -> str:
        return self.pane.item.title if self.pane else self.heading

    @property
    def heading(self) -> str:
        total = self.counts.total
        if not total:
            return "Nothing waits for you"
        return f"{tell_number(total)} item{'s wait' if total != 1 else ' waits'} for you"

    @property
    def batch(self) -> int:
        return self.done + self.counts.total

    @property
    def batch_number(self) -> str:
        return tell_number(self.counts.total, self.done)

    @property
    def sort_href(self) -> str:
        return replace(self.filters, newest=not self.filters.newest, after="").href()

    @property
    def mine_href(self) -> str:
        return replace(self.filters, mine=not self.filters.mine, after="").href()

    @property
    def shown(self) -> int:
        return sum(len(group.rows) for group in self.groups)


def read_inbox_page(
    *,
    actor: Actor,
    projects: list[Project],
    query: InboxQuery,
    pane: Pane | None = None,
    undo: Mapping[str, Any] | None = None,
) -> InboxPage:
    """A constant number of queries, however many items there are."""
    reviewer = actor.user_id or 0
    now = timezone.now()
    counts = read_counts(actor, reviewer)
    holds = read_holds(actor, reviewer)
    done, decisions = read_today(reviewer, limit=DONE_ROWS if query.view == "done" else 10)
    current = pane.item.pk if pane else None
    groups = (
        _done_groups(decisions, query, current)
        if query.view == "done"
        else _groups(actor, query, projects, counts, holds, current)
    )
    theirs = [hold for hold in holds if not hold.mine]
    own = [hold for hold in holds if hold.mine]
    return InboxPage(
        filters=query,
        groups=groups,
        counts=counts,
        done=done,
        views=_views(query, counts, done),
        kinds=_kinds(query, counts),
        projects=_projects(query, counts, projects),
        saved=tuple(SavedView.objects.filter(reviewer_id=reviewer).order_by("name")),
        held=len(theirs),
        next_frees=frees_in(theirs[0].expires_at, now) if theirs else "",
        stopped=_tell_stopped(groups, counts),
        recent=tuple(tell_decision(decision) for decision in decisions[:10]),
        mine_held=len(own),
        mine_frees=frees_in(own[0].expires_at, now) if own else "",
        pane=pane,
        bulk=_bulk(query),
        undo=undo,
    )


def _tell_stopped(groups: tuple[Group, ...], counts: Counts) -> str:
    first = next((group for group in groups if group.kind.name == "approval"), None)
    if first is None or not first.rows:
        return ""
    number = counts.of_kind("approval")
    longest = max(timezone.now() - row.item.created_at for row in first.rows)
    if number == 1:
        return f"1 agent is stopped, for {tell_age(longest)}"
    # One agent may have asked several times.
    return f"Agents wait for {tell_number(number)} approvals, the longest for {tell_age(longest)}"


def _bulk(query: InboxQuery) -> tuple[tuple[str, str], ...]:
    if len(query.kinds) != 1 or query.view != "review":
        return ()
    kind = find_kind(query.kinds[0])
    words = {answer.value: answer.word for answer in kind.answers}
    return tuple((answer, words.get(answer, answer)) for answer in sorted(kind.bulk))


def _groups(
    actor: Actor,
    query: InboxQuery,
    projects: list[Project],
    counts: Counts,
    holds: list[Hold],
    current: UUID | None,
) -> tuple[Group, ...]:
    look = Look(query.wanted(projects), query.view, query.newest, read_cursor(query.after))
    now = timezone.now()
    by_item: dict[UUID, list[Hold]] = {}
    for hold in holds:
        by_item.setdefault(hold.item, []).append(hold)
    found = read_groups(actor, actor.user_id or 0, look)
    groups = []
    for kind, items in found:
        rows = tuple(
            _row(item, by_item.get(item.pk, []), query, current, now) for item in items[: look.rows]
        )
        count = counts.of_kind(kind.name) if query.view == "review" else len(rows)
        groups.append(_with_more(Group(kind, rows, count), items, look, query))
    return tuple(groups)


def _with_more(group: Group, items: list[Item], look: Look, query: InboxQuery) -> Group:
    if len(items) <= look.rows:
        return group
    if not look.one_kind:
        href = replace(query, kinds=(group.kind.name,), after="").href()
        return replace(group, more=href, more_word=f"showing {len(group.rows)}")
    last = group.rows[-1].item
    cursor = moment_cursor(last.created_at, last.pk)
    return replace(group, more=replace(query, after=cursor).href(), more_word="Next page")


def _row(
    item: Item, holds: list[Hold], query: InboxQuery, current: UUID | None, now: datetime
) -> Row:
    mine = any(hold.mine for hold in holds)
    seat = find_seat(
        required=item.required,
        scored=item.scored,
        others=[hold.expires_at for hold in holds if not hold.mine],
        now=now,
    )
    held_by = frees = ""
    if not isinstance(seat, Free | Filled):
        first = next(hold for hold in holds if not hold.mine)
        held_by = first.name if seat.by == 1 else f"{first.name} and {seat.by - 1} more"
        frees = frees_in(seat.frees_at, now)
    return Row(
        item=item,
        href=query.href(item.pk),
        pane=reverse("inbox-pane", args=[item.pk]) + query.suffix,
        held_by=held_by,
        frees=frees,
        mine=mine,
        current=item.pk == current,
    )


def _done_groups(
    decisions: list[Decision], query: InboxQuery, current: UUID | None
) -> tuple[Group, ...]:
    by_kind: dict[str, list[Row]] = {}
    for decision in decisions:
        mark = tell_decision(decision)
        item = decision.item
        row = Row(
            item=item,
            href=query.href(item.pk),
            pane=reverse("inbox-pane", args=[item.pk]) + query.suffix,
            current=item.pk == current,
            glyph=mark.glyph,
            word=find_kind(item.kind).answer_words.get(decision.answer, decision.answer),
        )
        by_kind.setdefault(item.kind, []).append(row)
    return tuple(
        Group(kind, tuple(by_kind[kind.name]), len(by_kind[kind.name]))
        for kind in all_kinds()
        if kind.name in by_kind
    )


def _views(query: InboxQuery, counts: Counts, done: int) -> tuple[Facet, ...]:
    numbers = {
        "review": counts.total,
        "others": counts.others,
        "done": done,
        "skipped": counts.skipped,
    }
    return tuple(
        Facet(
            word,
            replace(query, view=view, after="").href(),
            view == query.view,
            numbers[view],
            icon,
        )
        for view, (word, icon) in VIEWS.items()
    )


def _kinds(query: InboxQuery, counts: Counts) -> tuple[Facet, ...]:
    return tuple(
        Facet(
            kind.word,
            replace(query, kinds=_toggled(query.kinds, kind.name), after="").href(),
            not query.kinds or kind.name in query.kinds,
            counts.of_kind(kind.name),
            kind.icon,
            kind.name,
        )
        for kind in all_kinds()
    )


def _toggled(kinds: tuple[str, ...], name: str) -> tuple[str, ...]:
    """All are shown where none is named, so that the first press leaves one out."""
    known = [kind.name for kind in all_kinds()]
    shown = set(kinds or known) ^ {name}
    return () if shown in (set(known), set()) else tuple(k for k in known if k in shown)


def _projects(query: InboxQuery, counts: Counts, projects: list[Project]) -> tuple[Facet, ...]:
    if len(projects) < 2:
        return ()
    return tuple(
        Facet(
            project.name,
            replace(
                query, project="" if query.project == project.slug else project.slug, after=""
            ).href(),
            query.project == project.slug,
            counts.of_project(project.pk),
        )
        for project in projects
    )


def read_pane(
    *,
    actor: Actor,
    item_id: UUID,
    query: InboxQuery,
    draft: Mapping[str, Any] | None = None,
    error: str = "",
) -> Pane:
    """Raises NotFound or Forbidden for an item that is not the reader's to decide."""
    item = read_item(actor=actor, item_id=item_id)
    reviewer = actor.user_id or 0
    kind = find_kind(item.kind)
    kept = {**read_draft(item.pk, reviewer), **(draft or {})}
    showing = kind.show(item, actor, kept)
    given = Decision.objects.filter(item=item, reviewer_id=reviewer, undone_at=None).first()
    claims = Claim.objects.filter(item=item, expires_at__gt=timezone.now())
    held = list(claims.select_related("reviewer").order_by("expires_at"))
    blocked = showing.blocked or _blocked(item, held, reviewer, given)
    said = item.comments.select_related("author").order_by("-pk")
    # What others say of a blind kind may tell how they answer.
    open_comments = (
        said.filter(author_id=reviewer)
        if kind.blind and given is None and item.state == OPEN
        else said
    )
    comments = list(open_comments[: MAX_COMMENTS + 1])
    return Pane(
        item=item,
        kind=kind,
        context=showing.context,
        answers=() if blocked else showing.answers,
        heading=showing.heading,
        href=showing.href,
        href_word=showing.href_word,
        blocked=blocked,
        draft=kept,
        claim=next((claim for claim in held if claim.reviewer_id == reviewer), None),
        comments=tuple((person_name(row.author), row) for row in reversed(comments[:MAX_COMMENTS])),
        comments_cut=len(comments) > MAX_COMMENTS,
        comments_sealed=open_comments is not said,
        people=_people(item, kind),
        given=tell_decision(given) if given else None,
        suffix=query.suffix,
        error=error,
        skipped=item.absences.filter(reviewer_id=reviewer, barred=False).exists(),
    )


def _blocked(item: Item, held: list[Claim], reviewer: int, given: Decision | None) -> str:
    if given is not None:
        return ""
    if item.state != OPEN:
        return item.closed_because or "It has all the answers that it needs."
    now = timezone.now()
    others = [claim for claim in held if claim.reviewer_id != reviewer]
    seat = find_seat(
        required=item.required,
        scored=item.scored,
        others=[claim.expires_at for claim in others],
        now=now,
    )
    if isinstance(seat, Free | Filled):
        return ""
    name = person_name(others[0].reviewer)
    return f"{name} holds it, frees in {frees_in(seat.frees_at, now)}."


def _people(item: Item, kind: Kind) -> tuple[tuple[int, str], ...]:
    """Members who may be given the item."""
    roles = [role.value for role in Role if kind.right in RIGHTS_OF_ROLE[role]]
    members = Membership.objects.filter(project_id=item.project_id, role__in=roles)
    rows = members.select_related("user").order_by("user__username")[:MAX_COMMENTS]
    return tuple((row.user_id, person_name(row.user)) for row in rows)

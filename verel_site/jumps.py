"""Jumping: from a few letters to a run, a branch, what is remembered, what waits, a page or an act.

Nothing outside the reader's projects is looked at, and of each table the latest rows alone: a
project with a million runs answers as one with a thousand.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from branches.models import Branch, Run
from memory.domain.terms import Kind, Standing
from memory.models import Record
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import request_actor, request_projects, show_project
from verel_site.access.rights import Right
from verel_site.inbox.claims import Wanted, wanted_parts
from verel_site.inbox.kinds import find_kind
from verel_site.inbox.models import Item
from verel_site.kit.htmx import asked_partial, render_page
from verel_site.shell import NavEntry, Shell

PARTIALS: Final = frozenset({"jump-results"})
MAX_TEXT: Final = 200
MAX_WORDS: Final = 6
# How many of the latest rows of a table are searched, and how many of those found are shown.
LATEST: Final = 2_000
SHOWN: Final = 6
SHOWN_AT_FIRST: Final = 4
_NUMBER: Final = re.compile(r"(?:[rm]-?)?(\d{1,9})", re.IGNORECASE)
RECORD_WORDS: Final = {
    Kind.FACT.value: "fact",
    Kind.RULE.value: "design rule",
    Kind.SKILL.value: "skill",
}


@dataclass(frozen=True, slots=True)
class Jump:
    """One line. `post` is sent as a form; `press` is done by a script of the page."""

    icon: str
    text: str
    about: str = ""
    href: str = ""
    keys: str = ""
    act: str = ""
    post: str = ""
    press: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    jumps: tuple[Jump, ...]


@dataclass(frozen=True)
class JumpPage:
    """`templates/jump.html`. `live` says that a script reads the lines out as a list of options."""

    query: str
    project: Project | None
    groups: tuple[Group, ...]
    live: bool

    screen: str = "jump"
    nav: str = ""
    title: str = "Search or jump"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed. Every word must be found; a whole number or a UUID names a row."""

    words: tuple[str, ...] = ()
    number: int | None = None
    id: UUID | None = None

    @classmethod
    def read(cls, text: str) -> "Wish":
        words = tuple(text.split()[:MAX_WORDS])
        numbered = _NUMBER.fullmatch(text)
        try:
            named = UUID(text)
        except ValueError:
            named = None
        return cls(words, int(numbered[1]) if numbered and named is None else None, named)

    def in_fields(self, *fields: str) -> Q:
        """Rows in which every word stands somewhere."""
        wanted = Q()
        for word in self.words:
            anywhere = Q()
            for field in fields:
                anywhere |= Q(**{f"{field}__icontains": word})
            wanted &= anywhere
        return wanted

    def fits(self, *texts: str) -> bool:
        told = " ".join(texts).casefold()
        return all(word.casefold() in told for word in self.words)


def _latest[Row: Model](rows: QuerySet[Row], *order: str) -> QuerySet[Row, UUID]:
    return rows.order_by(*order).values_list("pk", flat=True)[:LATEST]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks, and the names of the projects that are theirs."""

    actor: Actor
    projects: dict[UUID, Project]

    def about(self, project_id: UUID, *words: str) -> str:
        """Words behind a line; the project's name with them where there are several."""
        named = (self.projects[project_id].name,) if len(self.projects) > 1 else ()
        return ", ".join(word for word in (*words, *named) if word)


def find_runs(reader: Reader, wish: Wish, limit: int) -> list[Jump]:
    rows = Run.objects.visible_to(reader.actor)
    named = Q(number=wish.number) if wish.number is not None else Q(pk=wish.id or UUID(int=0))
    if wish.id is None:
        latest = Q(pk__in=_latest(rows, "-touched_at"))
        named |= latest & wish.in_fields("goal", "agent")
    found = rows.filter(named).order_by("-touched_at")
    return [
        Jump(
            "route",
            run.goal,
            reader.about(run.project_id, f"run {run.number}", run.agent),
            reverse("run", args=[run.pk]),
        )
        for run in found.only("pk", "goal", "agent", "number", "project_id")[:limit]
    ]


def find_branches(reader: Reader, wish: Wish, limit: int) -> list[Jump]:
    rows = Branch.objects.visible_to(reader.actor)
    if wish.id is not None:
        rows = rows.filter(pk=wish.id)
    else:
        runs = _latest(Run.objects.visible_to(reader.actor), "-touched_at")
        rows = rows.filter(wish.in_fields("name", "override"), number__gt=0, run_id__in=runs)
    found = rows.select_related("run").order_by("-created_at")
    return [
        Jump(
            "git-branch",
            branch.label,
            reader.about(branch.project_id, f"run {branch.run.number}", branch.override[:120]),
            f"{reverse('run', args=[branch.run_id])}?{urlencode({'branch': branch.pk})}",
        )
        for branch in found[:limit]
    ]


def find_records(reader: Reader, wish: Wish, limit: int) -> list[Jump]:
    """Facts, design rules and skills that are live or wait for a person."""
    rows = Record.objects.visible_to(reader.actor)
    rows = rows.filter(standing__in=[Standing.LIVE.value, Standing.HELD.value])
    named = Q(number=wish.number) if wish.number is not None else Q(record_id=wish.id)
    if wish.id is None:
        named |= Q(pk__in=_latest(rows, "-position")) & wish.in_fields("text", "subject")
    found = rows.filter(named).order_by("-position")
    return [
        Jump(
            "book-open",
            record.text,
            reader.about(record.project_id, f"{RECORD_WORDS[record.kind]} {record.number}"),
            reverse("memory-record", args=[reader.projects[record.project_id].slug, record.number]),
        )
        for record in found.only("pk", "text", "kind", "number", "project_id")[:limit]
    ]


def find_items(reader: Reader, wish: Wish, limit: int) -> list[Jump]:
    """What waits in the inbox, of the kinds that the reader may decide."""
    parts = Q(pk__in=[])
    for project_id, kinds in wanted_parts(reader.actor, Wanted()):
        parts |= Q(project_id=project_id, kind__in=kinds)
    rows = Item.objects.filter(parts, state=Item.State.OPEN)
    if wish.id is not None:
        rows = rows.filter(Q(pk=wish.id) | Q(subject=wish.id))
    else:
        latest = _latest(rows, "-priority", "created_at")
        rows = rows.filter(wish.in_fields("title", "about"), pk__in=latest)
    return [
        Jump(
            find_kind(item.kind).icon,
            item.title,
            reader.about(item.project_id, find_kind(item.kind).one, item.about),
            reverse("inbox-item", args=[item.pk]),
        )
        for item in rows.order_by("-priority", "created_at")[:limit]
    ]


type Find = Callable[[Reader, Wish, int], list[Jump]]
FOUND: Final[tuple[tuple[str, Find], ...]] = (
    ("Runs", find_runs),
    ("Branches", find_branches),
    ("Memory", find_records),
    ("Inbox", find_items),
)
AT_FIRST: Final = ("Runs", "Inbox")


def _find(reader: Reader, text: str) -> Iterable[Group]:
    wish = Wish.read(text)
    for name, find in FOUND:
        if text or name in AT_FIRST:
            yield Group(name, tuple(find(reader, wish, SHOWN if text else SHOWN_AT_FIRST)))


def _more_places(actor: Actor, project: Project | None) -> Iterable[Jump]:
    """Pages that the navigation does not name."""
    if project is not None:
        slug = [project.slug]
        yield Jump("search", "Search events", "what was said", reverse("search", args=slug))
        yield Jump("key-round", "Runners", "who signs receipts", reverse("gate-runners", args=slug))
        yield Jump("flask-conical", "Suites", "held-out cases", reverse("gate-suites", args=slug))
        yield Jump("timer", "Rotations", "of suites", reverse("gate-rotations", args=slug))
        yield Jump("history", "Failure ledger", "", reverse("gate-ledger", args=slug))
        if actor.may(project.pk, Right.EXPORT):
            yield Jump("database", "Snapshots", "of triplets", reverse("datasets", args=slug))
        yield Jump("settings-2", "Rules of the project", "", reverse("rules", args=slug))
        if actor.may(project.pk, Right.ADMINISTER):
            yield Jump("key-round", "API keys", "", reverse("keys", args=slug))
            yield Jump("file-text", "Audit log", "", reverse("audit", args=slug))
    yield Jump("settings-2", "Time zone and keys", "your account", reverse("account"))
    yield Jump("lock", "Password", "your account", reverse("password"))
    yield Jump("braces", "API documents", "", reverse("docs"))


_PLACE_ICONS: Final = {
    "inbox": "inbox",
    "runs": "route",
    "gate": "shield-check",
    "memory": "book-open",
    "overview": "activity",
    "datasets": "database",
    "import": "download",
    "settings": "settings-2",
}


def _place(entry: NavEntry) -> Jump:
    icon = _PLACE_ICONS.get(entry.key, "arrow-right")
    return Jump(icon, entry.name, "page", entry.href, keys=entry.keys, act=entry.act)


def _projects(reader: Reader, project: Project | None) -> Iterable[Jump]:
    for one in reader.projects.values():
        if project is None or one.pk != project.pk:
            yield Jump("layers", one.name, "project", reverse("run-list", args=[one.slug]))


def _acts(live: bool) -> Iterable[Jump]:
    yield Jump("inbox", "Open the next item", "claims it", post=reverse("inbox-next"))
    if live:
        yield Jump("moon", "Switch between light and dark", "theme", press="theme")
        yield Jump(
            "circle-help", "Show the keys", "help", press="keys", keys="?", act="everywhere.keys"
        )
    yield Jump("lock", "Sign out", "end this session", post=reverse("logout"))


def _search(project: Project | None, text: str) -> Iterable[Jump]:
    """The last line, so that whatever was typed leads somewhere."""
    if project is not None and text:
        href = f"{reverse('search', args=[project.slug])}?{urlencode({'q': text})}"
        yield Jump("search", f"Search all events for “{text}”", project.name, href)


def _ranked(jumps: Iterable[Jump], wish: Wish) -> tuple[Jump, ...]:
    """Those that fit; first those that begin with what was typed."""
    first = wish.words[0].casefold() if wish.words else ""
    fitting = [jump for jump in jumps if wish.fits(jump.text, jump.about)]
    return tuple(sorted(fitting, key=lambda jump: not jump.text.casefold().startswith(first)))


def read_jumps(*, reader: Reader, shell: Shell, text: str, live: bool) -> JumpPage:
    """Four queries for what was typed, two before anything was."""
    wish, project = Wish.read(text), shell.project
    places = [*map(_place, shell.places), *_more_places(reader.actor, project)]
    pages = Group("Pages", _ranked([*places, *_projects(reader, project)], wish))
    acts = Group("Acts", _ranked(_acts(live), wish))
    found = list(_find(reader, text))
    events = Group("Events", tuple(_search(project, text)))
    # What begins with the letters is meant; else what was found comes before a page's name.
    named = bool(text) and any(
        jump.text.casefold().startswith(text.casefold()) for jump in (*pages.jumps, *acts.jumps)
    )
    groups = [pages, acts, *found, events] if named else [*found, pages, acts, events]
    return JumpPage(text, project, tuple(group for group in groups if group.jumps), live)


@require_safe
@login_required
def jump(request: HttpRequest) -> HttpResponse:
    """The page; by a script, the lines alone."""
    projects = request_projects(request)
    here = next((one for one in projects if one.slug == request.GET.get("project")), None)
    if here is not None:
        show_project(request, here)
    page = read_jumps(
        reader=Reader(request_actor(request), {one.pk: one for one in projects}),
        shell=Shell(request),
        text=request.GET.get("q", "").strip()[:MAX_TEXT],
        live=asked_partial(request, PARTIALS) is not None,
    )
    return render_page(request, "jump.html", page, partials=PARTIALS)

"""The pages of a project's settings, each as one value, read with a fixed number of queries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db.models import F, QuerySet
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from verel_site.access.actors import Actor
from verel_site.access.models import ApiKey, Membership, Project
from verel_site.access.rights import JUDGING_SCOPES, PUSHING_SCOPES, Right, Role, Scope
from verel_site.administration.members import awaits_first_visit
from verel_site.administration.rules import Rules
from verel_site.audit.models import AuditEntry
from verel_site.kit.cursors import read_int

ROLE_WORDS: Final[Mapping[Role, str]] = {
    Role.VIEWER: "reads runs, gates and merges",
    Role.REVIEWER: "also forks, steers, answers, judges, merges",
    Role.CURATOR: "also keeps suites, runners and memory",
    Role.ADMIN: "also members, keys, rules, and merging past a shut gate",
}
SCOPE_WORDS: Final[Mapping[Scope, str]] = {
    Scope.EVENTS_WRITE: "Start runs and push events.",
    Scope.BRANCHES_RUN: "Claim forks, go on with them, fork.",
    Scope.CONTEXT_READ: "Read runs, events and contexts.",
    Scope.REPORTS_WRITE: "File what graders found.",
    Scope.EXPORTS_READ: "Read triplets and datasets.",
    Scope.SUITES_RUN: "Read the cases of suites, for runners.",
    Scope.MEMORY_PROPOSE: "Propose facts, rules and skills.",
    Scope.ADMIN: "All that an admin may do.",
}
DAYS: Final = (("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "no end"))
MAX_KEYS: Final = 500
MAX_MEMBERS: Final = 1000
AUDIT_ROWS: Final = 100
FILTERS: Final = ("actor", "action", "subject")
# Subjects of the log that have a page of their own, by the name of its address.
SUBJECT_PAGES: Final = frozenset({"comparison", "contest", "dataset", "merge", "run", "suite"})
# What the search of the project finds by its id.
FOUND_BY_ID: Final = "branch"


@dataclass(frozen=True)
class SettingsPage:
    """What the four pages share. `fault` stands where something was refused."""

    project: Project
    may_administer: bool
    fault: str = ""

    screen: str = "settings"
    nav: str = "settings"


@dataclass(frozen=True)
class MemberRow:
    user_id: int
    username: str
    full_name: str
    role: str
    active: bool
    invited: bool
    me: bool
    last_login: datetime | None


@dataclass(frozen=True)
class MembersPage(SettingsPage):
    """`link` is the address of a one-time link, shown now and never again."""

    members: tuple[MemberRow, ...] = ()
    roles: tuple[tuple[str, str], ...] = ()
    link: str = ""
    link_for: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)

    tab: str = "members"
    title: str = "Members"


@dataclass(frozen=True)
class KeyRow:
    """`verdict` and `word` are the glyph of its standing now."""

    key: ApiKey
    verdict: str
    word: str
    live: bool


@dataclass(frozen=True)
class ScopeChoice:
    name: str
    words: str
    side: str
    chosen: bool


@dataclass(frozen=True)
class KeysPage(SettingsPage):
    """`text` is a key that was made just now, shown this once."""

    keys: tuple[KeyRow, ...] = ()
    scopes: tuple[ScopeChoice, ...] = ()
    days: tuple[tuple[str, str], ...] = DAYS
    text: str = ""
    made: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)

    tab: str = "keys"
    title: str = "API keys"


@dataclass(frozen=True)
class RulesPage(SettingsPage):
    """`budget` is what was typed in place of a number."""

    rules: Rules = field(default_factory=lambda: Rules(False, False))
    budget: str = ""
    reason: str = ""

    tab: str = "rules"
    title: str = "Rules"


@dataclass(frozen=True)
class AuditRow:
    """`href` leads to what was acted on, where that has a page."""

    entry: AuditEntry
    href: str


@dataclass(frozen=True)
class AuditPage(SettingsPage):
    """`older` is the query of the next window, empty at the ledger's beginning."""

    rows: tuple[AuditRow, ...] = ()
    actions: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    older: int = 0
    newest: bool = True

    tab: str = "audit"
    title: str = "Audit log"


def read_members(
    *, project: Project, actor: Actor, fault: str = "", **shown: object
) -> MembersPage:
    rows = Membership.objects.filter(project=project).select_related("user")
    members = [
        MemberRow(
            user_id=row.user_id,
            username=row.user.get_username(),
            full_name=row.user.get_full_name(),
            role=row.role,
            active=row.user.is_active,
            invited=awaits_first_visit(row.user),
            me=row.user_id == actor.user_id,
            last_login=row.user.last_login,
        )
        for row in rows.order_by("user__username")[:MAX_MEMBERS]
    ]
    return MembersPage(
        project=project,
        may_administer=actor.may(project.pk, Right.ADMINISTER),
        fault=fault,
        members=tuple(members),
        roles=tuple((role.value, ROLE_WORDS[role]) for role in Role),
        **shown,  # type: ignore[arg-type]  # the page's own fields, named by the view
    )


def read_keys(
    *,
    project: Project,
    actor: Actor,
    chosen: list[str] | None = None,
    fault: str = "",
    **shown: object,
) -> KeysPage:
    """Live keys first, the newest first among them."""
    rows = ApiKey.objects.filter(project=project)
    rows = rows.order_by(F("revoked_at").desc(nulls_first=True), "-created_at")
    now = timezone.now()
    return KeysPage(
        project=project,
        may_administer=actor.may(project.pk, Right.ADMINISTER),
        fault=fault,
        keys=tuple(_key_row(key, now) for key in rows[:MAX_KEYS]),
        scopes=tuple(
            ScopeChoice(scope.value, words, _side(scope), scope.value in (chosen or []))
            for scope, words in SCOPE_WORDS.items()
        ),
        **shown,  # type: ignore[arg-type]  # the page's own fields, named by the view
    )


def _side(scope: Scope) -> str:
    if scope in PUSHING_SCOPES:
        return "pushes"
    return "judges" if scope in JUDGING_SCOPES else ""


def _key_row(key: ApiKey, now: datetime) -> KeyRow:
    if key.revoked_at is not None:
        return KeyRow(key, "fail", "revoked", live=False)
    if key.expires_at is not None and key.expires_at <= now:
        return KeyRow(key, "skip", "expired", live=False)
    return KeyRow(key, "pass", "valid", live=True)


def find_entries(*, project: Project, query: Mapping[str, str]) -> QuerySet[AuditEntry]:
    """Entries that match every filter, the newest first. An action or a subject may be cut short:
    `key` finds `key.create`, `merge:` every merge."""
    rows = AuditEntry.objects.filter(project=project)
    if query.get("actor"):
        rows = rows.filter(actor_name=query["actor"].strip())
    if query.get("action"):
        rows = rows.filter(action__startswith=query["action"].strip())
    if query.get("subject"):
        rows = rows.filter(subject__startswith=query["subject"].strip())
    return rows.order_by("-number")


def read_audit(*, project: Project, actor: Actor, query: Mapping[str, str]) -> AuditPage:
    before = read_int(query, "before", 0, low=0, high=2**62)
    rows = find_entries(project=project, query=query).defer("seal")
    window = list((rows.filter(number__lt=before) if before else rows)[: AUDIT_ROWS + 1])
    shown = window[:AUDIT_ROWS]
    return AuditPage(
        project=project,
        may_administer=actor.may(project.pk, Right.ADMINISTER),
        rows=tuple(AuditRow(entry, _subject_href(project, entry.subject)) for entry in shown),
        filters={name: query.get(name, "").strip() for name in FILTERS},
        older=shown[-1].number if len(window) > AUDIT_ROWS else 0,
        newest=not before,
    )


def _subject_href(project: Project, subject: str) -> str:
    kind, _, key = subject.partition(":")
    try:
        if kind == FOUND_BY_ID:
            return f"{reverse('search', args=[project.slug])}?q={key}"
        return reverse(kind, args=[key]) if kind in SUBJECT_PAGES else ""
    except NoReverseMatch:
        # The page belongs to an app above this one, which may be absent.
        return ""


def audit_lines(entries: QuerySet[AuditEntry]) -> Iterator[bytes]:
    """Each entry's stored bytes, untouched, and the seal over them and the seal before."""
    for entry in entries.iterator(chunk_size=500):
        seal = bytes(entry.seal).hex().encode()
        yield b'{"entry":' + bytes(entry.body) + b',"seal":"' + seal + b'"}\n'


AUDIT_COLUMNS: Final = ("number", "at", "kind", "actor", "action", "subject", "reason", "seal")


def audit_cells(entries: QuerySet[AuditEntry]) -> Iterator[tuple[str, ...]]:
    for entry in entries.iterator(chunk_size=500):
        yield (
            str(entry.number),
            entry.at.isoformat(),
            entry.actor_kind,
            entry.actor_name,
            entry.action,
            entry.subject,
            entry.reason,
            bytes(entry.seal).hex(),
        )

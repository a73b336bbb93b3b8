"""What stands around every page: projects, navigation, keys, and the last merge's undo."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import IntegerField, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from branches.models import Merge, branch_label
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import request_actor, request_preferences, request_projects
from verel_site.access.rights import Right
from verel_site.health import degraded_words
from verel_site.inbox.queues import MAX_BADGE, badge_items
from verel_site.keymap import key_groups, own_keys, scripted_keys


@dataclass(frozen=True)
class NavEntry:
    key: str
    name: str
    href: str
    keys: str
    count: str = ""

    @property
    def act(self) -> str:
        return f"go.{self.key}"


class _Undo(NamedTuple):
    """A merge that may be taken back until then, and the name and number of its winner."""

    merge: UUID
    name: str
    number: int
    until: datetime


class _Counted(Subquery):
    """How many rows a query has."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()
    empty_result_set_value = 0


class Shell:
    """Read lazily: a page without a signed-in person asks the database nothing."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @cached_property
    def actor(self) -> Actor:
        return request_actor(self.request)

    @property
    def user_name(self) -> str:
        return self.actor.name

    @property
    def initials(self) -> str:
        words = self.actor.name.replace(".", " ").replace("_", " ").split()
        return "".join(word[0] for word in words[:2]).upper() or "?"

    @cached_property
    def _projects(self) -> list[Project]:
        return request_projects(self.request)

    @property
    def projects(self) -> list[dict[str, str]]:
        return [
            {"slug": p.slug, "name": p.name, "url": reverse("run-list", args=[p.slug])}
            for p in self._projects
        ]

    @cached_property
    def project(self) -> Project | None:
        """The project of the page: named by the view, by the address, or the last one seen."""
        named = getattr(self.request, "verel_project", None)
        if isinstance(named, Project):
            return named
        match = self.request.resolver_match
        slug = match.kwargs.get("slug") if match else None
        return next((p for p in self._projects if p.slug == slug), None) or next(
            iter(self._projects), None
        )

    @property
    def nav(self) -> list[NavEntry]:
        return [
            replace(entry, count=self._waiting) if entry.key == "inbox" else entry
            for entry in self.places
        ]

    @property
    def places(self) -> list[NavEntry]:
        """The navigation without its counts, which ask the database."""
        if self.project is None:
            return []
        slug = self.project.slug
        runs = reverse("run-list", args=[slug])
        entries = [
            NavEntry("inbox", "Inbox", reverse("inbox"), "g w"),
            NavEntry("runs", "Runs", runs, "g r"),
            NavEntry("gate", "Gate", reverse("gate-policy", args=[slug]), "g g"),
            NavEntry("memory", "Memory", reverse("memory", args=[slug]), "g m"),
            NavEntry("overview", "Overview", reverse("overview", args=[slug]), "g o"),
        ]
        if self.actor.may(self.project.pk, Right.EXPORT):
            entries.append(
                NavEntry("datasets", "Datasets", reverse("triplets", args=[slug]), "g d")
            )
        if self.actor.may(self.project.pk, Right.IMPORT):
            entries.append(NavEntry("import", "Import", reverse("import", args=[slug]), "g i"))
        entries.append(NavEntry("settings", "Settings", reverse("members", args=[slug]), "g s"))
        return entries

    @property
    def _waiting(self) -> str:
        count, _ = self._at_hand
        return f"{MAX_BADGE}+" if count > MAX_BADGE else str(count or "")

    @cached_property
    def _at_hand(self) -> tuple[int, _Undo | None]:
        """How much waits for this person, and their merge that may be taken back: one query."""
        if self.actor.user_id is None or not self.actor.projects:
            return 0, None
        merge = Merge.objects.filter(
            project_id__in=self.actor.projects,
            by_kind="person",
            by_id=self.actor.id,
            undo_until__gt=timezone.now(),
            reverted_at=None,
        ).order_by("-created_at")
        told = ("pk", "winner__name", "winner__number", "undo_until")
        waiting, *undo = User.objects.values_list(
            _Counted(badge_items(self.actor).values("pk")),
            *(Subquery(merge.values(name)[:1]) for name in told),
        ).get(pk=self.actor.user_id)
        return waiting, _Undo(*undo) if undo[0] else None

    @cached_property
    def own_keys(self) -> dict[str, str]:
        """Keys that this person has changed, by act."""
        return own_keys(request_preferences(self.request).keys)

    @property
    def scripted_keys(self) -> str:
        """For keys.js, as JSON; empty where no key that a script knows was changed."""
        told = scripted_keys(self.own_keys)
        return json.dumps(told) if told else ""

    @property
    def keys(self) -> list[dict[str, Any]]:
        return [
            {
                "name": group.title,
                "keys": [(self.own_keys.get(act.id, act.key), act.words) for act in group.acts],
            }
            for group in key_groups()
        ]

    @property
    def undo(self) -> dict[str, Any] | None:
        """This person's merge of the last seconds, while nothing of it has left."""
        _, undo = self._at_hand
        if undo is None:
            return None
        return {
            "text": f"Merged {branch_label(undo.name, undo.number)}",
            "url": reverse("merge-revert", args=[undo.merge]),
            "until": undo.until,
            "seconds": max(0, round((undo.until - timezone.now()).total_seconds())),
        }

    @property
    def degraded(self) -> list[str]:
        return degraded_words()

    @property
    def login_next(self) -> str:
        return quote(self.request.get_full_path())


def shell(request: HttpRequest) -> dict[str, Shell]:
    return {"shell": Shell(request)}

"""The words of the table of routes: who is let in, and what everybody else is answered.

A row is let in for whoever its policy names, and they are answered with `ok`. Of the others
nobody's session gets a 401 (on pages: the way to the login), an outsider a 404, since what is not
theirs does not exist, and a member without the right a 403.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.apps import apps

from tests.access.world import (
    ANONYMOUS,
    EVERYONE,
    KEYS,
    OTHER_ADMIN,
    OUTSIDERS,
    ROLES,
    STAFF,
)
from verel_site.access.rights import Right

API_ROOTS: Final = ("/api/v1/", "/otlp/", "/compat/", "/metrics")

_JUDGES: Final = frozenset(["reviewer", "curator", "admin", "key admin"])
# Written down here once more, so that a right which somebody is given by mistake is found.
HOLDERS: Final[Mapping[Right, frozenset[str]]] = {
    Right.READ: ROLES | KEYS,
    Right.WRITE_EVENTS: frozenset(["key events:write"]),
    Right.RUN_BRANCHES: frozenset(["key branches:run"]),
    Right.IMPORT: _JUDGES,
    Right.FORK: _JUDGES | {"key branches:run"},
    Right.STEER: _JUDGES,
    Right.ANSWER: _JUDGES,
    Right.LABEL: _JUDGES,
    Right.MERGE: _JUDGES,
    Right.BYPASS_GATE: frozenset(["admin", "key admin"]),
    Right.REPORT: frozenset(["key reports:write"]),
    Right.EXPORT: _JUDGES | {"key exports:read"},
    Right.RUN_SUITES: frozenset(["key suites:run"]),
    Right.PROPOSE: _JUDGES | {"key memory:propose"},
    Right.CURATE: frozenset(["curator", "admin", "key admin"]),
    Right.ADMINISTER: frozenset(["admin", "key admin"]),
}


@dataclass(frozen=True)
class Row:
    """`body` is a form on pages and JSON under the API, with `{name}`s of `World.ids` in it,
    `raw` one that is neither;
    `at` gives an address's part another name of `World.ids`, or a literal."""

    let_in: frozenset[str]
    ok: int = 200
    body: Mapping[str, Any] | None = None
    raw: str | bytes = ""
    query: str = ""
    at: Mapping[str, str] = field(default_factory=dict)
    but: Mapping[str, int] = field(default_factory=dict)
    outsider: int = 404
    login: str = "/login/"

    def fill_address(self, address: str, ids: Mapping[str, str]) -> str:
        """The address with a value for each of its parts."""
        filled = re.sub(r"<(\w+)>", lambda part: self._pick(part[1], ids), address)
        return filled.replace("*", "nowhere")

    def _pick(self, part: str, ids: Mapping[str, str]) -> str:
        named = self.at.get(part, part)
        if "." in named:
            found = apps.get_model(named)._default_manager.first()
            return str(found.pk) if found is not None else "0"
        return ids.get(named, named)

    def expected(self, who: str, *, api: bool) -> int:
        if who in self.but:
            return self.but[who]
        if who in self.let_in and (api or who not in KEYS or ANONYMOUS in self.let_in):
            return self.ok
        # A key opens the API and nothing else: a page does not look at it.
        if who == ANONYMOUS or (not api and who.startswith("key")):
            return 401 if api else 302
        return self.outsider if who in OUTSIDERS else 403


def PUBLIC(**more: Any) -> Row:
    """Whoever comes."""
    return Row(EVERYONE, **more)


def SIGNED_IN(**more: Any) -> Row:
    """Anybody whom the server knows, whatever they may do in projects."""
    return Row(EVERYONE - {ANONYMOUS}, **more)


def READ(**more: Any) -> Row:
    """Every member and every key of the project."""
    return RIGHT(Right.READ, **more)


def RIGHT(*rights: Right, **more: Any) -> Row:
    """Who has any of these rights."""
    return Row(frozenset().union(*(HOLDERS[right] for right in rights)), **more)


def ONLY(*who: str, **more: Any) -> Row:
    """These, by their names in `tests.access.world`."""
    return Row(frozenset(who), **more)


def LISTED(**more: Any) -> Row:
    """A list over all projects of the reader: an outsider is shown one without these rows."""
    return READ(outsider=200, **more)


def SITE_STAFF(**more: Any) -> Row:
    """Django's admin, which sends everybody else to its login."""
    others = dict.fromkeys([*ROLES, OTHER_ADMIN], 302)
    return Row(frozenset([STAFF]), login="/admin/login/", but=others | more.pop("but", {}), **more)


def LEDGER(model: str) -> dict[str, Row]:
    """A model that Django's admin shows, and never adds to, changes or deletes from."""
    return _admin_rows(model, add=403, change=403, delete=403)


def KEPT(model: str) -> dict[str, Row]:
    """A model that staff may add and change by hand, and never delete."""
    return _admin_rows(model, add=200, change=200, delete=403)


def _admin_rows(model: str, *, add: int, change: int, delete: int) -> dict[str, Row]:
    root = f"/admin/{model.replace('.', '/')}/"
    row = {"object_id": model}
    return {
        f"GET {root}": SITE_STAFF(),
        f"GET {root}add/": SITE_STAFF(ok=add),
        f"POST {root}add/": SITE_STAFF(ok=add),
        f"GET {root}<object_id>/history/": SITE_STAFF(at=row),
        f"GET {root}<object_id>/delete/": SITE_STAFF(ok=delete, at=row),
        f"POST {root}<object_id>/delete/": SITE_STAFF(ok=delete, at=row),
        f"GET {root}<object_id>/change/": SITE_STAFF(at=row),
        f"POST {root}<object_id>/change/": SITE_STAFF(ok=change, at=row),
        f"GET {root}<object_id>/": SITE_STAFF(ok=302, at=row),
    }

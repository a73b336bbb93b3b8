"""What of a run a reader asked to see: one value, read from an address and written back into it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.urls import reverse

from branches.domain.search_query import MAX_QUERY
from branches.domain.telling import KINDS, OTHER
from verel_site.kit.cursors import read_int
from verel_site.kit.queries import read_uuid

ALL_KINDS: Final = (*KINDS, OTHER)
MAX_CURSOR: Final = 2**62


@dataclass(frozen=True)
class View:
    """A window into a run.

    `branch` shows one lineage alone, else all lanes are interleaved. Cursors (`after`, `before`)
    are steps of that lineage, or positions where all lanes are shown. Without `event` and cursors
    the newest events are shown. `folded` shuts calls whose result went well; `json` and `whole`
    are about the event that is shown in full.
    """

    run: UUID
    branch: UUID | None = None
    event: UUID | None = None
    after: int | None = None
    before: int | None = None
    kinds: frozenset[str] = frozenset(ALL_KINDS)
    q: str = ""
    folded: bool = True
    json: bool = False
    whole: bool = False

    @property
    def shows_all_kinds(self) -> bool:
        return len(self.kinds) == len(ALL_KINDS)

    def query(self) -> str:
        """The query string, without what is the default anyway."""
        pairs: list[tuple[str, Any]] = [
            (name, value)
            for name in ("branch", "event", "after", "before", "q")
            if (value := getattr(self, name)) not in (None, "")
        ]
        if not self.shows_all_kinds:
            pairs += [("show", kind) for kind in ALL_KINDS if kind in self.kinds] or [("show", "")]
        pairs += [("folds", "open")] if not self.folded else []
        pairs += [("view", "json")] if self.json else []
        pairs += [("all", "1")] if self.whole else []
        return urlencode(pairs)

    @property
    def suffix(self) -> str:
        """The query string that keeps the lanes, the kinds and the search, but no place."""
        place = replace(self, event=None, after=None, before=None, json=False, whole=False)
        query = place.query()
        return f"?{query}" if query else ""

    def href(self, **changes: Any) -> str:
        """The run page's address of this view, changed as named."""
        query = replace(self, **changes).query()
        return reverse("run", args=[self.run]) + (f"?{query}" if query else "")


def read_view(run: UUID, query: QueryDict) -> View:
    """The view that a query asks for; raises BadInput for what cannot be read."""
    return View(
        run=run,
        branch=read_uuid(query, "branch"),
        event=read_uuid(query, "event"),
        after=_read_cursor(query, "after"),
        before=_read_cursor(query, "before"),
        kinds=_read_kinds(query.getlist("show")) if "show" in query else frozenset(ALL_KINDS),
        q=query.get("q", "").strip()[:MAX_QUERY],
        folded=query.get("folds") != "open",
        json=query.get("view") == "json",
        whole=query.get("all") == "1",
    )


def _read_cursor(query: QueryDict, name: str) -> int | None:
    if not query.get(name):
        return None
    return read_int(query, name, 0, low=0, high=MAX_CURSOR)


def _read_kinds(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in names if name in ALL_KINDS)

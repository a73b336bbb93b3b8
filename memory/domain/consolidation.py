"""Consolidation as rules: its steps in order, what a candidate may become, and what an episode bears.

A claim says no more than the one episode that it was read from; a rule rests on its whole cluster.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from memory.domain.content import MAX_PART, fold, is_scope
from memory.domain.likeness import words_of
from memory.domain.readings import strip_hidden
from memory.domain.support import sentences_of
from memory.domain.terms import ItemType

MAX_SAID: Final = 240
MAX_NAME: Final = 80
CLUSTER: Final = 2
# So much of an issue's words must stand in what was observed for the two to speak of one thing.
SHARED_WORDS: Final = 0.5
TEAM: Final = "team"


class Step(StrEnum):
    """In this order; each is gone through in windows, and each window is one transaction."""

    SALIENCE = "salience"
    EXTRACT = "extract"
    INDUCE = "induce"
    ENTAIL = "entail"
    MERGE = "merge"
    CONFLICT = "conflict"
    WRITE = "write"
    DECAY = "decay"

    @property
    def next(self) -> "Step | None":
        steps = list(Step)
        at = steps.index(self) + 1
        return steps[at] if at < len(steps) else None


class JobState(StrEnum):
    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Trigger(StrEnum):
    """What ordered it."""

    HAND = "hand"
    SESSION = "session"
    EPISODES = "episodes"
    SCHEDULE = "schedule"


class Fate(StrEnum):
    """How far a candidate came, or where it ended."""

    EXTRACTED = "extracted"
    DROPPED = "dropped"
    ENTAILED = "entailed"
    MERGED = "merged"
    READY = "ready"
    WRITTEN = "written"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Claim:
    """What may become a record. `premise` is the text of the episode that must bear it out."""

    kind: str
    text: str
    premise: str
    item_type: ItemType
    source: str
    subject: str = ""
    predicate: str = ""
    object: str = ""
    expression: str = ""

    @property
    def group(self) -> str:
        """Claims of one group say one thing: they merge."""
        about = "\0".join(
            fold(part)
            for part in (
                self.kind,
                self.subject,
                self.predicate,
                self.object,
                self.expression,
                "" if self.subject or self.expression else self.text,
            )
        )
        return hashlib.sha256(about.encode(errors="replace")).hexdigest()


_ITEM_TYPES: Final[Mapping[str, ItemType]] = {
    "vulnerability": ItemType.SECURITY,
    "typo": ItemType.COSMETIC_TIP,
    **dict.fromkeys(
        ("contrast", "overflow", "broken_image", "blank", "layout", "clipped", "overlap"),
        ItemType.UI_FIX,
    ),
}


def item_type_of(kind: str) -> ItemType:
    """How fast what is known of such an issue fades."""
    return _ITEM_TYPES.get(kind, ItemType.API_CONTRACT)


def claim_fault(*, tool: str, says: str, signature: str) -> Claim | None:
    """That a tool fails in one way; None of a step that failed without a word."""
    told = _parts(says)
    if not told:
        return None
    named = _name(tool) or "a step"
    said = next((part for part in told if _FAULT.search(part)), told[0])
    return Claim(
        kind="fact",
        text=f"{named} failed: {said}"[:MAX_SAID],
        premise="\n".join(f"{named} failed: {part}"[:MAX_SAID] for part in told),
        item_type=ItemType.API_CONTRACT,
        source="",
        subject=named,
        predicate=f"fault {signature[:16]}",
        object="seen",
    )


def claim_issue(*, kind: str, message: str, locator: str, mark: str, source: str) -> Claim | None:
    """That a grader found something at a place; `mark` is the issue's fingerprint."""
    place = _name(locator)
    told = [f"{place}: {part}" if place else part for part in _parts(message)]
    if not told:
        return None
    return Claim(
        kind="fact",
        text=told[0][:MAX_SAID],
        premise="\n".join(part[:MAX_SAID] for part in told),
        item_type=item_type_of(kind),
        source=source,
        subject=place or "page",
        predicate=f"{kind} {mark}",
        object="found",
    )


# What a terminal colours, and the rules that tools draw between their paragraphs.
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_RULE: Final = re.compile(r"[=_*~-]{4,}")
# What pytest prints before the lines of a failure.
_MARGIN: Final = re.compile(r"^[E>] (?=\S)")
_FAULT: Final = re.compile(
    r"\b(?:\w*error|failed|failure|exception|traceback|fatal|panic)\b", re.IGNORECASE
)


def _parts(text: str) -> list[str]:
    """The sentences of an observation, as its reader sees them: a claim quotes one."""
    plain = strip_hidden(_COLOUR.sub("", text))
    found = [
        _MARGIN.sub("", " ".join(part.split()))
        for cut in _RULE.split(plain)
        for part in sentences_of(cut)
    ]
    return [part for part in found if any(char.isalnum() for char in part)]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Issues of one kind on one component at one width, in however many episodes."""

    kind: str
    component: str
    viewport: int


def cluster_of(kind: str, locator: str, detail: Mapping[str, Any]) -> Cluster | None:
    """None where the issue does not say on which component or at which width it was."""
    component = _name(str(detail.get("component") or locator or ""))
    width = detail.get("viewport")
    if isinstance(width, Mapping):
        width = width.get("width")
    if not component or isinstance(width, bool) or not isinstance(width, int | float):
        return None
    return Cluster(kind, component, int(width)) if 0 < width < 100_000 else None


def claim_cluster(cluster: Cluster) -> Claim:
    """The design rule of a cluster; it starts inferred, whatever its episodes."""
    what = cluster.kind.replace("_", " ")
    text = f"No {what} in {cluster.component} at {cluster.viewport} px or narrower"
    condition = f'viewport <= {cluster.viewport} and component == "{cluster.component}"'
    return Claim(
        kind="rule",
        text=text,
        premise=text,
        item_type=item_type_of(cluster.kind),
        source="cluster",
        expression=f"{condition} => forbid {what}",
    )


def speak_of_one(message: str, observed: str) -> bool:
    """Whether an issue and an observation are about the same thing."""
    told = words_of(message)
    return bool(told) and len(told & words_of(observed)) >= SHARED_WORDS * len(told)


@dataclass(frozen=True, slots=True)
class Place:
    """Whose a run is by its own words; empty where it does not say. Who wrote an event is no such
    word: that may be a harness, an importer or a tool."""

    repository: str = ""
    agent: str = ""


def place_of(*told: Mapping[str, Any]) -> Place:
    """By the first that names a repository, and the first that names an agent."""
    repositories, agents = map(repository_of, told), map(agent_of, told)
    return Place(next(filter(None, repositories), ""), next(filter(None, agents), ""))


def repository_of(told: Mapping[str, Any]) -> str:
    """What a run's own words name under `repo`, as a scope names it: the path of an address, without
    its host and its `.git`. Empty where that is none."""
    named = told.get("repo")
    if not isinstance(named, str):
        return ""
    path = _HOST.sub("", named.strip()).removesuffix("/").removesuffix(".git").strip("/")
    return path if is_scope(f"repo:{path}") else ""


def agent_of(told: Mapping[str, Any]) -> str:
    """What a run's own words name under `agent`; empty where that fits no scope."""
    named = told.get("agent")
    name = named.strip() if isinstance(named, str) else ""
    return name if is_scope(f"agent:{name}") else ""


def scope_of(places: Collection[Place]) -> str:
    """The narrowest scope that holds all runs of a claim. A claim is about a tool or a page: so it is
    of the one repository that they name before it is of their one agent."""
    repositories = {place.repository for place in places}
    agents = {place.agent for place in places}
    for word, names in (("repo", repositories), ("agent", agents)):
        if len(names) == 1 and any(names):
            return f"{word}:{names.pop()}"
    return TEAM


def order_rivals(claims: Sequence[tuple[int, bool, int]]) -> dict[int, int]:
    """Of claims under one key (id, whether precise, independent runs) the turn of each: the one
    that is to speak is written last, since recency settles what trust does not."""
    ranked = sorted(claims, key=lambda one: (one[1], one[2], one[0]))
    return {one[0]: turn for turn, one in enumerate(ranked)}


_HOST: Final = re.compile(r"^(?:\w+://[^/]+/|[\w.-]+@[\w.-]+:)")
_UNQUOTABLE: Final = re.compile(r"[\"\\|\x00-\x1f\x7f]+")


def _name(text: str) -> str:
    """Fit for a key and for a quoted value of an expression."""
    plain = " ".join(_UNQUOTABLE.sub(" ", text).split())
    return plain[: min(MAX_NAME, MAX_PART)].strip()

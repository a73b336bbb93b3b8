"""Every key of the pages, by the act that it does, and the keys that a person has given instead.

Two acts clash where one page has both: a key would do either. Those that the product itself has
given one key (on a run `e` edits what an agent asks, else it finds the next error) do not clash
until somebody changes one of them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from verel_site.inbox.kinds import all_kinds
from verel_site.kit.refusals import Unprocessable

MAX_KEY: Final = 12
# One key, one after another, or one held with Ctrl (which stands for Cmd too).
_KEY: Final = re.compile(r"[!-~]( [!-~])?|Ctrl\+[A-Z0-9]")
# What the browser or the field one writes in needs for itself.
_TAKEN: Final = frozenset(f"Ctrl+{letter}" for letter in "ACNQRTVWXYZ")
EVERYWHERE: Final = "everywhere"
RUBRIC_KEYS: Final = "1 – 4"


@dataclass(frozen=True, slots=True)
class Act:
    """`fixed` is shown and cannot be changed; `scripted` is told to scripts by its usual key."""

    id: str
    key: str
    words: str
    fixed: bool = False
    scripted: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Acts that are on one page together, with those of the groups that it `meets`."""

    name: str
    title: str
    acts: tuple[Act, ...]
    meets: frozenset[str] = frozenset()


_GROUPS: Final = (
    Group(
        EVERYWHERE,
        "Everywhere",
        (
            Act("everywhere.jump", "Ctrl+K", "Search or jump"),
            Act("everywhere.keys", "?", "This list"),
            Act("everywhere.undo", "z", "Undo the last decision"),
            Act("everywhere.find", "/", "Search on this page"),
            Act("go.runs", "g r", "Go to runs"),
            Act("go.inbox", "g w", "Go to the inbox"),
            Act("go.gate", "g g", "Go to the gate's policy"),
            Act("go.memory", "g m", "Go to memory"),
            Act("go.overview", "g o", "Go to the overview"),
            Act("go.datasets", "g d", "Go to the triplets and datasets"),
            Act("go.import", "g i", "Go to the import"),
            Act("go.settings", "g s", "Go to the settings"),
            Act("everywhere.submit", "Ctrl+Enter", "Submit what is filled in", fixed=True),
            Act("everywhere.close", "Esc", "Close, or leave a field", fixed=True),
        ),
    ),
    Group(
        "rows",
        "Lists",
        (
            Act("rows.next", "j", "Next row", scripted=True),
            Act("rows.previous", "k", "Previous row", scripted=True),
            Act("rows.pick", "x", "Pick the row", scripted=True),
        ),
        frozenset({"run", "inbox", "memory", "pages"}),
    ),
    Group(
        "run",
        "A run",
        (
            Act("run.unfold", "l", "Unfold", scripted=True),
            Act("run.fold", "h", "Fold", scripted=True),
            Act("run.newest", "G", "Newest", scripted=True),
            Act("run.error", "e", "Next error", scripted=True),
            Act("run.hit", "n", "Next hit"),
            Act("run.hit_before", "N", "Previous hit"),
            Act("run.before", "[", "Previous fork", scripted=True),
            Act("run.after", "]", "Next fork", scripted=True),
            Act("run.fork", "f", "Fork here"),
            Act("run.compare", "c", "Compare siblings"),
            Act("run.verdicts", "v", "Verdicts of the run"),
            Act("run.link", "y", "Copy link to event"),
        ),
        frozenset({"approval"}),
    ),
    Group(
        "inbox",
        "Inbox",
        (
            Act("inbox.open", "Enter", "Open and claim", fixed=True),
            Act("inbox.skip", "w", "Skip for now"),
            Act("inbox.release", "u", "Give the claim back"),
            Act("inbox.comment", "c", "Comment"),
            Act("inbox.rubric", RUBRIC_KEYS, "Rubric", fixed=True),
        ),
    ),
    Group(
        "memory",
        "Memory",
        (
            Act("memory.review", "r", "Review proposals"),
            Act("memory.consolidate", "c", "Consolidate now"),
            Act("memory.cancel", "x", "Cancel the consolidation"),
        ),
        frozenset({"promotion"}),
    ),
    Group(
        "pages",
        "Gate and datasets",
        (
            Act("pages.try", "t", "Try the policy"),
            Act("pages.snapshot", "s", "Make a snapshot"),
        ),
    ),
)


def _kind_groups() -> Iterator[Group]:
    """What each kind of the inbox takes as an answer, as it has registered it."""
    for kind in all_kinds():
        acts = tuple(Act(f"{kind.name}.{a.value}", a.key, a.word) for a in kind.answers)
        if acts:
            yield Group(kind.name, kind.one, acts, frozenset({"inbox", "rows"}))


def key_groups() -> list[Group]:
    return [*_GROUPS, *_kind_groups()]


def _meet(one: Group, other: Group) -> bool:
    if EVERYWHERE in (one.name, other.name) or one.name == other.name:
        return True
    return other.name in one.meets or one.name in other.meets


def _clash(one: str, other: str) -> bool:
    """Also where one begins the other: the longer could never be pressed to its end."""
    if RUBRIC_KEYS in (one, other):
        return (one if other == RUBRIC_KEYS else other)[:1] in "1234"
    return one == other or one.startswith(f"{other} ") or other.startswith(f"{one} ")


class BadKeys(Unprocessable):
    """`faults` says of each act what is wrong with its key; the pointer is at the first."""

    code = "bad_keys"
    title = "The keys cannot be kept"

    def __init__(self, faults: Mapping[str, str]) -> None:
        first = next(iter(faults))
        super().__init__(faults[first], pointer=f"/keys/{first}", faults=dict(faults))
        self.faults = faults


def _find_fault(act: Act, key: str) -> str:
    if act.fixed:
        return "This key cannot be changed."
    if not _KEY.fullmatch(key):
        return "Give one key, two one after the other (g r), or Ctrl+ a letter."
    if key in _TAKEN:
        return f"{key} belongs to the browser."
    return ""


def _find_clashes(keys: Mapping[str, str], changed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    groups = key_groups()
    for group in groups:
        for act in group.acts:
            if act.id not in changed:
                continue
            for other_group in filter(lambda one: _meet(group, one), groups):
                for other in other_group.acts:
                    if other.id != act.id and _clash(keys[act.id], keys[other.id]):
                        told = f"{keys[other.id]} is already “{other.words}” ({other_group.title})."
                        yield act.id, told


def check_keys(given: Mapping[str, str]) -> dict[str, str]:
    """The keys that differ from the usual ones, by act. Raises BadKeys, naming every fault."""
    acts = {act.id: act for group in key_groups() for act in group.acts}
    unknown = [act for act in given if act not in acts]
    if unknown:
        raise BadKeys({unknown[0][:80]: "There is no such act."})
    changed = {id: key for id, key in given.items() if key and key != acts[id].key}
    faults = {id: told for id, key in changed.items() if (told := _find_fault(acts[id], key))}
    if not faults:
        keys = {id: changed.get(id, act.key) for id, act in acts.items()}
        for id, told in _find_clashes(keys, changed):
            faults.setdefault(id, told)
    if faults:
        raise BadKeys(faults)
    return changed


def own_keys(kept: Mapping[str, str]) -> dict[str, str]:
    """Of the keys that were kept once, those of acts that there still are."""
    acts = {act.id for group in key_groups() for act in group.acts if not act.fixed}
    return {id: key for id, key in kept.items() if id in acts}


def scripted_keys(own: Mapping[str, str]) -> dict[str, str]:
    """What scripts must take a pressed key for: its usual one, or "" for one that was given up."""
    acts = {act.id: act for group in key_groups() for act in group.acts if act.scripted}
    told = {key: acts[id].key for id, key in own.items() if id in acts}
    for id in own:
        if id in acts:
            told.setdefault(acts[id].key, "")
    return told

"""The kinds of things that wait for people. Apps above register theirs; the inbox knows none.

A kind says how an item is shown and answered. Registering it is all that a new kind needs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.inbox.models import Decision, Item


@dataclass(frozen=True, slots=True)
class Answer:
    """One way to answer. `key` presses it; `tone` is primary, danger or empty.

    `needs` names a field that must be filled in first (its key opens it then), with `hint`
    beside it; `prefill` is what the field starts with, and `code` sets it in the fixed type.
    `form` is a template of further fields, which has the item's context as `it`. No two answers of
    a kind share the name of a field: a form sends those of all of them.
    """

    value: str
    word: str
    key: str
    icon: str = ""
    tone: str = ""
    needs: str = ""
    needs_word: str = ""
    hint: str = ""
    submit_word: str = ""
    prefill: str = ""
    code: bool = False
    form: str = ""

    @property
    def opens(self) -> bool:
        """Whether something is filled in before it is given."""
        return bool(self.needs or self.form)


@dataclass(frozen=True, slots=True)
class Showing:
    """What a kind tells of one item: the context of its template, and the answers it takes now.

    `blocked` says why it cannot be answered, and is empty where it can.
    """

    context: Mapping[str, Any]
    answers: tuple[Answer, ...]
    heading: str = ""
    href: str = ""
    href_word: str = ""
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as it came in. `fields` are texts of a form or values of JSON, yet unchecked."""

    item: Item
    actor: Actor
    answer: str
    fields: Mapping[str, Any]
    claim: UUID | None


@dataclass(frozen=True)
class Kind:
    """`word` names many of them and `one` a single one; `group` heads them in the list.

    `answers` are all that an item of this kind can take, for the list of keys; `show` says which
    of them it takes now. `decide` carries the answer out, in the caller's transaction, and gives what an undo needs.
    It raises a Refusal for an answer that the subject does not take.

    `settled` names, of many items, those whose subject waits no more, with the reason in words;
    `find_waits` posts what waits and has no item yet, at most so many, and counts them.
    `undo` is None for what cannot be taken back once it is given. `marks` are the verdict glyphs
    of answers in the strip of the last ten; an answer without one passed something on. What others
    say beside an item of a `blind` kind is sealed from whoever has yet to answer it.
    """

    name: str
    word: str
    one: str
    group: str
    icon: str
    right: Right
    template: str
    show: Callable[[Item, Actor, Mapping[str, Any]], Showing]
    decide: Callable[[Given], Mapping[str, Any]]
    answers: Sequence[Answer] = ()
    answer_words: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    rank: int = 50
    note: str = ""
    wide: bool = False
    blind: bool = False
    undo: Callable[[Decision, Actor, str], None] | None = None
    bulk: frozenset[str] = frozenset()
    settled: Callable[[Sequence[Item]], Mapping[UUID, str]] = lambda items: {}
    find_waits: Callable[[int], int] = lambda limit: 0


_kinds: Final[dict[str, Kind]] = {}


def register_kind(kind: Kind) -> None:
    _kinds[kind.name] = kind


def find_kind(name: str) -> Kind:
    """Raises LookupError: an item's kind is a name in the code, never somebody's input."""
    return _kinds[name]


def all_kinds() -> list[Kind]:
    """In the order in which the inbox groups them."""
    return sorted(_kinds.values(), key=lambda kind: (kind.rank, kind.name))


def kinds_of(actor: Actor, project_id: UUID) -> list[Kind]:
    """The kinds that the actor may decide in a project."""
    return [kind for kind in all_kinds() if actor.may(project_id, kind.right)]

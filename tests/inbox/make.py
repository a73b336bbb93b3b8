"""A kind of the tests' own, and items of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.inbox import kinds
from verel_site.inbox.items import post_item
from verel_site.inbox.kinds import Answer, Given, Kind, Showing
from verel_site.inbox.models import Decision, Item

PLAIN = "plain"
_numbers = count(1)


def _show(item: Item, actor: Actor, draft: Mapping[str, Any]) -> Showing:
    return Showing(context={}, answers=(Answer("yes", "Yes", "a"), Answer("no", "No", "d")))


def _decide(given: Given) -> Mapping[str, Any]:
    return {"said": given.answer}


def _undo(decision: Decision, actor: Actor, reason: str) -> None:
    """Nothing follows from a plain answer."""


KIND = Kind(
    name=PLAIN,
    word="Plain",
    one="Plain one",
    group="Plain ones",
    icon="inbox",
    right=Right.LABEL,
    template="inbox/_plain.html",
    show=_show,
    decide=_decide,
    answer_words={"yes": "Yes", "no": "No"},
    undo=_undo,
    bulk=frozenset(["no"]),
)


@contextmanager
def plain_kind() -> Iterator[None]:
    """The kind is known within, and to no other test."""
    kinds.register_kind(KIND)
    try:
        yield
    finally:
        del kinds._kinds[PLAIN]


def make_item(project_id: UUID, **extra: Any) -> Item:
    extra = {"title": f"Item {next(_numbers)}", **extra}
    return post_item(
        project_id=project_id,
        kind=PLAIN,
        subject_id=extra.pop("subject_id", uuid4()),
        subject_digest=extra.pop("subject_digest", b"\x01"),
        **extra,
    )

"""Rehydration: a lineage as a model is to see it."""

from dataclasses import dataclass
from typing import Any, Literal

from branches.domain.context import Context, render_context
from branches.domain.digest import cache_key, cached_prefix_id
from branches.domain.events import StoredEvent
from branches.models import Branch, Event
from branches.selectors.events import iter_lineage, read_lineage
from verel_site.kit.refusals import BadInput

type ContextFormat = Literal["openai", "anthropic", "events"]
FORMATS: tuple[ContextFormat, ...] = ("openai", "anthropic", "events")


@dataclass(frozen=True)
class Rehydrated:
    """`head_seq` and `head_digest` are those of the cut: what the context ends with."""

    context: Context
    format: ContextFormat
    branch: Branch
    head_seq: int
    head_digest: bytes
    prefix_digest: bytes
    cache_key: str

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "format": self.format,
            "run": str(self.branch.run_id),
            "branch": str(self.branch.pk),
            "messages": self.context.messages,
            "tools": self.context.tools,
            "variables": self.context.variables,
            "approx_tokens": self.context.approx_tokens,
            "cached_prefix_id": cached_prefix_id(self.prefix_digest),
            "cache_key": self.cache_key,
            "breakpoints": self.context.breakpoints,
            "head": {"seq": self.head_seq, "digest": self.head_digest.hex()},
        }
        if self.format == "anthropic":
            body["system"] = self.context.system
        return body


def read_format(text: str) -> ContextFormat:
    for known in FORMATS:
        if text == known:
            return known
    raise BadInput(f"format is one of {', '.join(FORMATS)}.", parameter="format")


def rehydrate(
    branch: Branch, *, format: ContextFormat = "openai", upto: int | None = None
) -> Rehydrated:
    """The context of a branch, cut after `upto` events of its own suffix (0: the fork point)."""
    cut = branch.head_seq if upto is None else upto
    if not 0 <= cut <= branch.head_seq:
        raise BadInput(f"upto is from 0 to {branch.head_seq}.", parameter="upto")
    events: list[StoredEvent] = list(iter_lineage(branch, upto=cut, inline=True))
    root = read_lineage(branch, upto=cut)[0].branch
    return Rehydrated(
        context=render_context(events, format=format),
        format=format,
        branch=branch,
        head_seq=cut,
        head_digest=_digest_at(branch, cut),
        prefix_digest=_prefix_digest(branch, cut),
        cache_key=cache_key(root),
    )


def _prefix_digest(branch: Branch, cut: int) -> bytes:
    """The digest of what is shared with others: the fork point's, or a trunk's own at the cut."""
    return bytes(branch.fork_digest) if branch.parent_id is not None else _digest_at(branch, cut)


def _digest_at(branch: Branch, cut: int) -> bytes:
    """The content digest after `cut` events of the suffix. It is asked of the row: what a context
    leaves out is in the digest all the same."""
    if cut == 0:
        return bytes(branch.fork_digest)
    row = Event.objects.only("digest").get(branch_id=branch.pk, seq=cut)
    return bytes(row.digest)

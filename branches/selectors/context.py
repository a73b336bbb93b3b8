"""Rehydration: a lineage as a model is to see it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from branches.domain.context import (
    BYTES_PER_TOKEN,
    Context,
    insert_cache_control,
    render_chat,
    render_context,
)
from branches.domain.digest import cache_key, cached_prefix_id
from branches.models import Branch, Event
from branches.selectors.lineage import iter_lineage, read_chat
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

    def body(self) -> bytes:
        """The answer as JSON. Each message is encoded by itself, once: the same prefix is the same
        bytes, whatever follows it."""
        messages, system = _encode_all(self.context.messages), _encode_all(self.context.system)
        size = len(messages) + len(system) + 2 + (1 if messages and system else 0)
        rest: dict[str, Any] = {
            "tools": self.context.tools,
            "variables": self.context.variables,
            "approx_tokens": (size + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN,
            "cached_prefix_id": cached_prefix_id(self.prefix_digest),
            "cache_key": self.cache_key,
            "breakpoints": self.context.breakpoints,
            "head": {"seq": self.head_seq, "digest": self.head_digest.hex()},
        }
        if self.format == "anthropic":
            rest["cache_points"] = [
                {"message": message, "block": block} for message, block in self.context.cache_points
            ]
        first = {"format": self.format, "run": self.branch.run_id, "branch": self.branch.pk}
        told = [_encode(first)[:-1], b',"messages":[', messages, b"]"]
        if self.format == "anthropic":
            told += [b',"system":[', system, b"]"]
        return b"".join([*told, b",", _encode(rest)[1:]])


_encode = msgspec.json.Encoder().encode


def _encode_all(values: Iterable[Any]) -> bytes:
    return b",".join(map(_encode, values))


def read_format(text: str) -> ContextFormat:
    for known in FORMATS:
        if text == known:
            return known
    raise BadInput(f"format is one of {', '.join(FORMATS)}.", parameter="format")


def rehydrate(
    branch: Branch,
    *,
    format: ContextFormat = "openai",
    upto: int | None = None,
    cache_control: bool = False,
) -> Rehydrated:
    """The context of a branch, cut after `upto` events of its own suffix (0: the fork point).

    `cache_control` puts a mark on the blocks of the cache points, for the format `anthropic` alone.
    """
    cut = branch.head_seq if upto is None else upto
    if not 0 <= cut <= branch.head_seq:
        raise BadInput(f"upto is from 0 to {branch.head_seq}.", parameter="upto")
    if cache_control and format != "anthropic":
        raise BadInput("Only the format anthropic has cache_control.", parameter="cache_control")
    if format == "events":
        context = render_context(iter_lineage(branch, upto=cut, inline=True), format=format)
    else:
        context = render_chat(read_chat(branch, upto=cut), format=format)
    if cache_control:
        insert_cache_control(context)
    head_digest = _digest_at(branch, cut)
    return Rehydrated(
        context=context,
        format=format,
        branch=branch,
        head_seq=cut,
        head_digest=head_digest,
        # What is shared with others: up to the fork point, or a trunk's own up to the cut.
        prefix_digest=head_digest if branch.parent_id is None else bytes(branch.fork_digest),
        cache_key=_run_cache_key(branch),
    )


def _run_cache_key(branch: Branch) -> str:
    if branch.parent_id is None:
        return cache_key(branch.pk)
    return cache_key(Branch.objects.only("pk").get(run_id=branch.run_id, number=0).pk)


def _digest_at(branch: Branch, cut: int) -> bytes:
    """The content digest after `cut` events of the suffix. It is asked of the row: what a context
    leaves out is in the digest all the same."""
    if cut == 0:
        return bytes(branch.fork_digest)
    if cut == branch.head_seq:
        return bytes(branch.head_digest)
    row = Event.objects.only("digest").get(run_id=branch.run_id, branch_id=branch.pk, seq=cut)
    return bytes(row.digest)

"""Rehydration: a lineage as a model is to see it."""

from dataclasses import dataclass
from typing import Any

from branches.domain.context import (
    BYTES_PER_TOKEN,
    Context,
    ContextFormat,
    breakpoints_of,
    mark_block,
)
from branches.domain.digest import cache_key, cached_prefix_id
from branches.models import Branch, Event
from branches.selectors.renderings import Rendered, render_lineage
from verel_site.kit.refusals import BadInput
from verel_site.kit.strict_json import encode

FORMATS: tuple[ContextFormat, ...] = ("openai", "anthropic", "events")


@dataclass(frozen=True)
class Rehydrated:
    """`head_seq` and `head_digest` are those of the cut: what the context ends with."""

    rendered: Rendered
    format: ContextFormat
    branch: Branch
    head_seq: int
    head_digest: bytes
    prefix_digest: bytes
    cache_key: str
    cache_control: bool = False

    @property
    def context(self) -> Context:
        """What the answer says, as values."""
        return self.rendered.rendering.context(self.rendered.finished)

    def body(self) -> bytes:
        """The answer as JSON. Each message is written by itself, once: the same prefix is the same
        bytes, whatever follows it."""
        told = self.rendered.rendering
        cache_points, system = told.cache_points, b",".join(told.system)
        messages = self._messages(cache_points)
        size = sum(map(len, messages)) + max(len(messages) - 1, 0)
        size += len(system) + 2 + (1 if messages and system else 0)
        rest: dict[str, Any] = {
            "tools": told.tools,
            "variables": told.variables,
            "approx_tokens": (size + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN,
            "cached_prefix_id": cached_prefix_id(self.prefix_digest),
            "cache_key": self.cache_key,
            "breakpoints": breakpoints_of(cache_points),
            "head": {"seq": self.head_seq, "digest": self.head_digest.hex()},
        }
        if self.format == "anthropic":
            rest["cache_points"] = [
                {"message": message, "block": block} for message, block in cache_points
            ]
        first = {
            "format": self.format,
            "run": str(self.branch.run_id),
            "branch": str(self.branch.pk),
        }
        head = encode(first)[:-1] + b',"messages":['
        tail = b',"system":[' + system + b"]," if self.format == "anthropic" else b","
        tail = b"]" + tail + encode(rest)[1:]
        # One join and no more: a long context is megabytes.
        if not messages:
            return head + tail
        messages[0] = head + messages[0]
        messages[-1] += tail
        return b",".join(messages)

    def _messages(self, cache_points: list[tuple[int, int]]) -> list[bytes]:
        messages = self.rendered.messages()
        if self.cache_control:
            for place, block in cache_points:
                messages[place] = mark_block(messages[place], block)
        return messages


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
    head_digest, seal = _read_cut(branch, cut)
    return Rehydrated(
        rendered=render_lineage(branch, upto=cut, seal=seal, format=format),
        format=format,
        branch=branch,
        head_seq=cut,
        head_digest=head_digest,
        # What is shared with others: up to the fork point, or a trunk's own up to the cut.
        prefix_digest=head_digest if branch.parent_id is None else bytes(branch.fork_digest),
        cache_key=_run_cache_key(branch),
        cache_control=cache_control,
    )


def _run_cache_key(branch: Branch) -> str:
    if branch.parent_id is None:
        return cache_key(branch.pk)
    return cache_key(Branch.objects.only("pk").get(run_id=branch.run_id, number=0).pk)


def _read_cut(branch: Branch, cut: int) -> tuple[bytes, bytes]:
    """The content digest and the seal after `cut` events of the suffix. They are asked of the row:
    what a context leaves out is in them all the same. At a fork point nobody needs the seal."""
    if cut == 0:
        return bytes(branch.fork_digest), b""
    if cut == branch.head_seq:
        return bytes(branch.head_digest), bytes(branch.head_seal)
    row = Event.objects.only("digest", "seal").get(
        run_id=branch.run_id, branch_id=branch.pk, seq=cut
    )
    return bytes(row.digest), bytes(row.seal)

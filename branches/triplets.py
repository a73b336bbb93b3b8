"""Triplets: what a merge teaches, built from both lineages, delivered by the outbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import Max
from django.utils import timezone

from branches.domain.context import render_context
from branches.domain.formats import trl_dpo
from branches.domain.formats.pair import Pair, Unfit
from branches.domain.lineage import Point, last_shared_point
from branches.domain.terms import Granularity
from branches.domain.triplet import Refused, TripletDraft, build_triplet
from branches.models import Branch, Event, Merge, Triplet
from branches.selectors.lineage import iter_lineage, read_lineage
from branches.storage.cold import AlreadyStored, cold_store
from branches.storage.pairs import column_json, seal_column
from branches.storage.sealed_files import name_key, put_bytes
from verel_site.access.projects import lock_project
from verel_site.kit.refusals import Refusal
from verel_site.kit.strict_json import encode
from verel_site.outbox.promises import post_promise, withdraw_promises

SCHEMA: Final = "verel.dpo/1"
DELIVERY: Final = "triplet"
WITHDRAWAL: Final = "triplet.withdrawal"
ARCHIVE: Final = "archive"


class NotSiblings(Refusal):
    code = "not_siblings"
    title = "The branches share no event"


@dataclass(frozen=True)
class Preview:
    """What a merge would emit for one loser, and the point where both sides part."""

    loser: Branch
    point: Point
    prefix_digest: bytes
    outcome: TripletDraft | Refused
    tools: list[Any]


def preview_triplets(
    *, winner: Branch, losers: Sequence[Branch], granularity: Granularity
) -> list[Preview]:
    """The literal triplets of a merge that has not happened; nothing is written."""
    return [_preview(winner, loser, granularity) for loser in losers]


def _preview(winner: Branch, loser: Branch, granularity: Granularity) -> Preview:
    point = last_shared_point(read_lineage(winner), read_lineage(loser))
    if point is None:
        raise NotSiblings("They belong to different runs, so there is no shared prompt.")
    owner = Branch.objects.get(pk=point.branch)
    shared = list(iter_lineage(owner, upto=point.seq, inline=True))
    outcome = build_triplet(
        shared=shared,
        winner=list(iter_lineage(winner, after_step=point.step, inline=True)),
        loser=list(iter_lineage(loser, after_step=point.step, inline=True)),
        granularity=granularity.value,
        override_in_prompt=winner.project.override_in_prompt,
    )
    digest = Event.objects.of_branch(owner).filter(seq=point.seq).values_list("digest")[:1]
    tools = render_context(shared, format="openai").tools
    return Preview(loser, point, bytes(digest[0][0]), outcome, tools)


def emit_triplets(*, merge: Merge, previews: Sequence[Preview]) -> list[Triplet]:
    """The rows and their promises, inside the merge's transaction; nothing leaves before undo."""
    # Two merges at once would number theirs alike.
    lock_project(project_id=merge.project_id)
    numbers = Triplet.objects.filter(project_id=merge.project_id)
    number = numbers.aggregate(last=Max("number"))["last"] or 0
    made = []
    for preview in previews:
        if isinstance(preview.outcome, Refused):
            continue
        number += 1
        triplet = _emit(merge, preview, preview.outcome, number)
        post_promise(
            project_id=merge.project_id,
            kind=DELIVERY,
            subject=triplet.pk,
            destination=ARCHIVE,
            due_at=merge.undo_until,
        )
        made.append(triplet)
    return made


def _emit(merge: Merge, preview: Preview, draft: TripletDraft, number: int) -> Triplet:
    triplet = Triplet(
        project_id=merge.project_id,
        run_id=merge.run_id,
        merge=merge,
        chosen_branch=merge.winner,
        rejected_branch=preview.loser,
        number=number,
        granularity=draft.granularity,
        prompt_digest=draft.prompt_digest,
        metadata={},
    )
    triplet.prompt = seal_column(triplet, "prompt", encode(draft.prompt))
    triplet.chosen = seal_column(triplet, "chosen", encode(draft.chosen))
    triplet.rejected = seal_column(triplet, "rejected", encode(draft.rejected))
    triplet.tools = seal_column(triplet, "tools", encode(preview.tools))
    triplet.metadata = _provenance(merge, preview, triplet)
    triplet.save()
    return triplet


def _provenance(merge: Merge, preview: Preview, triplet: Triplet) -> dict[str, Any]:
    winner, loser = merge.winner, preview.loser
    return {
        "schema": SCHEMA,
        "triplet_id": str(triplet.pk),
        "project": merge.project.slug,
        "run": str(merge.run_id),
        "merge_id": str(merge.pk),
        "chosen_branch": str(winner.pk),
        "rejected_branch": str(loser.pk),
        "fork_step": preview.point.step,
        "prefix_digest": preview.prefix_digest.hex(),
        "prompt_sha256": triplet.prompt_digest,
        "chosen_head": bytes(merge.winner_digest).hex(),
        "rejected_head": bytes(loser.head_digest).hex(),
        "granularity": triplet.granularity,
        "override_in_prompt": merge.project.override_in_prompt,
        "chosen_override": winner.override,
        "rejected_override": loser.override,
        "reviewer": {"kind": merge.by_kind, "id": merge.by_id, "name": merge.by_name},
        "reason": merge.note,
        "decided_at": merge.created_at.isoformat(),
        "gate": {name: told for name, told in merge.admission.items() if name != "judgements"},
        "judgements": [
            judgement
            for judgement in merge.admission.get("judgements", ())
            if judgement["rejected"] == str(loser.pk)
        ],
        "agent": {"name": merge.run.agent, "model": merge.run.model},
    }


def withdraw_triplets(*, merge: Merge) -> int:
    """Withdraws a reverted merge's triplets; those that had left are told back."""
    live = list(merge.triplets.filter(withdrawn_at=None).values_list("pk", flat=True))
    Triplet.objects.filter(pk__in=live).update(withdrawn_at=timezone.now())
    for subject in withdraw_promises(kind=DELIVERY, subjects=live):
        post_promise(
            project_id=merge.project_id,
            kind=WITHDRAWAL,
            subject=subject,
            destination=ARCHIVE,
            due_at=timezone.now(),
        )
    return len(live)


def read_pair(triplet: Triplet) -> Pair:
    return Pair(
        prompt=column_json(triplet, "prompt"),
        chosen=column_json(triplet, "chosen"),
        rejected=column_json(triplet, "rejected"),
        tools=column_json(triplet, "tools"),
        metadata=triplet.metadata,
    )


def triplet_row(triplet: Triplet) -> dict[str, Any]:
    """One row of the TRL conversational preference format. What does not fit that, an image say,
    goes in OpenAI's message shape under the same names, since nothing may be cut off."""
    pair = read_pair(triplet)
    try:
        return trl_dpo.rows(pair)[0]
    except Unfit:
        return {
            "prompt": pair.prompt,
            "chosen": pair.chosen,
            "rejected": pair.rejected,
            "tools": encode(pair.tools).decode(),
            "metadata": encode(pair.metadata).decode(),
        }


def deliver_triplet(subject: UUID, destination: str) -> None:
    """One JSON line in the archive; the key is the triplet's, so a second delivery changes nothing.
    Where payloads are encrypted the line is sealed too (see `branches.storage.sealed_files`)."""
    triplet = Triplet.objects.select_related("project").get(pk=subject)
    if triplet.withdrawn_at is None:
        _store(triplet, "jsonl", encode(triplet_row(triplet)) + b"\n")


def deliver_withdrawal(subject: UUID, destination: str) -> None:
    triplet = Triplet.objects.select_related("project").get(pk=subject)
    _store(triplet, "withdrawn.json", encode({"triplet_id": str(subject), "withdrawn": True}))


def _store(triplet: Triplet, ending: str, data: bytes) -> None:
    key = f"triplets/{triplet.project.slug}/{triplet.number:08d}-{triplet.pk}.{ending}"
    try:
        put_bytes(cold_store(), name_key(key), data)
    except AlreadyStored:
        return

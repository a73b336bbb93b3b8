"""Merging what won, looking at a merge, and taking it back."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from branches.domain.terms import Granularity
from branches.domain.triplet import TripletDraft
from branches.merges import UNDO_SECONDS, AlreadyReverted, ReasonMissing, revert_merge
from branches.models import Branch, Merge, MergeLoser, Triplet
from branches.selectors.listings import read_merge
from branches.selectors.run_lines import read_lines
from branches.storage.pairs import column_json
from verdicts.compare_query import CompareQuery, Draft
from verdicts.merging import merge_correction, merge_preferred
from verdicts.pages import Notice, read_compare_page
from verdicts.panels import (
    GRANULARITY_WORDS,
    GateLine,
    TripletPart,
    admission_lines,
    draft_parts,
    short_digest,
)
from verdicts.selectors import read_comparison
from verdicts.views.compare import render_compare
from verel_site.access.actors import Actor
from verel_site.access.projects import request_actor, show_project
from verel_site.access.rights import Right
from verel_site.kit.htmx import render_page
from verel_site.kit.refusals import Forbidden, NotFound, Refusal, Unprocessable


@require_POST
@login_required
def merge(request: HttpRequest, comparison: UUID) -> HttpResponse:
    """Approves the merge of the side that this reviewer preferred, or of their correction."""
    actor = request_actor(request)
    draft = Draft.read(request.POST)
    past_gate = request.POST.get("past_gate") == "1"
    try:
        act = merge_correction if request.POST.get("corrected") == "1" else merge_preferred
        made = act(
            comparison_id=comparison,
            actor=actor,
            expected_heads=_read_heads(request, actor, comparison),
            note=draft.note,
            granularity=read_granularity(request),
            bypass_reason=draft.bypass_reason if past_gate else None,
        )
    except (NotFound, Forbidden):
        # Whoever may not merge gets the house's page, and not the pair again.
        raise
    except Refusal as refusal:
        notice = Notice(
            refusal.title, f"{refusal.detail} Nothing was merged; what you typed is kept.", "fail"
        )
        page = read_compare_page(
            actor=actor,
            comparison_id=comparison,
            query=CompareQuery.read(request.POST),
            draft=draft,
            notice=notice,
        )
        return render_compare(request, page, status=refusal.status)
    return redirect("merge", made.pk)


def _read_heads(request: HttpRequest, actor: Actor, comparison: UUID) -> dict[UUID, bytes]:
    """The digests that the form was drawn with, by branch; those of the pair where it has none."""
    pair = read_comparison(actor=actor, comparison_id=comparison)
    seen = {
        pair.first_id: bytes(pair.first_digest),
        pair.second_id: bytes(pair.second_digest),
    }
    given = {request.POST.get("left_head", ""), request.POST.get("right_head", "")}
    if not given <= {digest.hex() for digest in seen.values()}:
        raise Unprocessable("The heads in the form are not those of this pair.")
    return seen


def read_granularity(request: HttpRequest) -> Granularity:
    named = request.POST.get("granularity")
    return next((grain for grain in Granularity if grain == named), Granularity.DECISION)


@dataclass(frozen=True)
class ShownTriplet:
    triplet: Triplet
    parts: tuple[TripletPart, ...]


@dataclass(frozen=True)
class MergePage:
    """`templates/verdicts/merge.html`: one merge, what let it in, what came of it."""

    merge: Merge
    winner_lane: int
    losers: tuple[tuple[MergeLoser, int], ...]
    triplets: tuple[ShownTriplet, ...]
    lines: tuple[GateLine, ...]
    granularity: str
    head: str
    may_revert: bool
    may_undo: bool
    reason: str = ""
    notice: Notice | None = None

    screen: str = "compare"
    nav: str = "runs"

    @property
    def title(self) -> str:
        return f"Merge of {self.merge.winner.label}"

    @property
    def rival(self) -> Branch | None:
        return self.losers[0][0].branch if self.losers else None


@require_safe
@login_required
def show_merge(request: HttpRequest, merge: UUID) -> HttpResponse:
    return _show(request, request_actor(request), merge)


@require_POST
@login_required
def revert(request: HttpRequest, merge: UUID) -> HttpResponse:
    """Takes the merge back. In the undo window its own author need not say why."""
    actor = request_actor(request)
    row = read_merge(actor=actor, merge_id=merge)
    reason = request.POST.get("reason", "").strip()
    if not reason and _may_undo(row, actor):
        reason = f"undone within {UNDO_SECONDS} s"
    try:
        revert_merge(merge_id=merge, actor=actor, reason=reason)
    except (ReasonMissing, AlreadyReverted) as refusal:
        notice = Notice(refusal.title, refusal.detail, "fail")
        return _show(request, actor, merge, notice=notice, status=refusal.status)
    return redirect("merge", merge)


def _may_undo(row: Merge, actor: Actor) -> bool:
    mine = (row.by_kind, row.by_id) == (actor.kind, actor.id)
    return mine and row.reverted_at is None and timezone.now() <= row.undo_until


def _show(
    request: HttpRequest,
    actor: Actor,
    merge_id: UUID,
    *,
    notice: Notice | None = None,
    status: int = 200,
) -> HttpResponse:
    page = read_merge_page(actor=actor, merge_id=merge_id, notice=notice)
    show_project(request, page.merge.project)
    return render_page(request, "verdicts/merge.html", page, status=status)


def read_merge_page(*, actor: Actor, merge_id: UUID, notice: Notice | None = None) -> MergePage:
    """Raises NotFound. The query count does not grow with losers, triplets or events."""
    read_merge(actor=actor, merge_id=merge_id)
    row = Merge.objects.select_related("winner", "run", "project").get(pk=merge_id)
    lanes = read_lines(row.run).lanes
    losers = row.losers.select_related("branch").order_by("branch__number")
    triplets = row.triplets.select_related("rejected_branch").order_by("number")
    return MergePage(
        merge=row,
        winner_lane=lanes.get(row.winner_id, 0),
        losers=tuple((loser, lanes.get(loser.branch_id, 0)) for loser in losers),
        triplets=tuple(ShownTriplet(one, _stored_parts(one)) for one in triplets),
        lines=admission_lines(row.admission),
        granularity=GRANULARITY_WORDS[Granularity(row.granularity)],
        head=short_digest(bytes(row.winner_digest)),
        may_revert=row.reverted_at is None and actor.may(row.project_id, Right.MERGE),
        may_undo=_may_undo(row, actor),
        notice=notice,
    )


def _stored_parts(triplet: Triplet) -> tuple[TripletPart, ...]:
    return draft_parts(
        TripletDraft(
            prompt=column_json(triplet, "prompt"),
            chosen=column_json(triplet, "chosen"),
            rejected=column_json(triplet, "rejected"),
            granularity=Granularity(triplet.granularity).value,
        )
    )

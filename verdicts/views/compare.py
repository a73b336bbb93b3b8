"""Comparing: which two, the judging, and the label."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from branches.merges import ReasonMissing
from branches.models import Branch, Run
from branches.selectors.compare import Offer, offer_pairs
from branches.selectors.events import read_run
from branches.selectors.run_lines import read_lines
from verdicts.compare_query import CompareQuery, Draft
from verdicts.comparisons import (
    AlreadyLabelled,
    BadLabel,
    HeadMoved,
    PairRefused,
    SidesNotDrawn,
    draw_sides,
    label_comparison,
    open_comparison,
    withdraw_label,
)
from verdicts.contests import list_contests
from verdicts.corrections import NothingCorrected
from verdicts.models import Comparison, Contest
from verdicts.pages import (
    ComparePage,
    Notice,
    read_compare_page,
)
from verdicts.reversal import merges_on_label
from verdicts.sealed_steps import read_sealed_payload
from verdicts.selectors import own_label, read_comparison
from verel_site.access.actors import Actor
from verel_site.access.projects import request_actor, show_project
from verel_site.access.rights import Right
from verel_site.kit.downloads import answer_json_file
from verel_site.kit.htmx import render_page
from verel_site.kit.queries import read_uuid
from verel_site.kit.refusals import Refusal

LISTED = 200


@dataclass(frozen=True)
class ChoosePage:
    """`templates/verdicts/compare_choose.html`: the newest branches of a run, and likely pairs."""

    run: Run
    offers: list[Offer]
    branches: list[tuple[Branch, int]]
    hidden: int
    may_compare: bool
    left: str = ""
    right: str = ""
    several: frozenset[str] = frozenset()
    contests: tuple[Contest, ...] = ()
    notice: Notice | None = None

    screen: str = "compare"
    nav: str = "runs"
    title: str = "Compare"


@require_safe
@login_required
def open_compare(request: HttpRequest, run: UUID) -> HttpResponse:
    """Opens the comparison of `?left=` and `?right=`, or asks which two."""
    actor = request_actor(request)
    found = read_run(actor=actor, run_id=run)
    left, right = read_uuid(request.GET, "left"), read_uuid(request.GET, "right")
    if left is None or right is None:
        return choose_branches(request, actor, found, None, 200)
    try:
        comparison = open_comparison(left=left, right=right, actor=actor)
    except PairRefused as refusal:
        return choose_branches(request, actor, found, _told(refusal), refusal.status)
    return redirect("comparison", comparison.pk)


def _told(refusal: Refusal) -> Notice:
    return Notice(refusal.title, f"{refusal.detail} What you filled in is kept.")


def choose_branches(
    request: HttpRequest,
    actor: Actor,
    run: Run,
    notice: Notice | None,
    status: int,
    several: frozenset[str] = frozenset(),
) -> HttpResponse:
    """Which two, or which several; `several` are those that were marked before."""
    lines = read_lines(run)
    named = read_uuid(request.GET, "left") or read_uuid(request.GET, "right")
    newest = sorted(lines.branches.values(), key=lambda branch: -branch.number)
    show_project(request, run.project)
    page = ChoosePage(
        run=run,
        offers=offer_pairs(
            list(lines.branches.values()),
            about=named if notice is None else None,
        ),
        branches=[(branch, lines.lanes[branch.pk]) for branch in newest[:LISTED]],
        hidden=max(0, len(newest) - LISTED),
        may_compare=actor.may(run.project_id, Right.LABEL),
        left=request.GET.get("left", ""),
        right=request.GET.get("right", ""),
        several=several,
        contests=tuple(list_contests(run_id=run.pk)),
        notice=notice,
    )
    return render_page(request, "verdicts/compare_choose.html", page, status=status)


@require_safe
@login_required
def show_comparison(request: HttpRequest, comparison: UUID) -> HttpResponse:
    """Judging, or after this reviewer's label the merge. `?fresh=1` opens the present heads."""
    actor = request_actor(request)
    if request.GET.get("fresh") == "1":
        old = read_comparison(actor=actor, comparison_id=comparison)
        return redirect("comparison", _fresh(old, actor).pk)
    query = CompareQuery.read(request.GET)
    page = read_compare_page(actor=actor, comparison_id=comparison, query=query)
    return render_compare(request, page)


@require_safe
@login_required
def comparison_step(request: HttpRequest, comparison: UUID, seal: str) -> HttpResponse:
    """The payload of a step that is cut on the page, while which branch it is of is sealed."""
    data = read_sealed_payload(actor=request_actor(request), comparison_id=comparison, seal=seal)
    return answer_json_file(data, "step.json")


def render_compare(request: HttpRequest, page: ComparePage, *, status: int = 200) -> HttpResponse:
    show_project(request, page.comparison.project)
    return render_page(request, "verdicts/compare.html", page, status=status)


@require_POST
@login_required
def label(request: HttpRequest, comparison: UUID) -> HttpResponse:
    """Submits the judgement. What is refused comes back with the draft and the reason."""
    actor = request_actor(request)
    draft = Draft.read(request.POST)
    if not draft.choice:
        text = "Say which side is better, or that both are equal or bad. The rest is kept."
        return _again(request, actor, comparison, draft, Notice("Nothing chosen yet", text), 422)
    try:
        _label(request, actor, comparison, draft)
    except AlreadyLabelled:
        pass
    except HeadMoved:
        return _look_again(request, actor, comparison, draft)
    except (BadLabel, NothingCorrected, SidesNotDrawn) as refusal:
        return _again(request, actor, comparison, draft, _told(refusal), refusal.status)
    return redirect("comparison", comparison)


@require_POST
@login_required
def judge_again(request: HttpRequest, comparison: UUID) -> HttpResponse:
    """Takes the reviewer's own label back. It stays in the ledger, and the pair is open again. What
    was merged on it is reverted with it, and then a reason is needed."""
    actor = request_actor(request)
    found = read_comparison(actor=actor, comparison_id=comparison)
    actor.demand(found.project_id, Right.LABEL)
    mine = own_label(actor=actor, comparison=found)
    if mine is None:
        return redirect("comparison", comparison)
    reason = request.POST.get("reason", "").strip()
    if not reason and not merges_on_label(mine):
        reason = "judges the pair again"
    try:
        withdraw_label(label_id=mine.pk, actor=actor, reason=reason)
    except ReasonMissing as refusal:
        return _again(request, actor, comparison, Draft(), _told(refusal), refusal.status)
    return redirect("comparison", comparison)


def _label(request: HttpRequest, actor: Actor, comparison: UUID, draft: Draft) -> None:
    label_comparison(
        comparison_id=comparison,
        actor=actor,
        choice=draft.choice,
        scores=draft.numbers(),
        rationale=draft.rationale,
        strength=int(draft.strength) if draft.strength.isdecimal() else None,
        corrected=draft.corrected,
        corrected_of=draft.corrected_of,
        seen_heads={
            side: request.POST[f"{side}_head"]
            for side in ("left", "right")
            if f"{side}_head" in request.POST
        },
    )


def _again(
    request: HttpRequest, actor: Actor, comparison: UUID, draft: Draft, notice: Notice, status: int
) -> HttpResponse:
    query = CompareQuery.read(request.POST)
    page = read_compare_page(
        actor=actor, comparison_id=comparison, query=query, draft=draft, notice=notice
    )
    return render_compare(request, page, status=status)


def _fresh(old: Comparison, actor: Actor) -> Comparison:
    return open_comparison(left=old.first_id, right=old.second_id, actor=actor)


@transaction.atomic
def _look_again(request: HttpRequest, actor: Actor, comparison: UUID, draft: Draft) -> HttpResponse:
    """409: the pair as it is now, what is new marked, and the draft turned to its new sides."""
    old = read_comparison(actor=actor, comparison_id=comparison)
    before = draw_sides(comparison_id=old.pk, reviewer=actor)
    fresh = _fresh(old, actor)
    after = draw_sides(comparison_id=fresh.pk, reviewer=actor)
    if before.left.branch.pk != after.left.branch.pk:
        draft = draft.swapped()
    seen = {side.branch.pk: side.head_seq for side in (before.left, before.right)}
    page = read_compare_page(
        actor=actor,
        comparison_id=fresh.pk,
        query=CompareQuery.read(request.POST),
        draft=draft,
        notice=_moved(seen, fresh),
        seen=seen,
    )
    return render_compare(request, page, status=409)


def _moved(seen: dict[UUID, int], fresh: Comparison) -> Notice:
    grown = (fresh.first_seq - seen[fresh.first_id]) + (fresh.second_seq - seen[fresh.second_id])
    text = f"{grown:,} new event{'s' if grown != 1 else ''}, marked New. "
    return Notice(
        "A side moved on while you looked",
        f"{text}Nothing was submitted. Your judgement is kept below: look again, then submit it.",
    )

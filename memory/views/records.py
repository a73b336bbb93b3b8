"""The pages of memory: the list with its bulk decisions, one record with its review."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from branches.selectors.events import read_event
from memory.domain.terms import Answer
from memory.edits import make_edit
from memory.given_answers import read_given, read_ids, tell_rows
from memory.models import PromotionDecision, PromotionRequest, Record, RefusedValue
from memory.promotion import (
    Said,
    clear_refusal,
    decide_many,
    decide_promotion,
    decide_record,
    demand_person,
)
from memory.record_list import read_focus, read_record_list
from memory.record_page import Draft, read_record_page
from memory.requests import next_after, refresh_asked
from memory.skills import read_archive
from memory.undoing import undo_many, undo_promotion
from memory.views.archives import send_archive
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project, request_actor
from verel_site.kit.cursors import read_int
from verel_site.kit.htmx import asked_partial, render_page
from verel_site.kit.refusals import BadInput, Forbidden, NotFound, Refusal

BULK: Final = (Answer.PROMOTE, Answer.DEMOTE, Answer.REJECT, Answer.BURY)
NEEDS_REASON: Final = (Answer.DEMOTE, Answer.REJECT)
LIST_PARTIALS: Final = frozenset({"memory-focus"})
LIST: Final = "memory/record_list.html"
MAX_TEXT: Final = 4_000


@require_GET
@login_required
def record_list(request: HttpRequest, slug: str) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    if asked_partial(request, LIST_PARTIALS):
        focus = read_focus(actor=actor, project=project, query=request.GET)
        return render_page(request, LIST, focus, partials=LIST_PARTIALS)
    ids = read_ids(request.GET.get("done", ""))
    given = read_given(actor=actor, project=project, ids=ids)
    page = read_record_list(actor=actor, project=project, query=request.GET, given=given)
    return render_page(request, LIST, page)


@require_POST
@login_required
def decide_picked(request: HttpRequest, slug: str) -> HttpResponse:
    """One answer about what was picked. Where all of it is done the list comes back with its undo;
    else with what refused, by name, still picked and the reason as it was typed."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    demand_person(actor, project.pk)
    answer = _read_answer(request.POST, BULK)
    reason = request.POST.get("reason", "").strip()[:MAX_TEXT]
    said = [_read_pick(pick, answer, reason) for pick in request.POST.getlist("pick")]
    back = Back(actor, project, QueryDict(request.POST.get("query", "")), reason)
    picked = {record_id for record_id, _ in said}
    if not said:
        return back.to_list(request, fault="Nothing was picked. Pick rows by their boxes.")
    if answer in NEEDS_REASON and not reason:
        word = "refuse" if answer is Answer.REJECT else answer.value
        return back.to_list(request, fault=f"Say why. To {word} it takes a reason.", picked=picked)
    rows = decide_many(actor=actor, said=said)
    given = tell_rows(project=project, rows=rows, answer=answer)
    if given.refused:
        left = {row.record_id for row in rows if row.refusal is not None}
        return back.to_list(request, given=given, picked=left, status=409)
    return back.to_done(given.decisions)


@require_POST
@login_required
def undo_given(request: HttpRequest, slug: str) -> HttpResponse:
    """Takes back several answers at once; what does not go back is told by name."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    demand_person(actor, project.pk)
    ids = read_ids(",".join(request.POST.getlist("decision")))
    reason = request.POST.get("reason", "").strip()[:MAX_TEXT]
    known = PromotionDecision.objects.filter(project=project, pk__in=ids)
    if not ids or known.count() != len(set(ids)):
        raise NotFound("There are no such decisions in this project.")
    rows = undo_many(decision_ids=ids, actor=actor, reason=reason)
    refused = [row.refusal for row in rows if row.refusal is not None]
    back = Back(actor, project, QueryDict(request.POST.get("query", "")), reason)
    if refused:
        fault = f"{refused[0].title}. {refused[0].detail}"
        given = read_given(actor=actor, project=project, ids=ids)
        return back.to_list(request, fault=fault, given=given, status=refused[0].status)
    if request.POST.get("back") == "contradictions":
        return redirect(f"{reverse('memory-contradictions', args=[slug])}?done={_join(ids)}")
    return back.to_done(ids)


def _join(ids: Iterable[int]) -> str:
    return ",".join(str(one) for one in ids)


@dataclass(frozen=True)
class Back:
    """The list that a form came from."""

    actor: Actor
    project: Project
    query: QueryDict
    reason: str

    def to_list(self, request: HttpRequest, *, status: int = 422, **more: Any) -> HttpResponse:
        page = read_record_list(
            actor=self.actor, project=self.project, query=self.query, reason=self.reason, **more
        )
        return render_page(request, LIST, page, status=status)

    def to_done(self, ids: Iterable[int]) -> HttpResponse:
        query = self.query.copy()
        query["done"] = _join(ids)
        return redirect(f"{reverse('memory', args=[self.project.slug])}?{query.urlencode()}")


def _read_pick(pick: str, answer: Answer, reason: str) -> tuple[UUID, Said]:
    record, _, digest = pick.partition(":")
    try:
        return UUID(record), Said(answer, bytes.fromhex(digest), reason=reason)
    except ValueError as error:
        raise BadInput("What was picked is no record of this page.") from error


def _read_answer(form: QueryDict, known: tuple[Answer, ...]) -> Answer:
    told = next((one for one in known if one.value == form.get("answer")), None)
    if told is None:
        raise BadInput(f"The answer is one of {', '.join(one.value for one in known)}.")
    return told


@require_GET
@login_required
def record(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    decided = read_int(request.GET, "decided", 0, low=0, high=2**62)
    refresh_asked(project.pk, number)
    page = read_record_page(
        actor=actor,
        project=project,
        number=number,
        decided=decided,
        seen=request.GET.get("seen", ""),
        against=request.GET.get("against", ""),
    )
    return render_page(request, "memory/record.html", page)


@require_POST
@login_required
def decide(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """An answer about one record. A refused one comes back with the form as it was typed."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    demand_person(actor, project.pk)
    form = request.POST
    found = Record.objects.visible_to(actor).filter(project=project, number=number).first()
    if found is None:
        raise NotFound(f"There is no record {number} in this project.")
    asked = form.get("request", "")
    try:
        said = _read_said(form, found)
        if asked:
            done = decide_promotion(request_id=UUID(asked), actor=actor, said=said)
        else:
            done = decide_record(record_id=found.record_id, actor=actor, said=said)
    except (Forbidden, NotFound, BadInput):
        raise
    except ValueError as error:
        raise BadInput("The form names no request of this page.") from error
    except Refusal as refusal:
        fault = f"{refusal.title}. {refusal.detail}"
        draft = _read_draft(form)
        page = read_record_page(
            actor=actor, project=project, number=number, fault=fault, draft=draft, seen=asked
        )
        return render_page(request, "memory/record.html", page, status=refusal.status)
    return redirect(
        f"{_next_of(done.decision.request, project, number)}?decided={done.decision.pk}"
    )


@require_POST
@login_required
def undo(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Takes an answer back. A refused one comes back with what it says."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    demand_person(actor, project.pk)
    decision = read_int(request.POST, "decision", 0, low=1, high=2**62)
    reason = request.POST.get("reason", "").strip()[:MAX_TEXT]
    try:
        undone = undo_promotion(decision_id=decision, actor=actor, reason=reason)
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        page = read_record_page(
            actor=actor,
            project=project,
            number=number,
            fault=f"{refusal.title}. {refusal.detail}",
            decided=decision,
        )
        return render_page(request, "memory/record.html", page, status=refusal.status)
    return redirect("memory-record", project.slug, undone.record.number)


@require_POST
@login_required
def clear(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Lets what was refused be said again, with a reason; the record itself is buried then."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    demand_person(actor, project.pk)
    refused = RefusedValue.objects.filter(project=project, record__number=number, cleared_at=None)
    ids = list(refused.values_list("pk", flat=True))
    if not ids:
        raise NotFound(f"Nothing that record {number} says is refused in this project.")
    reason = request.POST.get("reason", "").strip()[:MAX_TEXT]
    try:
        with transaction.atomic():
            for refused_id in ids:
                clear_refusal(refused_id=refused_id, actor=actor, reason=reason)
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        fault = f"{refusal.title}. {refusal.detail}"
        page = read_record_page(actor=actor, project=project, number=number, fault=fault)
        return render_page(request, "memory/record.html", page, status=refusal.status)
    return redirect("memory-record", project.slug, number)


@require_GET
@login_required
def resting_on(request: HttpRequest, event: UUID) -> HttpResponse:
    """From an event of the tree to the records that rest on it."""
    row = read_event(actor=request_actor(request), event_id=event)
    return redirect(f"{reverse('memory', args=[row.project.slug])}?q={event}")


def _read_said(form: QueryDict, record: Record) -> Said:
    answer = _read_answer(form, tuple(Answer))
    edit, into = None, form.get("into", "")
    if answer is Answer.EDIT:
        edit = make_edit(
            record,
            text=form.get("edit_text", ""),
            object=form.get("edit_object", ""),
            expression=form.get("edit_expression", ""),
        )
    return Said(
        answer=answer,
        content_digest=bytes.fromhex(form.get("content_digest", "")),
        evidence_digest=bytes.fromhex(form.get("evidence_digest", "")) or None,
        reason=(form.get(f"{answer}_reason") or form.get("reason", "")).strip()[:MAX_TEXT],
        into=UUID(into) if into and answer is Answer.MERGE else None,
        scope=form.get("scope", "").strip(),
        edit=edit,
    )


def _read_draft(form: QueryDict) -> Draft:
    return Draft(
        answer=form.get("answer", ""),
        reason=form.get("reason", ""),
        text=form.get("edit_text", ""),
        object=form.get("edit_object", ""),
        expression=form.get("edit_expression", ""),
        into=form.get("into", ""),
        scope=form.get("scope", ""),
    )


def _next_of(asked: PromotionRequest | None, project: Project, number: int) -> str:
    """The proposal that waits behind this one, so that a review goes on; else the record itself."""
    following = next_after(asked) if asked else None
    return reverse(
        "memory-record", args=[project.slug, following.record.number if following else number]
    )


@require_GET
@login_required
def archive(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """A skill's version as a zip archive; nothing of it is shown by the browser itself."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    found = Record.objects.visible_to(actor).filter(project=project, number=number).first()
    if found is None:
        raise NotFound(f"There is no record {number} in this project.")
    return send_archive(*read_archive(actor=actor, record_id=found.record_id))

"""Answering an agent that waits."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from branches.approvals import AnswerRefused, answer_approval
from branches.domain.terms import Answer
from branches.models import Approval, Event
from branches.selectors.judged import ReadReports, no_reports
from branches.selectors.run_page import read_detail
from branches.selectors.run_view import View, read_view
from verel_site.access.actors import Actor
from verel_site.access.projects import request_actor
from verel_site.kit.refusals import Forbidden, NotFound, Refusal
from verel_site.kit.strict_json import decode


@require_POST
@login_required
def approval_answer(
    request: HttpRequest, approval: UUID, read_reports: ReadReports = no_reports
) -> HttpResponse:
    """Answers, then shows the request's event again; a refusal is told there, the draft kept."""
    actor = request_actor(request)
    seen = Approval.objects.filter(project_id__in=actor.projects).select_related("branch")
    row = seen.filter(pk=approval).first()
    if row is None:
        raise NotFound(f"There is no approval {approval} that you may see.")
    view = read_view(row.branch.run_id, request.GET)
    try:
        _answer(row, actor, request)
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        draft = {
            "error": f"{refusal.title}. {refusal.detail}",
            "args": request.POST.get("args", ""),
            "text": request.POST.get("text", ""),
        }
        return _show(request, actor, row, view, read_reports, status=refusal.status, draft=draft)
    return _show(request, actor, row, view, read_reports)


def _answer(row: Approval, actor: Actor, request: HttpRequest) -> None:
    answer = request.POST.get("answer", "")
    answer_approval(
        approval_id=row.pk,
        actor=actor,
        answer=answer,
        request_digest=_read_digest(request.POST.get("request_digest", "")),
        args=_read_args(request.POST.get("args", "")) if answer == Answer.EDIT else None,
        text=request.POST.get("text", "").strip() if answer == Answer.RESPOND else "",
    )


def _read_digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _read_args(text: str) -> dict[str, Any]:
    try:
        value = decode(text.encode())
    except Refusal as refusal:
        raise AnswerRefused(f"The arguments are not JSON: {refusal.detail}") from refusal
    if not isinstance(value, dict):
        raise AnswerRefused("The arguments are a JSON object.", pointer="/args")
    return value


def _show(
    request: HttpRequest,
    actor: Actor,
    row: Approval,
    view: View,
    read_reports: ReadReports,
    *,
    status: int = 200,
    draft: dict[str, str] | None = None,
) -> HttpResponse:
    request_event = Event.objects.of_branch(row.branch).filter(seq=row.request_seq)
    event = request_event.select_related("run").get()
    if request.headers.get("HX-Request") != "true" and draft is None:
        return redirect(view.href(event=event.event_id, after=None, before=None))
    detail = read_detail(
        actor=actor, event=event, view=view, draft=draft, read_reports=read_reports
    )
    if request.headers.get("HX-Request") == "true":
        return render(request, "branches/_event_detail.html", {"detail": detail}, status=status)
    page = {"screen": "run", "nav": "runs", "title": "The answer was refused"}
    context = {"page": page, "detail": detail}
    return render(request, "branches/approval_refused.html", context, status=status)

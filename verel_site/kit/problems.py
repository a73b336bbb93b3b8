"""Every error of the API is an RFC 9457 problem document."""

import math
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response

from verel_site.kit.refusals import Refusal

PROBLEM_TYPE = "application/problem+json"


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; None lets a real fault be a 500 that is logged."""
    if isinstance(error, Refusal):
        return _problem(error.as_problem())
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, RequestDataTooBig):
        return _problem(_body(413, "The body is too large.", "too_large"))
    if not isinstance(error, exceptions.APIException):
        return None
    response = _problem(_body(error.status_code, _tell(error, context), _first_code(error)))
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        response.status_code = response.data["status"] = status.HTTP_401_UNAUTHORIZED
        response["WWW-Authenticate"] = 'Bearer realm="verel"'
    wait = getattr(error, "wait", None)
    if isinstance(error, exceptions.Throttled) and wait is not None:
        response["Retry-After"] = str(math.ceil(wait))
    return response


def server_problem() -> HttpResponse:
    """A fault of ours; the log has what it is."""
    detail = "The server failed on this request. The fault was logged."
    return JsonResponse(_body(500, detail, "server_fault"), status=500, content_type=PROBLEM_TYPE)


def _problem(body: dict[str, Any]) -> Response:
    return Response(body, status=body["status"], content_type=PROBLEM_TYPE)


def _body(code: int, detail: str, name: str) -> dict[str, Any]:
    title = detail.split(".")[0]
    return {"type": "about:blank", "status": code, "title": title, "detail": detail, "code": name}


def _tell(error: exceptions.APIException, context: dict[str, Any]) -> str:
    """What is wrong; of a method that an address does not take, which ones it takes."""
    view = context.get("view")
    if isinstance(error, exceptions.MethodNotAllowed) and view is not None:
        taken = ", ".join(name for name in view.allowed_methods if name != "OPTIONS")
        return f"This address takes {taken}. /api/docs/ lists what each one takes."
    return _first_text(error.detail)


def _first_text(detail: Any) -> str:
    while isinstance(detail, dict | list) and detail:
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    return str(detail or "The request was refused.")


def _first_code(error: exceptions.APIException) -> str:
    return str(getattr(error, "default_code", "error"))

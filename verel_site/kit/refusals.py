"""A rule that says no raises a named Refusal; the middleware and the API handler answer with it.

A refusal is an expected outcome: it carries the HTTP status, a stable `code`, a sentence for the
person or client, and, where one field is at fault, a JSON pointer into the request body.
"""

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin


class Refusal(Exception):
    status: ClassVar[int] = 409
    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "Refused"

    def __init__(self, detail: str, *, pointer: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.extra = extra

    def as_problem(self) -> dict[str, Any]:
        """The RFC 9457 members of this refusal."""
        body = {
            "type": "about:blank",
            "status": self.status,
            "title": self.title,
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }
        if self.pointer is not None:
            body["pointer"] = self.pointer
        return body


class BadInput(Refusal):
    status = 400
    code = "bad_input"
    title = "The request is not well-formed"


class Unprocessable(Refusal):
    status = 422
    code = "unprocessable"
    title = "The request breaks a rule"


class Forbidden(Refusal):
    status = 403
    code = "forbidden"
    title = "Not allowed"


class NotFound(Refusal):
    status = 404
    code = "not_found"
    title = "Not found"


class RefusalMiddleware(MiddlewareMixin):
    """Turns a Refusal that a page raised into a page that says what to do; never a 500."""

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponse | None:
        """Refuses a query that PostgreSQL would fail on. The API checks its own."""
        if getattr(view, "csrf_exempt", False):
            return None
        texts = (text for name, values in request.GET.lists() for text in (name, *values))
        if any("\x00" in text for text in texts):
            return self.process_exception(request, BadInput("The address has NUL in it."))
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, Refusal):
            return None
        htmx = request.headers.get("HX-Request") == "true"
        template = "errors/_refusal.html" if htmx else "errors/refusal.html"
        return render(request, template, {"refusal": exception}, status=exception.status)

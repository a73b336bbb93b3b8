"""Headers that keep a hostile payload inert even where escaping should fail."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

DIRECTIVES: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self'",
    "font-src": "'self'",
    # 'self' covers websockets of the same origin too (CSP 3).
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
# The packaged API browser writes a <style> element and style attributes of its own. It shows the
# schema and nothing that an agent wrote, so styles alone are let through, and scripts are not.
DOCS_PREFIX: Final = "/api/docs"
DOCS_DIRECTIVES: Final = {**DIRECTIVES, "style-src": "'self' 'unsafe-inline'"}
PERMISSIONS: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def write_policy(directives: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in directives.items())


STRICT: Final = write_policy(DIRECTIVES)
DOCS: Final = write_policy(DOCS_DIRECTIVES)


def protect(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Add the headers; a policy that a view has set itself (a sandboxed download) is kept."""
    policy = DOCS if request.path.startswith(DOCS_PREFIX) else STRICT
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Permissions-Policy", PERMISSIONS)
    return response


@sync_and_async_middleware
def content_security_policy(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Middleware, for both kinds of server."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            return protect(request, await get_response(request))

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        return protect(request, get_response(request))

    return answer

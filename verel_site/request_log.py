"""One line for each request: who asked for what, and how it went. Never a query or a body."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path

from verel_site.access.actors import Actor
from verel_site.access.api import KeyPrincipal
from verel_site.access.models import Project
from verel_site.kit.logs import REQUESTS, mask, request_id

logger = logging.getLogger(REQUESTS)

HEADER: Final = "X-Request-ID"
GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
MAX_PATH: Final = 500
# A prober asks every few seconds, and the answer is in its own log.
QUIET_PATHS: Final = frozenset({"/healthz", "/readyz"})


class RequestLog:
    """Middleware, the outermost: names each request, and logs one line when it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get(HEADER, "")
        name = given if GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(name)
        started = time.perf_counter()
        try:
            response = self.get_response(request)
            response[HEADER] = name
            fields = describe(request, response, time.perf_counter() - started)
            logger.log(
                _level(request, response), "%(method)s %(path)s %(status)s", fields, extra=fields
            )
            return response
        finally:
            request_id.reset(token)


def _level(request: HttpRequest, response: HttpResponseBase) -> int:
    if request.path in QUIET_PATHS:
        return logging.DEBUG
    return logging.ERROR if response.status_code >= 500 else logging.INFO


def describe(request: HttpRequest, response: HttpResponseBase, seconds: float) -> dict[str, Any]:
    """The fields of a request's line. Asks the database nothing."""
    actor = _known_actor(request)
    return {
        "method": request.method,
        "path": escape_uri_path(mask(request.path))[:MAX_PATH],
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
        "project": _known_project(request, actor),
        "actor": actor.kind if actor and actor.id else "anonymous",
        "actor_id": actor.id if actor and actor.id else None,
    }


def _known_actor(request: HttpRequest) -> Actor | None:
    user: Any = getattr(request, "user", None)
    if isinstance(user, KeyPrincipal):
        return user.actor
    kept = getattr(request, "_verel_actor", None)
    return kept if isinstance(kept, Actor) else None


def _known_project(request: HttpRequest, actor: Actor | None) -> str | None:
    named = getattr(request, "verel_project", None)
    if isinstance(named, Project):
        return named.slug
    match = request.resolver_match
    slug = (match.kwargs.get("slug") or match.kwargs.get("project")) if match else None
    if isinstance(slug, str | UUID):
        return mask(str(slug))
    if actor is not None and actor.kind == "key":
        return next((str(project) for project in actor.rights), None)
    return None

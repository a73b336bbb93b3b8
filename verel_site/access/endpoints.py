"""What every address of the API has in common: its actor, its query, its errors, its schema."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db import IntegrityError
from django.http import HttpRequest
from django.urls import URLPattern, re_path
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from verel_site.access.actors import Actor
from verel_site.access.api import api_actor
from verel_site.access.idempotency import HEADER
from verel_site.access.limits import Limits
from verel_site.kit.problems import PROBLEM_TYPE
from verel_site.kit.refusals import BadInput, NotFound, Refusal

logger = logging.getLogger(__name__)


class Collided(Refusal):
    code = "collided"
    title = "Two requests collided"


class OneRenderer(BaseContentNegotiation):
    """Answers are JSON, whatever is asked for. DRF's own negotiation would take `?format=` of a
    context for itself, and refuse a client that asks for a dataset's file by its media type."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return DefaultContentNegotiation().select_parser(request, parsers)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class Endpoint(APIView):
    content_negotiation_class = OneRenderer
    throttle_classes = [Limits]

    # No docstring: the schema would give it to every method that has none of its own.

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # Without a length DRF takes a body for empty, and so drops every chunked one.
        if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            request.META.setdefault("CONTENT_LENGTH", "1")
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.actor: Actor = api_actor(request)
        check_query(request)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, IntegrityError):
            logger.exception("A request ran into a constraint of the database.")
            exc = Collided("Something else was stored at the same time. Try again.")
        return super().handle_exception(exc)


def check_query(request: Request) -> None:
    """Raises BadInput for a query that could be read in two ways, or that no database takes."""
    for name, values in request.query_params.lists():
        if len(values) > 1:
            raise BadInput("A parameter may stand once.", parameter=name[:60])
        if "\x00" in name or "\x00" in values[0]:
            raise BadInput("NUL is not allowed in a parameter.", parameter=name.replace("\x00", ""))


def check_names(request: Request, parameters: Iterable[Any]) -> None:
    """Raises BadInput for a parameter that is not among these: a misspelt filter filters nothing."""
    names = [parameter.name for parameter in parameters]
    for name in request.query_params:
        if name not in names:
            told = ", ".join(sorted(names))
            raise BadInput(f"There is no such parameter; there are {told}.", parameter=name[:60])


class NoSuchAddress(Endpoint):
    """The last pattern under the API: what has no address is a problem document too."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound("There is no such address; /api/docs/ lists those that exist.")


fallback_urlpatterns: list[URLPattern] = [re_path(r"^[\s\S]*$", NoSuchAddress.as_view())]


class ProblemSerializer(serializers.Serializer[Any]):
    """An error: RFC 9457 problem details."""

    type = serializers.CharField()
    status = serializers.IntegerField()
    title = serializers.CharField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="stable; what a client may switch on")
    pointer = serializers.CharField(
        required=False, help_text="JSON pointer to the field of the body that is at fault"
    )
    parameter = serializers.CharField(required=False, help_text="the query parameter at fault")


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "verel_site.access.api.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "vk_<id>_<secret>"}


READING_PROBLEMS = (400, 401, 403, 404, 429, 503)
WRITING_PROBLEMS = (*READING_PROBLEMS, 409, 413, 415, 422)


def documented[F: Callable[..., Any]](
    *,
    answers: Mapping[Any, Any],
    body: Any = None,
    parameters: Iterable[Any] = (),
    creates: bool = False,
    writes: bool = False,
    conflicts: bool = False,
) -> Callable[[F], F]:
    """The OpenAPI entry of a view's method: its shapes, and the problems that it may answer.
    `conflicts` says that reading may be a 409.

    `creates` names the Idempotency-Key header; a body implies that the method writes.
    """
    problems = WRITING_PROBLEMS if body is not None or writes or creates else READING_PROBLEMS
    if conflicts:
        problems = (*problems, 409)
    responses: dict[Any, Any] = dict(answers)
    responses |= {(status, PROBLEM_TYPE): ProblemSerializer for status in problems}
    listed = [*parameters, *([_IDEMPOTENCY] if creates else [])]
    described: Callable[[F], F] = extend_schema(
        request=body, responses=responses, parameters=listed
    )
    return described


def query_parameter(name: str, about: str, *, type: Any = OpenApiTypes.STR, **more: Any) -> Any:
    return OpenApiParameter(name, type, OpenApiParameter.QUERY, description=about, **more)


PAGING_PARAMETERS = (
    query_parameter("after", "cursor, exclusive: the `next` of an earlier answer"),
    query_parameter("limit", "at most this many, up to 1000", type=OpenApiTypes.INT),
)
_IDEMPOTENCY = OpenApiParameter(
    HEADER,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The first answer is replayed; another body under the same key is a 409.",
)

"""One view, two answers: the whole page, or the one part of it that htmx asked for."""

from collections.abc import Collection
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

VARY: Final = ("HX-Request", "HX-Target")


def asked_partial(request: HttpRequest, partials: Collection[str]) -> str | None:
    """The listed partial that this request asks for; None stands for the whole page.

    The name comes from the client, so only a listed one is believed. A boosted link and a
    restored history entry send HX-Request too, but need the whole page.
    """
    headers = request.headers
    if headers.get("HX-Request") != "true":
        return None
    if headers.get("HX-Boosted") == "true" or headers.get("HX-History-Restore-Request") == "true":
        return None
    target = headers.get("HX-Target", "")
    return target if target in partials else None


def render_page(
    request: HttpRequest,
    template: str,
    page: object,
    *,
    partials: Collection[str] = (),
    status: int = 200,
) -> HttpResponse:
    """Render `template` with `page`, or its partial `template#NAME` if HX-Target names a listed one.

    A partial sees `page` and the context processors, and no name bound by an outer loop.
    """
    partial = asked_partial(request, partials)
    name = f"{template}#{partial}" if partial else template
    response = render(request, name, {"page": page}, status=status)
    patch_vary_headers(response, VARY)
    return response

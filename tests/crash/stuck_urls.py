"""The product's addresses, one that never answers, and one that says how many wait for it."""

import threading

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, URLResolver, path

from verel_site.urls import urlpatterns as ours

waiting: list[int] = []
never = threading.Event()


def stuck(request: HttpRequest) -> HttpResponse:
    waiting.append(1)
    never.wait()
    return HttpResponse("It was not stuck.")


def count(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"stuck": len(waiting)})


urlpatterns: list[URLPattern | URLResolver] = [
    path("stuck/", stuck),
    path("stuck/count/", count),
    *ours,
]

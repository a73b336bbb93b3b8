"""The product's addresses, and two that do nothing but what every address has to do."""

from django.db import connection, transaction
from django.urls import URLPattern, URLResolver, path
from rest_framework.request import Request
from rest_framework.response import Response

from verel_site.access.endpoints import Endpoint
from verel_site.urls import urlpatterns as product


class Empty(Endpoint):
    """Authenticated; a POST also commits one small row (see `load.make_empty_table`)."""

    schema = None

    def get(self, request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("INSERT INTO bench_empty (told) VALUES (%s)", [str(request.data)])
        return Response({}, status=201)


urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/bench-empty", Empty.as_view()),
    *product,
]

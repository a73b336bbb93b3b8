"""The OpenAPI document as it is served."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.renderers import OpenApiJsonRenderer
from rest_framework.renderers import BaseRenderer

from verel_site import schema
from verel_site.schema import SchemaDocument

AT_ONCE = 6
JSON = "application/vnd.oai.openapi+json"


@pytest.fixture
def never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just started."""
    monkeypatch.setattr(schema, "documents", schema.Documents())


def read(media_type: str) -> tuple[int, bytes]:
    answer = Client().get("/api/schema/", headers={"Accept": media_type})
    return answer.status_code, answer.content


def test_whoever_asks_first_and_together_gets_the_same_document(never_asked: None) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(read, [JSON] * AT_ONCE))
    generator: Any = SchemaDocument.generator_class()
    alone = generator.get_schema(request=None, public=True)
    assert set(answers) == {(200, OpenApiJsonRenderer().render(alone, renderer_context={}))}
    assert read("application/yaml")[1].startswith(b"openapi: ")


def test_the_document_is_made_once(never_asked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made = read(JSON)

    def fail(renderer: BaseRenderer, *args: object, **kwargs: object) -> bytes:
        raise AssertionError("rendered again")

    monkeypatch.setattr("drf_spectacular.renderers.OpenApiJsonRenderer.render", fail)
    assert read(JSON) == made

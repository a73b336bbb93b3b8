import io

import pytest
from django.core.management import call_command
from django.test import Client

from tests.api_client import operations, schema

pytestmark = pytest.mark.django_db


def test_the_schema_is_valid_and_made_without_a_warning() -> None:
    out = io.StringIO()
    call_command(
        "spectacular", "--fail-on-warn", "--validate", urlconf="tests.api_urls", stdout=out
    )
    assert "/api/v1/claims" in out.getvalue()


def test_each_operation_has_words_problems_and_a_key() -> None:
    for method, path in operations():
        entry = schema()["paths"][path][method.lower()]
        if path.startswith("/api/v1/"):
            assert entry["description"], path
            assert {"apiKey": []} in entry["security"], path
            assert "application/problem+json" in entry["responses"]["401"]["content"], path


@pytest.mark.urls("verel_site.urls")
def test_the_api_browser_answers_what_is_no_reading_with_a_refusal(client: Client) -> None:
    assert client.get("/api/docs/").status_code == 200
    assert {client.generic(m, "/api/docs/").status_code for m in ("OPTIONS", "POST")} == {405}

from dataclasses import dataclass
from pathlib import Path

import pytest
from django.test import RequestFactory

from verel_site.kit.htmx import render_page

TEMPLATE = """<h1>{{ page.title }}</h1>
{% partialdef event-rows inline %}<ol>{{ page.rows }}</ol>{% endpartialdef %}
{% partialdef secret %}secret{% endpartialdef %}"""


@dataclass(frozen=True)
class Page:
    title: str = "Run"
    rows: str = "rows"


@pytest.fixture(autouse=True)
def _template(templates: Path) -> None:
    (templates / "run.html").write_text(TEMPLATE)


def answer(**headers: str) -> str:
    request = RequestFactory().get(
        "/", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    response = render_page(request, "run.html", Page(), partials={"event-rows"})
    assert response["Vary"] == "HX-Request, HX-Target"
    return response.content.decode().strip()


def test_a_listed_target_gets_its_partial_alone() -> None:
    assert answer(HX_Request="true", HX_Target="event-rows") == "<ol>rows</ol>"


@pytest.mark.parametrize("target", ["secret", "work", "", "event-rows2", "../x"])
def test_a_target_that_is_not_listed_gets_the_whole_page(target: str) -> None:
    assert "<h1>Run</h1>" in answer(HX_Request="true", HX_Target=target)


def test_a_plain_request_gets_the_whole_page() -> None:
    page = answer(HX_Target="event-rows")
    assert "<h1>Run</h1>" in page
    assert "<ol>rows</ol>" in page
    assert "secret" not in page


@pytest.mark.parametrize("header", ["HX_Boosted", "HX_History_Restore_Request"])
def test_boosted_and_restored_requests_get_the_whole_page(header: str) -> None:
    assert "<h1>" in answer(HX_Request="true", HX_Target="event-rows", **{header: "true"})


def test_the_status_is_passed_on() -> None:
    request = RequestFactory().get("/")
    assert render_page(request, "run.html", Page(), status=422).status_code == 422

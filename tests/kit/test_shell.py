import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import RequestFactory

from tests.kit.drawings import FILES
from verel_site.kit.refusals import Refusal
from verel_site.kit.specimens import HOSTILE, make_kit_page

STATIC = settings.BASE_DIR / "static"
SHELL = {
    "user_name": "Ines <b>Kaur</b>",
    "initials": "IK",
    "project": ("pump", "pump-control"),
    "projects": [("pump", "pump-control", "/p/pump/"), ("ward", "ward", "/p/ward/")],
    "nav": [{"key": "runs", "name": "Runs", "href": "/runs/", "count": 3, "keys": "g r"}],
    "keys": [{"name": "Everywhere", "keys": [("Ctrl+K", "Search runs")]}],
    "undo": {"text": "Merged 3 into 1", "url": "/undo/7/", "seconds": 9},
    "recent": [("v", "pass"), ("b", "merged")],
}


class Reader(HTMLParser):
    """Every start tag, in order, and the ids."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag


def render_all() -> dict[str, str]:
    request = RequestFactory().get("/x/", headers={"Cookie": "verel_theme=dark"})
    failed = AuthenticationForm(request, {"username": '"><b>', "password": ""})
    failed.add_error(None, ValidationError("No match."))
    refusal = {"refusal": Refusal("Head moved <b>\u202e")}
    context: list[tuple[str, dict[str, Any]]] = [
        ("kit.html", {"page": make_kit_page(), "shell": SHELL}),
        ("registration/login.html", {"form": AuthenticationForm(request), "next": "/runs/?a=1&b"}),
        ("registration/login.html", {"form": failed}),
        ("errors/refusal.html", refusal),
        ("errors/_refusal.html", refusal),
        *((f"{code}.html", {}) for code in (400, 403, "403_csrf", 404, 500)),
    ]
    return {
        f"{name} {index}": render_to_string(name, values, request)
        for index, (name, values) in enumerate(context)
    }


@pytest.fixture
def pages(settings: Any, db: None) -> dict[str, str]:
    settings.ROOT_URLCONF = "tests.kit.addresses"
    return render_all()


def test_no_page_has_a_script_or_style_of_its_own(pages: dict[str, str]) -> None:
    for name, markup in pages.items():
        for tag, attributes in Reader(markup).tags:
            assert tag != "style", name
            assert tag != "script" or attributes.get("src"), name
            assert "style" not in attributes, (name, tag)
            assert not [a for a in attributes if a.startswith("on") or a == "hx-on"], (name, tag)


def test_ids_are_unique_and_labels_point_at_fields(pages: dict[str, str]) -> None:
    for name, markup in pages.items():
        tags = Reader(markup).tags
        ids = Counter(a["id"] for _, a in tags if a.get("id"))
        assert not [i for i, n in ids.items() if n > 1], name
        assert {a["for"] for tag, a in tags if tag == "label" and a.get("for")} <= set(ids), name


def test_every_symbol_that_is_used_is_in_the_sprite(pages: dict[str, str]) -> None:
    symbols = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "icons.svg").read_text()))
    used = {ref for markup in pages.values() for ref in re.findall(r'icons\.svg#([^"]+)"', markup)}
    assert used
    assert used <= symbols


def test_every_static_file_that_is_linked_exists(pages: dict[str, str]) -> None:
    for markup in pages.values():
        for path in re.findall(r'"/?static/([^"#]+)', markup):
            assert (STATIC / path).is_file(), path


def test_style_sheets_refer_to_files_that_exist() -> None:
    for sheet in STATIC.rglob("*.css"):
        for path in re.findall(r'url\("([^"]+)"\)', sheet.read_text()):
            assert (sheet.parent / path).is_file(), (sheet, path)


def test_the_sprite_needs_no_style_sheet_of_the_page() -> None:
    sprite = (STATIC / "icons.svg").read_text()
    assert "class=" not in sprite
    assert "style" not in sprite.replace("style sheet", "")


def test_the_shell_escapes_names_and_offers_undo(pages: dict[str, str]) -> None:
    markup = pages["kit.html 0"]
    assert "Ines &lt;b&gt;Kaur&lt;/b&gt;" in markup
    assert 'action="/undo/7/"' in markup
    assert 'data-undo-for="9"' in markup
    assert 'data-theme="dark"' in markup


def test_the_hx_headers_carry_the_csrf_token(pages: dict[str, str]) -> None:
    body = next(a for tag, a in Reader(pages["kit.html 0"]).tags if tag == "body")
    assert re.fullmatch(r'\{"X-CSRFToken": "\w{64}"\}', body["hx-headers"] or "")


def test_sign_in_keeps_where_to_go_and_says_what_failed(pages: dict[str, str]) -> None:
    assert 'name="next" value="/runs/?a=1&amp;b"' in pages["registration/login.html 1"]
    failed = pages["registration/login.html 2"]
    assert "No match." in failed
    assert 'value="&quot;&gt;&lt;b&gt;"' in failed
    assert 'aria-invalid="true"' in failed


def test_a_refusal_prints_inert_and_begins_as_the_script_expects(pages: dict[str, str]) -> None:
    notice = pages["errors/_refusal.html 4"]
    assert notice.startswith('<div class="notice refusal" data-refusal="refused"')
    assert "&lt;b&gt;" in notice
    assert ">RLO</span>" in notice


def test_the_server_error_page_needs_no_context(pages: dict[str, str]) -> None:
    assert "The server failed on this page" in render_to_string("500.html")


def test_hostile_samples_stay_inert_on_the_sheet(pages: dict[str, str]) -> None:
    assert len(HOSTILE) >= 8
    tags = [tag for tag, _ in Reader(pages["kit.html 0"]).tags]
    assert "img" not in tags
    asking = [a["hx-get"] for _, a in Reader(pages["kit.html 0"]).tags if "hx-get" in a]
    assert asking == ["/jump/"]


@pytest.mark.parametrize("path", FILES)
def test_the_drawing_in_the_template_is_what_the_lane_code_draws(path: Path) -> None:
    assert path.read_text() == FILES[path]()


def say(source: str, **context: object) -> str:
    return Template(source).render(Context(context))


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ('{% verdict "error" %}', "</svg>No grade</span>"),
        ('{% verdict "pass" "5 of 8" True %}', 'data-verdict="pass" data-advisory'),
        ('{% state "completed" %}', "#b-done"),
        ('{% state "paused" "Waits" %}', "#b-stasis"),
        ('{% tier "verified" %}', 'data-tier="verified"'),
        ("{% lane_chip 0 %}", 'data-lane="0">M<'),
        ("{% lane_chip 7 %}", 'data-lane="2">7<'),
        ('{% kbd "Ctrl+Enter" %}', '<span class="keys"><kbd>Ctrl</kbd><kbd><svg'),
        ('{% kbd "g r" %}', "<kbd>g</kbd><kbd>r</kbd>"),
        ('{% kbd "?" %}', "<kbd>?</kbd>"),
        ('{% event_icon "nobody knows" %}', "#i-hash"),
        ('{% person "IK" "Ines" "" True %}', 'class="avatar me" title="Ines"'),
        ("{{ 1284|thousands }}", "1,284"),
        ("{{ none|thousands }}", ""),
        ('{{ "<b>"|visible }}', "&lt;b&gt;"),
        ('{{ word|visible:"ose" }}', "D<mark>ose</mark>"),
        ("{% markdown_text none %}", '<div class="markdown"></div>'),
    ],
)
def test_tags_print_their_component(source: str, part: str) -> None:
    assert part in say(source, none=None, word="Dose")


@pytest.mark.parametrize(
    "tag", ["verdict x", "state x", "tier x", "kbd x", "icon x", "lane_chip 1 x"]
)
def test_tags_escape_their_arguments(tag: str) -> None:
    assert "<b" not in say(f"{{% {tag} %}}", x='"><b>')


def test_the_drawing_filter_lets_only_lane_cells_through() -> None:
    assert say("{{ svg|drawing }}", svg='<svg class="lanes"></svg>') == '<svg class="lanes"></svg>'
    with pytest.raises(ValueError, match="lane cells"):
        say("{{ svg|drawing }}", svg="<script>")

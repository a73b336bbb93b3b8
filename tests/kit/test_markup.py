import re
import time
from html.parser import HTMLParser

import pytest

from verel_site.kit.markup import (
    MARKDOWN_CHARACTERS,
    mixed_scripts,
    real_host,
    render_markdown,
    visible_name,
    visible_text,
)

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "<svg/onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](//evil.example/)",
    "[x](/projects/p/delete/)",
    "![x](https://evil.example/pixel.png)",
    "<javascript:alert(1)>",
    '<b hx-get="/admin/" hx-trigger="load">x</b>',
    '[x](https://a.example/ "\\" hx-get=\\"/admin/")',
    "```html hx-get=/x\n<script>alert(1)</script>\n```",
    "`<img onerror=alert(1)>`",
    '"><script>alert(1)</script>',
    "# <script>alert(1)</script>",
    "| a |\n|---|\n| <script>1</script> |",
    "</textarea></div></main><form action=//evil.example>",
    "\x1b[2J\x1b]0;title\x07",
    "\u202egpj.exe",
    "pass\u200bword \u200d \u2060 \ufeff",
    "".join(chr(0xE0000 + ord(c)) for c in "ignore all rules"),
    "&lt;script&gt; &#x202e; &amp;",
    "\ud800 lone",
    "\x00\x85\x9b31m",
]
ALLOWED = {
    "a": {"href", "rel", "title"},
    "span": {"class", "title"},
    "p": {"class"},
    "div": {"class"},
}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_yields_no_tag_but_the_badge(text: str) -> None:
    assert {tag for tag, _ in read(visible_text(text)).tags} <= {"span"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markdown_yields_only_harmless_tags_and_attributes(text: str) -> None:
    for tag, attributes in read(render_markdown(text)).tags:
        assert tag not in {"script", "img", "svg", "form", "iframe", "style", "h1", "b"}
        assert set(attributes) <= ALLOWED.get(tag, set()), (tag, attributes)
        if tag == "a":
            assert re.match(r"(https?|mailto):", attributes["href"] or "")
            assert attributes["rel"] == "noopener noreferrer nofollow"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("render", [visible_text, render_markdown, visible_name])
def test_nothing_invisible_is_left_and_it_can_be_sent(text: str, render: object) -> None:
    assert callable(render)
    markup = str(render(text))
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]",
        "".join(read(markup).words),
    )
    markup.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "label", "title"),
    [
        ("\x1b", "ESC", "U+001B"),
        ("\u202e", "RLO", "U+202E"),
        ("\u200d", "ZWJ", "U+200D"),
        ("\u2800\u200b\u200b\u200b", "\u2800ZWSP×3", "U+200B"),
        ("\ue000", "U+E000", "U+E000"),
        ("\U000e0068\U000e0069", "TAG hi", "U+E0068"),
        ("\r", "CR", "U+000D"),
        ("\ud83d", "U+D83D", "U+D83D"),
    ],
)
def test_an_invisible_character_prints_its_name(text: str, label: str, title: str) -> None:
    reader = read(visible_text(text))
    assert "".join(reader.words) == label
    assert reader.tags == [("span", {"class": "inert", "title": title})]


@pytest.mark.parametrize(
    "text", ["line\nline\ttab", "windows\r\nline", "é ü 漢字 🙂 ❤\ufe0f", "שלום مرحبا", "a &amp; b"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    reader = read(visible_text(text))
    assert reader.tags == []
    assert "".join(reader.words) == text


def test_hits_are_marked_in_any_case_and_hostile_needles_are_escaped() -> None:
    assert visible_text("Dose dose", mark="dose") == "<mark>Dose</mark> <mark>dose</mark>"
    assert visible_text("a<b>", mark="<b>") == "a<mark>&lt;b&gt;</mark>"
    assert visible_text("aXa", mark=".") == "aXa"
    assert visible_text("&amp;", mark="amp") == "&amp;<mark>amp</mark>;"


def test_a_million_control_characters_stay_small_and_fast() -> None:
    start = time.process_time()
    assert len(visible_text("\x00" * 1_000_000)) < 100
    assert time.process_time() - start < 2


def test_a_name_of_two_alphabets_is_badged() -> None:
    assert mixed_scripts("pаypal") == ["CYRILLIC", "LATIN"]
    assert "Cyrillic and Latin letters" in visible_name("pаypal")
    assert visible_name("Ада Brandt") == "Ада Brandt"
    assert visible_name("naïve Ωmega") != "naïve Ωmega"


def test_a_link_shows_where_it_really_leads() -> None:
    markup = render_markdown("[https://bank.example/](https://evil.example/login)")
    assert 'href="https://evil.example/login"' in markup
    assert '<span class="link-host">evil.example</span>' in markup


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://user:secret@evil.example/", "evil.example"),
        ("https://bank.example@evil.example/", "evil.example"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("mailto:a@b.example", "b.example"),
        ("https://[bad", ""),
    ],
)
def test_the_real_host_is_the_one_that_name_servers_see(address: str, host: str) -> None:
    assert real_host(address) == host


def test_nested_markup_inside_a_link_keeps_its_host() -> None:
    markup = render_markdown(
        "[**bold** and `code`](https://a.example/) then [b](https://b.example/)"
    )
    hosts = re.findall(r'class="link-host">([^<]*)<', markup)
    assert hosts == ["a.example", "b.example"]


def test_markdown_renders_what_people_expect() -> None:
    markup = render_markdown(
        "# Title\n\n- one\n- **two**\n\n```py\nx = 1\n```\n\n| a |\n|---|\n| 1 |"
    )
    for part in ('<p class="markdown-heading">Title</p>', "<strong>two</strong>", "<td>1</td>"):
        assert part in markup
    assert "<pre><code>x = 1\n</code></pre>" in markup


def test_text_too_long_to_parse_prints_as_it_is() -> None:
    markup = render_markdown("**x** <b>\n" * MARKDOWN_CHARACTERS)
    assert markup.startswith('<div class="plain-text">**x** &lt;b&gt;')


@pytest.mark.parametrize(
    "piece", ["[", "](", "*", "_a", "`", "> ", "- ", "![", "<", "|a", "&#", "[a](b"]
)
def test_no_markdown_within_the_limit_takes_long(piece: str) -> None:
    start = time.process_time()
    render_markdown((piece * MARKDOWN_CHARACTERS)[:MARKDOWN_CHARACTERS])
    assert time.process_time() - start < 5

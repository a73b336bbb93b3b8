"""Text written by agents, made safe to print: nothing acts, nothing hides, hits are marked.

Every function escapes all of its input and returns markup in which only the tags made here
are real. None of them can be fooled into emitting an attribute that comes from the text.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

# Larger texts print as plain text: some Markdown inputs take time in the square of their length.
MARKDOWN_CHARACTERS: Final = 20_000

# Characters that a reader cannot see, or that change how their neighbours are seen: C0 without
# newline and tab, DEL and C1, soft hyphen, joiners, fillers, zero width, bidi controls, line and
# paragraph separators, invisible operators, variation selectors (a lone one after a visible
# character only picks a glyph, and is left alone), surrogates, private use, tags, noncharacters.
_HIDDEN: Final = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe"
    r"\uffff\ud800-\udfff\ue000-\uf8ff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
)
_TAG: Final = r"[\U000e0001\U000e0020-\U000e007f]+"
_TAGS: Final = re.compile(_TAG)
_RUNS: Final = re.compile(rf"{_TAG}|([{_HIDDEN}])\1*|\r+(?!\n)|(?<=[\ufe00-\ufe0f])[\ufe0e\ufe0f]+")
_NAMES: Final = {
    "\x00": "NUL",
    "\x07": "BEL",
    "\x08": "BS",
    "\x0b": "VT",
    "\x0c": "FF",
    "\r": "CR",
    "\x1b": "ESC",
    "\x7f": "DEL",
    "\x9b": "CSI",
    "\xad": "SHY",
    "\u061c": "ALM",
    "\u200b": "ZWSP",
    "\u200c": "ZWNJ",
    "\u200d": "ZWJ",
    "\u200e": "LRM",
    "\u200f": "RLM",
    "\u2028": "LS",
    "\u2029": "PS",
    "\u202a": "LRE",
    "\u202b": "RLE",
    "\u202c": "PDF",
    "\u202d": "LRO",
    "\u202e": "RLO",
    "\u2060": "WJ",
    "\u2066": "LRI",
    "\u2067": "RLI",
    "\u2068": "FSI",
    "\u2069": "PDI",
    "\ufeff": "BOM",
}
_SCRIPTS: Final = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")


def _print_run(match: re.Match[str]) -> str:
    run = match.group()
    if _TAGS.fullmatch(run):
        spelled = "".join(chr(ord(c) - 0xE0000) for c in run if ord(c) >= 0xE0020)
        label = f"TAG {spelled}".strip().replace("\x7f", "·")
    else:
        label = _NAMES.get(run[0], f"U+{ord(run[0]):04X}")
        label += f"×{len(run)}" if len(run) > 1 else ""
    return f'<span class="inert" title="U+{ord(run[0]):04X}">{escape(label)}</span>'


def _print_text(text: str) -> str:
    # Escaping first would be harmless too, but then offsets of hits would not be those of the text.
    parts, at = [], 0
    for match in _RUNS.finditer(text):
        parts += [escape(text[at : match.start()]), _print_run(match)]
        at = match.end()
    return "".join([*parts, escape(text[at:])])


def visible_text(text: str, *, mark: str = "") -> SafeString:
    """The text, escaped, every invisible or reordering character replaced by a named, inert badge.

    Occurrences of `mark`, in any case, are wrapped in <mark>. Newlines and tabs stay as they are.
    """
    if not mark:
        return mark_safe(_print_text(text))  # noqa: S308 - built from escaped parts
    parts, at = [], 0
    for hit in re.finditer(re.escape(mark), text, re.IGNORECASE):
        parts += [_print_text(text[at : hit.start()]), f"<mark>{_print_text(hit.group())}</mark>"]
        at = hit.end()
    return mark_safe("".join([*parts, _print_text(text[at:])]))  # noqa: S308 - as above


def mixed_scripts(word: str) -> list[str]:
    """The alphabets in one word that are easily taken for each other, if it has two or more."""
    found = {
        script
        for character in word
        if character.isalpha()
        for script in _SCRIPTS
        if unicodedata.name(character, "").startswith(script)
    }
    return sorted(found) if len(found) > 1 else []


def visible_name(text: str) -> SafeString:
    """A name chosen by somebody else: as `visible_text`, and a word of two alphabets is badged."""
    mixed = sorted({script for word in re.findall(r"\w+", text) for script in mixed_scripts(word)})
    badge = ""
    if mixed:
        scripts = " and ".join(script.title() for script in mixed)
        badge = f'<span class="inert scripts">{scripts} letters in one word</span>'
    return mark_safe(_print_text(text) + badge)  # noqa: S308 - built from escaped parts


def plain_text(text: str) -> SafeString:
    return mark_safe(f'<div class="plain-text">{_print_text(text)}</div>')  # noqa: S308


def real_host(address: str) -> str:
    """Where a link really leads: the host in ASCII, as the name servers see it; "" if unreadable."""
    try:
        parts = urlsplit(address)
        if parts.scheme == "mailto":
            return parts.path.rpartition("@")[2]
        return (parts.hostname or "").encode("idna").decode("ascii")
    except (UnicodeError, ValueError):
        return ""


def _may_link(address: str) -> bool:
    """Only absolute addresses with a readable host: a relative one could pose as our own button."""
    lowered = address.strip().lower()
    return lowered.startswith(("http://", "https://", "mailto:")) and bool(real_host(lowered))


def _print_token(tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return _print_text(tokens[at].content)


def _print_code(tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return f"<code>{_print_text(tokens[at].content)}</code>"


def _print_block(tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return f"<pre><code>{_print_text(tokens[at].content)}</code></pre>\n"


def _print_heading(opening: bool) -> Callable[[Sequence[Token], int, Any, Any], str]:
    # A real heading could pose as a part of the page around it.
    markup = '<p class="markdown-heading">' if opening else "</p>\n"
    return lambda tokens, at, options, env: markup


def _print_link_end(tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    depth, start = 1, at
    while depth:
        start -= 1
        depth += {"link_close": 1, "link_open": -1}.get(tokens[start].type, 0)
    host = real_host(str(tokens[start].attrGet("href") or ""))
    return f'</a><span class="link-host">{escape(host)}</span>'


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.validateLink = _may_link  # type: ignore[method-assign, assignment]
    rules: dict[str, Any] = {
        "text": _print_token,
        "code_inline": _print_code,
        "code_block": _print_block,
        "fence": _print_block,
        "heading_open": _print_heading(True),
        "heading_close": _print_heading(False),
        "link_close": _print_link_end,
    }
    parser.renderer.rules.update(rules)  # type: ignore[attr-defined]
    return parser


_PARSER: Final = _make_parser()
_ALLOWED_TAGS: Final = {
    "a",
    "blockquote",
    "br",
    "code",
    "em",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "span",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
}


def render_markdown(text: str) -> SafeString:
    """Agent Markdown as a block of markup without raw HTML, images, ids or relative links.

    Links print the host that they lead to. Text that is too long for a fair parse is printed
    as it is, line breaks kept.
    """
    if len(text) > MARKDOWN_CHARACTERS:
        return plain_text(text)
    try:
        drawn = _PARSER.render(text)
    except (RecursionError, ValueError):
        return plain_text(text)
    cleaned = nh3.clean(
        drawn,
        tags=_ALLOWED_TAGS,
        attributes={"a": {"href", "title"}, "span": {"class", "title"}, "p": {"class"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(f'<div class="markdown">{cleaned}</div>')  # noqa: S308 - sanitised above

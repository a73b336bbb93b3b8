"""The component tags. Built into every template: no {% load %} needed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django import template
from django.template import Context
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from verel_site.kit import markup
from verel_site.kit.moments import tell_both, tell_moment

register = template.Library()

# The last of the lane hues; after it they repeat, dashed.
HUES: Final = 5
WORDS: Final = {
    "pass": "Pass",
    "warn": "Warn",
    "fail": "Fail",
    "error": "No grade",
    "pending": "Pending",
    "stale": "Stale",
    "skip": "Skipped",
    "sealed": "Sealed",
    "unverified": "Unverified",
    "corroborated": "Corroborated",
    "verified": "Verified",
    "refused": "Refused",
    "running": "Running",
    "stasis": "Waits for approval",
    "paused": "Paused",
    "done": "Done",
    "completed": "Completed",
    "merged": "Merged",
    "abandoned": "Abandoned",
}
STATE_GLYPHS: Final = {"paused": "stasis", "completed": "done"}
GLYPH_ATTRIBUTES: Final = {"v": "verdict", "t": "tier", "b": "state"}
EVENT_ICONS: Final = {
    "user": "user",
    "assistant": "message-square",
    "thought": "message-circle-dashed",
    "call": "terminal",
    "result": "corner-down-right",
    "override": "pencil-line",
    "patch": "braces",
    "approval": "hand",
    "answer": "stamp",
    "system": "settings-2",
    "merge": "git-merge",
    "fork": "git-fork",
    "fold": "unfold-vertical",
    "edit": "file-diff",
    "search": "search",
    "skill": "book-open",
    "state": "braces",
    "usage": "coins",
    "percept": "eye",
    "error": "triangle-alert",
    "start": "play",
    "finish": "check",
    "pause": "pause",
    "resume": "play",
    "abandon": "ban",
}
KEY_ICONS: Final = {
    "Enter": "corner-down-left",
    "Up": "arrow-up",
    "Down": "arrow-down",
    "Left": "arrow-left",
    "Right": "arrow-right",
}


def _use(symbol: str) -> SafeString:
    return format_html('<use href="{}#{}"/>', static("icons.svg"), symbol)


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    """A 16 px line icon; `size` is "" or "small", or another class of the component."""
    classes = f"icon {size}".strip()
    return format_html('<svg class="{}" aria-hidden="true">{}</svg>', classes, _use(f"i-{name}"))


@register.simple_tag
def event_icon(kind: str) -> SafeString:
    """The icon of a row's kind; an unknown kind prints the icon of an unnamed event."""
    return icon(EVENT_ICONS.get(kind, "hash"))


@register.simple_tag
def brand_mark() -> SafeString:
    return format_html('<svg class="brand-mark" aria-hidden="true">{}</svg>', _use("mark"))


@register.simple_tag
def glyph(kind: str, name: str, advisory: bool = False, size: str = "") -> SafeString:
    """A shape without its word. `kind` is v (verdict), t (trust tier) or b (branch state).

    An advisory verdict is drawn hollow: it informs, and cannot block.
    """
    symbol = STATE_GLYPHS.get(str(name), name) if kind == "b" else name
    return format_html(
        '<svg class="{}" data-{}="{}"{} aria-hidden="true">{}</svg>',
        f"glyph {size}".strip(),
        GLYPH_ATTRIBUTES[kind],
        name,
        mark_safe(" data-advisory") if advisory else "",
        _use(f"{kind}-{symbol}"),
    )


def _badge(kind: str, name: str, word: str, advisory: bool = False) -> SafeString:
    return format_html(
        '<span class="verdict" data-{}="{}">{}{}</span>',
        GLYPH_ATTRIBUTES[kind],
        name,
        glyph(kind, name, advisory),
        word or WORDS.get(str(name), str(name)),
    )


@register.simple_tag
def verdict(name: str, word: str = "", advisory: bool = False) -> SafeString:
    return _badge("v", name, word, advisory)


@register.simple_tag
def tier(name: str, word: str = "") -> SafeString:
    return _badge("t", name, word)


@register.simple_tag
def state(name: str, word: str = "") -> SafeString:
    """A branch's status (running, paused, completed, merged, abandoned) or stasis."""
    return _badge("b", name, word)


@register.simple_tag
def kbd(keys: str) -> SafeString:
    """Key caps: "Ctrl+Enter" held together, "g r" one after the other. Enter and arrows are drawn."""
    caps = [_cap(key) for key in str(keys).replace(" ", "+").split("+") if key]
    if len(caps) == 1:
        return caps[0]
    inside = format_html_join("", "{}", ((cap,) for cap in caps))
    return format_html('<span class="keys">{}</span>', inside)


def _cap(key: str) -> SafeString:
    if key not in KEY_ICONS:
        return format_html("<kbd>{}</kbd>", key)
    drawn = icon(KEY_ICONS[key])
    return format_html('<kbd>{}<span class="visually-hidden">{}</span></kbd>', drawn, key)


def _own_key(context: Context, act: str, usual: str) -> str:
    """The key that the reader has given an act, else its usual one."""
    shell: Any = context.get("shell")
    own = shell.get("own_keys") if isinstance(shell, Mapping) else getattr(shell, "own_keys", None)
    return str((own or {}).get(act, usual))


@register.simple_tag(takes_context=True)
def press(context: Context, act: str, usual: str, named: str = "data-key") -> SafeString:
    """The attribute by which the reader's own key presses an element: {% press "inbox.skip" "w" %}"""
    return format_html('{}="{}"', named, _own_key(context, act, usual))


@register.simple_tag(takes_context=True)
def cap(context: Context, act: str, usual: str) -> SafeString:
    """The caps of the same key, to be printed on the element."""
    return kbd(_own_key(context, act, usual))


@register.simple_tag
def moment(at: datetime | None, form: str = "since", words: str = "", css: str = "") -> SafeString:
    """A time in the reader's zone, with UTC in its title; nothing for None. `form` is one of
    `kit.moments`; `words` stand in its place."""
    if at is None:
        return mark_safe("")
    named = format_html(' class="{}"', css) if css else ""
    return format_html(
        '<time{} datetime="{}" title="{}">{}</time>',
        named,
        at.isoformat(),
        tell_both(at),
        words or tell_moment(at, form),
    )


@register.simple_tag
def lane_chip(lane: int, name: str = "") -> SafeString:
    """The number of a lane in its hue; the trunk is M. Beyond the last hue they repeat."""
    hue = (int(lane) - 1) % HUES + 1 if int(lane) else 0
    return format_html(
        '<span class="lane-chip" data-lane="{}">{}</span>', hue, name or (lane or "M")
    )


@register.simple_tag
def person(initials: str, name: str = "", size: str = "", me: bool = False) -> SafeString:
    """A person's initials in a ring; blue if it is the reader."""
    classes = " ".join(part for part in ("avatar", size, "me" if me else "") if part)
    return format_html('<span class="{}" title="{}">{}</span>', classes, name, initials)


@register.simple_tag
def markdown_text(text: object) -> SafeString:
    return markup.render_markdown("" if text is None else str(text))


@register.filter
def visible(text: object, mark: str = "") -> SafeString:
    """Agent text, inert: `{{ row.text|visible }}`, `{{ row.text|visible:page.query }}`."""
    return markup.visible_text("" if text is None else str(text), mark=str(mark or ""))


@register.filter
def visible_name(text: object) -> SafeString:
    return markup.visible_name("" if text is None else str(text))


@register.filter
def drawing(svg: str) -> SafeString:
    """Lets an SVG of `branches.domain.lanes` through: those are made of numbers only."""
    if not svg:
        return mark_safe("")
    if not svg.startswith('<svg class="lanes"'):
        raise ValueError("This filter prints lane cells only.")
    return mark_safe(svg)  # noqa: S308 - see above


@register.filter
def thousands(number: float | None) -> str:
    """1284 as 1,284; nothing for an unknown figure."""
    return "" if number is None else f"{int(number):,}"

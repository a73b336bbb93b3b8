"""The rows of a run's page.

Written in Python, since two hundred of them are nine tenths of the page's cost, and a template
looks up some fifty names for each. Whatever an agent wrote goes through `hits`, which makes it inert.
"""

from functools import lru_cache
from typing import Final, Protocol

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from branches.selectors.run_rows import EventRow
from branches.selectors.run_view import View
from branches.templatetags.hits import hits
from branches.templatetags.timing import amount, took
from verel_site.kit.templatetags import verel

register = template.Library()

_icon = lru_cache(maxsize=128)(verel.icon)
_FAILED: Final = "Failed"


class Rows(Protocol):
    """A page that has rows: the whole one, or a chunk of it."""

    @property
    def view(self) -> View: ...

    @property
    def suffix(self) -> str: ...

    @property
    def rows(self) -> tuple[EventRow, ...]: ...


@register.simple_tag
def event_rows(page: Rows) -> SafeString:
    suffix, query = str(escape(page.suffix)), page.view.q
    return mark_safe("".join(_draw(row, suffix, query) for row in page.rows))  # noqa: S308 - inert parts


def _draw(row: EventRow, suffix: str, query: str) -> str:
    estimate = "" if row.tokens_told else ' title="An estimate: a quarter of its bytes"'
    return (
        f'<div class="event-row" id="e-{row.id}" role="treeitem"{_attributes(row, suffix)}>'
        f"{verel.drawing(row.graph)}"
        f'<a class="event-seq" data-row-link href="{escape(row.href)}" tabindex="-1">{row.step:,}</a>'
        f"{_fold_mark(row.opens)}{_icon(row.telling.icon)}"
        f'<span class="event-text">{_text(row, query)}</span>'
        f'<span class="event-flags">{_flags(row)}</span>'
        f'<span class="event-num">{took(row.took)}</span>'
        f'<span class="event-num"{estimate}>{_tokens(row)}</span>'
        f'<span class="event-num event-time" title="{escape(row.exact)}">{escape(row.clock)}</span>'
        "</div>\n"
    )


def _attributes(row: EventRow, suffix: str) -> str:
    parts = [
        "" if row.hidden else " data-row",
        f' data-cursor="{row.at}" data-position="{row.position}" data-branch="{row.branch}"'
        f' data-kind="{escape(row.telling.kind)}" data-detail="/events/{row.id}/{suffix}"',
        f' data-under="{row.under}"' if row.under else "",
        f' aria-expanded="{"true" if row.opens == "open" else "false"}"' if row.opens else "",
        " data-bad" if row.telling.bad else "",
        " data-forks" if row.forks or row.starts_lane else "",
        " data-hit" if row.hit else "",
        " hidden" if row.hidden else "",
        f' aria-level="{row.level}"',
        ' aria-selected="true" tabindex="0"'
        if row.selected
        else ' aria-selected="false" tabindex="-1"',
    ]
    return "".join(parts)


def _fold_mark(opens: str) -> str:
    if not opens:
        return '<span class="fold-mark"></span>'
    act = "Fold" if opens == "open" else "Unfold"
    return (
        '<button class="fold-mark" type="button" data-fold tabindex="-1" '
        f'aria-label="{act} the result">{_icon("chevron-right")}</button>'
    )


def _text(row: EventRow, query: str) -> str:
    telling = row.telling
    depth = '<span class="depth"></span>' if row.level > 1 else ""
    who = f"<b>{hits(telling.who, query)}</b>" if telling.who else ""
    tag = "code" if telling.code else "span"
    return f'{depth}{who}<{tag} class="what">{hits(telling.text, query)}</{tag}>'


def _flags(row: EventRow) -> str:
    failed = row.telling.bad and row.telling.kind == "result"
    parts = [
        verel.lane_chip(row.lane, str(row.number or "")) if row.starts_lane else "",
        verel.state("stasis", "Waits") if row.waits_since else "",
        verel.verdict("fail", _FAILED) if failed else "",
        verel.verdict(row.verdict) if row.verdict else "",
        _fork_count(row.forks) if row.forks else "",
    ]
    return "".join(parts)


def _fork_count(forks: int) -> str:
    title = "1 fork starts here" if forks == 1 else f"{forks} forks start here"
    return (
        f'<span class="fork-count" title="{title}">{_icon("git-fork")}{forks}'
        f'<span class="visually-hidden"> fork{"" if forks == 1 else "s"} here</span></span>'
    )


def _tokens(row: EventRow) -> str:
    if row.tokens is None:
        return ""
    return f"{'' if row.tokens_told else '<span class="faint">~</span>'}{amount(row.tokens)}"

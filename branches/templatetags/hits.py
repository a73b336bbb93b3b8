"""Agent text with the hits of a query marked."""

from functools import lru_cache

from django import template
from django.utils.safestring import SafeString, mark_safe

from branches.domain.search_query import Query, find_spans, parse_query
from verel_site.kit.markup import visible_text

register = template.Library()

_parse = lru_cache(maxsize=64)(parse_query)


@register.filter
def hits(text: object, query: str = "") -> SafeString:
    """`{{ row.text|hits:page.query }}`: inert text, the terms of the query in <mark>."""
    shown = "" if text is None else str(text)
    asked: Query = _parse(query)
    parts, at = [], 0
    for start, end in find_spans(asked.wanted, shown):
        parts += [visible_text(shown[at:start]), f"<mark>{visible_text(shown[start:end])}</mark>"]
        at = end
    return mark_safe("".join([*parts, visible_text(shown[at:])]))  # noqa: S308 - inert parts

"""Durations and amounts as a row prints them. Units do not break from their numbers."""

from typing import Final

from django import template

register = template.Library()

NO_BREAK: Final = "\u00a0"


@register.filter
def took(milliseconds: float | None) -> str:
    """4080 as 4.08 s, 1260000 as 21 m; nothing where it is not known."""
    if milliseconds is None:
        return ""
    seconds = milliseconds / 1000
    if seconds < 100:
        return f"{seconds:.2f}{NO_BREAK}s" if seconds < 10 else f"{seconds:.1f}{NO_BREAK}s"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f}{NO_BREAK}m"
    return f"{minutes / 60:.0f}{NO_BREAK}h"


@register.filter
def amount(number: int | None) -> str:
    """1914 as 1.9k, 418000 as 418k, 2500000 as 2.5M."""
    if number is None:
        return ""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= size:
            share = number / size
            return f"{share:.1f}{letter}" if share < 9.95 else f"{share:.0f}{letter}"
    return str(number)

"""System checks of what memory rents: a setting that lacks what it takes stops the start."""

from collections.abc import Callable
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from memory.ports.embedders import current_embedder
from memory.ports.scorers import current_scorer


@register(Tags.compatibility)
def check_models(**kwargs: Any) -> list[CheckMessage]:
    """What embeds, and what scores entailment."""
    return [*_check(current_embedder, "memory.E001"), *_check(current_scorer, "memory.E002")]


def _check(make: Callable[[], object], name: str) -> list[CheckMessage]:
    try:
        make()
    except ImproperlyConfigured as error:
        return [Error(str(error), id=name)]
    return []

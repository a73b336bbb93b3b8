"""System checks of what memory rents: a setting that lacks what it takes stops the start."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from memory.ports.embedders import current_embedder
from memory.ports.failures import PortFailed
from memory.ports.scorers import current_scorer
from memory.ports.stores import ONE_PROCESS, check_store, serves_one_process


@register(Tags.compatibility)
def check_models(**kwargs: Any) -> list[CheckMessage]:
    """What embeds, what scores entailment, and what recalls elsewhere."""
    return [
        *_check(current_embedder, "memory.E001"),
        *_check(current_scorer, "memory.E002"),
        *_check(check_store, "memory.E003"),
        *_check(_check_processes, "memory.E004"),
    ]


def _check_processes() -> None:
    if settings.VEREL_PROCESSES > 1 and serves_one_process():
        raise ImproperlyConfigured(ONE_PROCESS)


def _check(make: Callable[[], object], name: str) -> list[CheckMessage]:
    try:
        make()
    except (ImproperlyConfigured, PortFailed) as error:
        return [Error(str(error), id=name)]
    return []

"""What is rented and failed is left alone for a while, and the reason is told meanwhile."""

import time
from typing import Final

REST_SECONDS: Final = 30.0

_resting: dict[str, tuple[float, str]] = {}


def let_rest(port: str, why: str, *, seconds: float = REST_SECONDS) -> None:
    _resting[port] = (time.monotonic() + seconds, why)


def why_resting(port: str) -> str:
    """Empty where it is asked as usual."""
    until, why = _resting.get(port, (0.0, ""))
    return why if until > time.monotonic() else ""


def wake_all() -> None:
    _resting.clear()

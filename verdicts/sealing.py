"""What stands for a head, or for a step, while who reads it must not know which branch it is of.

A seal is made for one reviewer of one pair, from the server's secret: it says that what was looked
at is what is compared, and can be found nowhere else.
"""

from uuid import UUID

from django.utils.crypto import salted_hmac


def seal_head(*, comparison: UUID, reviewer: int, side: str, digest: bytes) -> str:
    """64 hexadecimal digits for the head on one reviewer's `left` or `right`."""
    return _seal("head", comparison, reviewer, f"{side}:{digest.hex()}")


def seal_step(*, comparison: UUID, reviewer: int, event: UUID) -> str:
    """64 hexadecimal digits for a step of either side."""
    return _seal("step", comparison, reviewer, str(event))


def _seal(what: str, comparison: UUID, reviewer: int, told: str) -> str:
    text = f"{comparison}:{reviewer}:{told}"
    return salted_hmac(f"verdicts.sealing.{what}", text, algorithm="sha256").hexdigest()

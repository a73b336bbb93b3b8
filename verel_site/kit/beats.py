"""A look at the database again and again, while anybody waits for what it sees."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from verel_site.kit.outages import tell_outage

logger = logging.getLogger(__name__)

# After a beat that failed: while the database is away nothing is announced.
REST_SECONDS: Final = 1.0


async def keep_beating(
    look: Callable[[], Awaitable[None]],
    *,
    wanted: Callable[[], object],
    tick_seconds: float,
    name: str,
) -> None:
    """Awaits `look` once a tick for as long as `wanted` answers something true. A beat that fails is
    missed, never the last: an outage is told elsewhere, anything else is logged under `name`."""
    while wanted():
        started = time.monotonic()
        try:
            await look()
            pause = tick_seconds
        except Exception as error:
            if tell_outage(error) is None:
                logger.exception("%s missed a beat", name)
            pause = REST_SECONDS
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - started)))

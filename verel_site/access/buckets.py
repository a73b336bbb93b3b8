"""Token buckets: what a limit of so much a second, with some to spare, lets through.

What costs more than a bucket holds is let in when the bucket is full, and paid for before the next.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

MOST_KEPT: Final = 50_000


@dataclass(frozen=True, slots=True)
class Charge:
    """`cost` of the bucket `name`, which holds `burst` at most and gains `rate` a second."""

    name: str
    cost: float
    rate: float
    burst: float


def refill(tokens: float, seconds: float, charge: Charge) -> float:
    """What the bucket holds so many seconds later; a clock that went back adds nothing."""
    return min(charge.burst, tokens + max(0.0, seconds) * charge.rate)


def wait_for(tokens: float, charge: Charge) -> float:
    """Seconds until the bucket lets this in; 0 when it does."""
    needed = min(charge.cost, charge.burst)
    return max(0.0, needed - tokens) / charge.rate


class Buckets(Protocol):
    def take(self, charges: Sequence[Charge]) -> float:
        """Takes every cost and answers 0, or takes none and answers the seconds to wait."""


class LocalBuckets:
    """In this process alone. The least lately used are forgotten, which is to say full."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, charges: Sequence[Charge], *, now: float | None = None) -> float:
        at = time.monotonic() if now is None else now
        with self._lock:
            held = [self._tokens(charge, at) for charge in charges]
            wait = max(map(wait_for, held, charges), default=0.0)
            if wait == 0.0:
                for charge, tokens in zip(charges, held, strict=True):
                    self._held[charge.name] = (tokens - charge.cost, at)
                    self._held.move_to_end(charge.name)
                while len(self._held) > MOST_KEPT:
                    self._held.popitem(last=False)
        return wait

    def _tokens(self, charge: Charge, at: float) -> float:
        tokens, seen = self._held.get(charge.name, (charge.burst, at))
        return refill(tokens, at - seen, charge)


# The same as above, where several processes share the buckets: one round trip, one step.
_TAKE: Final = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local held, wait = {}, 0
for i, key in ipairs(KEYS) do
  local cost, rate, burst = tonumber(ARGV[3*i-2]), tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i])
  local kept = redis.call('HMGET', key, 't', 'at')
  local tokens = tonumber(kept[1]) or burst
  local passed = math.max(0, now - (tonumber(kept[2]) or now))
  held[i] = math.min(burst, tokens + passed * rate)
  wait = math.max(wait, (math.min(cost, burst) - held[i]) / rate)
end
if wait > 0 then return tostring(wait) end
for i, key in ipairs(KEYS) do
  local cost, rate, burst = tonumber(ARGV[3*i-2]), tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i])
  local left = held[i] - cost
  redis.call('HSET', key, 't', tostring(left), 'at', string.format('%.6f', now))
  redis.call('EXPIRE', key, math.ceil((burst - left) / rate) + 1)
end
return '0'
"""


class RedisBuckets:
    """Shared by every process that uses this server. `client` is a redis.Redis."""

    def __init__(self, client: Any, prefix: str = "verel:rate:") -> None:
        self._take = client.register_script(_TAKE)
        self._prefix = prefix

    def take(self, charges: Sequence[Charge]) -> float:
        keys = [self._prefix + charge.name for charge in charges]
        args = [part for charge in charges for part in (charge.cost, charge.rate, charge.burst)]
        return float(self._take(keys=keys, args=args))

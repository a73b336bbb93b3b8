"""How much a key, a person and a project may ask of the API: by requests, and by bytes sent."""

import logging
from functools import cache
from typing import Any, Final

import redis
from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from verel_site.access.api import KeyPrincipal
from verel_site.access.buckets import Buckets, Charge, LocalBuckets, RedisBuckets
from verel_site.access.models import ApiKey

logger = logging.getLogger(__name__)

# A bucket holds what its rate gives in this time, so that what comes in bursts is let in.
BURST_SECONDS: Final = 10
REDIS_SECONDS: Final = 0.25


@cache
def local_buckets() -> LocalBuckets:
    return LocalBuckets()


@cache
def shared_buckets(url: str) -> RedisBuckets:
    client = redis.Redis.from_url(
        url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
    )
    return RedisBuckets(client)


class Limits(BaseThrottle):
    """For `throttle_classes`: a 429 with Retry-After once a bucket of the caller is empty."""

    def allow_request(self, request: Request, view: Any) -> bool:
        self._wait = take(charges_of(request))
        return self._wait == 0

    def wait(self) -> float:
        return self._wait


def take(charges: list[Charge]) -> float:
    """Seconds to wait, or 0. Without Redis, or while it is away, each process counts alone."""
    if not charges:
        return 0.0
    if settings.VEREL_REDIS_URL:
        buckets: Buckets = shared_buckets(settings.VEREL_REDIS_URL)
        try:
            return buckets.take(charges)
        except redis.RedisError as error:
            logger.warning("Rate limits are counted in this process alone: %s", error)
    return local_buckets().take(charges)


def charges_of(request: Request) -> list[Charge]:
    sent = body_length(request)
    if isinstance(request.user, KeyPrincipal) and isinstance(request.auth, ApiKey):
        key = request.auth
        return [
            *_both(f"key:{key.pk}", sent, settings.VEREL_KEY_RATES),
            *_both(f"project:{key.project_id}", sent, settings.VEREL_PROJECT_RATES),
        ]
    pk = getattr(request.user, "pk", None)
    return _both(f"user:{pk}", sent, settings.VEREL_KEY_RATES) if pk else []


def _both(name: str, sent: int, rates: tuple[int, int]) -> list[Charge]:
    """Charges of a request and of its bytes; a rate of 0 is no limit."""
    costs = zip(("requests", "bytes"), (1, sent), rates, strict=True)
    return [
        Charge(f"{name}:{kind}", cost, rate, rate * BURST_SECONDS)
        for kind, cost, rate in costs
        if rate and cost
    ]


def body_length(request: Request) -> int:
    """Bytes of the body as sent, packed or not; of a chunked one those that have been buffered."""
    if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        stream = getattr(request._request, "_stream", None)
        if stream is not None and stream.seekable():
            at = stream.tell()
            length = int(stream.seek(0, 2))
            stream.seek(at)
            return length
    try:
        return max(0, int(request.META.get("CONTENT_LENGTH") or 0))
    except ValueError:
        return 0

import pytest
import redis

from verel_site.access.buckets import Charge, LocalBuckets, RedisBuckets
from verel_site.servers.valkey import Valkey


def test_redis_counts_as_one_process_does(valkey: Valkey) -> None:
    small, large, debt = (
        Charge("small", 1, 0.001, 3),
        Charge("large", 1, 0.001, 9),
        Charge("debt", 50, 0.1, 4),
    )
    with redis.Redis.from_url(valkey.url) as client:
        shared, local = RedisBuckets(client), LocalBuckets()
        for charges in [[small, large]] * 5 + [[large]] * 8 + [[debt]] * 2:
            told = shared.take(charges), local.take(charges, now=0)
            assert told[0] == pytest.approx(told[1], rel=0.05)
        assert client.ttl("verel:rate:debt") > 400
        assert RedisBuckets(client).take([debt]) > 0

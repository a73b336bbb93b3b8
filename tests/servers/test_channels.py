"""The channel layer of the production profile, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from channels_redis.core import RedisChannelLayer

from verel_site.servers.valkey import Valkey

type MakeLayer = Callable[[], Any]


@pytest.fixture
async def make_layer(valkey: Valkey) -> AsyncIterator[MakeLayer]:
    """Layers as several processes have them: each with connections of its own."""
    layers: list[Any] = []

    def make() -> Any:
        layers.append(RedisChannelLayer(hosts=[valkey.url], prefix=f"test{id(layers)}"))
        return layers[-1]

    yield make
    for layer in layers:
        await layer.close_pools()


async def test_what_one_process_sends_to_a_group_reaches_the_members_of_another(
    make_layer: MakeLayer,
) -> None:
    sending, first, second = make_layer(), make_layer(), make_layer()
    members = []
    for layer in (first, second):
        name = await layer.new_channel()
        await layer.group_add("run", name)
        members.append((layer, name))
    await sending.group_send("run", {"type": "announce", "seq": 7})
    for layer, name in members:
        told = await asyncio.wait_for(layer.receive(name), 10)
        assert told == {"type": "announce", "seq": 7}


async def test_who_has_left_a_group_hears_nothing_more(make_layer: MakeLayer) -> None:
    layer = make_layer()
    stays, leaves = await layer.new_channel(), await layer.new_channel()
    for name in (stays, leaves):
        await layer.group_add("run", name)
    await layer.group_discard("run", leaves)
    await layer.group_send("run", {"type": "announce", "seq": 1})
    assert (await asyncio.wait_for(layer.receive(stays), 10))["seq"] == 1
    # Sent to it alone, after the group's: the first it hears.
    await layer.send(leaves, {"type": "announce", "seq": 2})
    assert (await asyncio.wait_for(layer.receive(leaves), 10))["seq"] == 2

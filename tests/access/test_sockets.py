"""Each socket against everyone who may come, through the whole application."""

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.test import Client

from tests.access.table import SOCKETS
from tests.access.world import World, make_clients
from verel_site.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)

HOST = (b"host", b"localhost")
ORIGIN = (b"origin", b"http://localhost")
OPEN, NEVER_ACCEPTED, NOT_FOUND = 0, 1000, 4404


def headers_of(client: Client) -> list[tuple[bytes, bytes]]:
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    bearer = client.defaults.get("HTTP_AUTHORIZATION", "")
    return [HOST, ORIGIN, (b"cookie", cookies.encode()), (b"authorization", bearer.encode())]


async def knock(address: str, headers: list[tuple[bytes, bytes]], *, opens: bool) -> int:
    """OPEN for a socket that stays open, else the code that it was closed with.

    Whoever is sent away is so right after the first look: who is to stay is watched for a moment,
    who is to go is waited for.
    """
    socket = WebsocketCommunicator(application, address, headers=headers)
    connected, code = await socket.connect()
    if not connected:
        return int(code)
    if opens and await socket.receive_nothing(timeout=0.1):
        await socket.disconnect()
        return OPEN
    told = await socket.receive_output(timeout=30)
    if told["type"] == "websocket.send":
        await socket.disconnect()
        return OPEN
    return int(told["code"])


@pytest.mark.parametrize("name", SOCKETS)
def test_a_socket_stays_open_for_exactly_who_stands_in_its_row(name: str) -> None:
    world, row = World(), SOCKETS[name]
    address = row.fill_address(name.split(" ")[1], world.ids)
    clients = make_clients(world)
    opens = {who: row.expected(who, api=False) == row.ok for who in clients}
    found = {
        who: async_to_sync(knock)(address, headers_of(client), opens=opens[who])
        for who, client in clients.items()
    }
    assert found == {who: OPEN if opens[who] else NOT_FOUND for who in clients}


@pytest.mark.parametrize("name", SOCKETS)
def test_a_socket_that_another_site_opens_is_refused(name: str) -> None:
    world = World()
    address = SOCKETS[name].fill_address(name.split(" ")[1], world.ids)
    stolen = [part for part in headers_of(make_clients(world)["admin"]) if part != ORIGIN]
    foreign = [*stolen, (b"origin", b"https://evil.example")]
    assert async_to_sync(knock)(address, foreign, opens=False) == NEVER_ACCEPTED

"""Each route against everyone who may come: the table of `tests.access.table`, cell by cell."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.cookies import SimpleCookie
from typing import Any, Final
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django.fixtures import Settings

from tests.access.policies import API_ROOTS, HOLDERS, Row
from tests.access.table import API, SOCKETS, TABLE
from tests.access.world import (
    ANONYMOUS,
    EVERYONE,
    MARK,
    OTHER_ADMIN,
    OUTSIDERS,
    World,
    make_clients,
)
from tests.api_client import ROOT, operations
from verel_site.access.rights import Right
from verel_site.asgi import sockets

pytestmark = pytest.mark.django_db

VERBS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Who was seen is written at every door, let in or not.
SEEN_TABLES: Final = ("access_apikey", "django_session", "auth_user")
HTTP: Final = {name: row for name, row in TABLE.items() if name not in SOCKETS}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"file://{tmp_path_factory.mktemp('archive')}"


@pytest.fixture(autouse=True)
def own_archive(archive: str, settings: Settings) -> None:
    """One archive for the module, since the world in it is."""
    settings.VEREL_ARCHIVE_URL = archive


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any, archive: str) -> Iterator[World]:
    """Made once, and rolled back at the end; so is what each request does to it."""
    with django_db_blocker.unblock(), override_settings(VEREL_ARCHIVE_URL=archive), undone():
        yield World()


@pytest.fixture(scope="module")
def clients(world: World) -> dict[str, Client]:
    return make_clients(world)


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def address_of(name: str) -> str:
    """`/address/<part>/` of a row's name."""
    return name.split(" ")[1]


def is_api(name: str) -> bool:
    return address_of(name).startswith(API_ROOTS)


def walk(patterns: list[URLPattern | URLResolver], before: str = "/") -> Iterator[str]:
    for pattern in patterns:
        part = re.sub(r"<\w+:(\w+)>", r"<\1>", str(pattern.pattern))
        # The expressions that catch what nothing else has caught, and one of Django's admin.
        part = re.sub(r"^\^?(\[\\s\\S\]\*|\(\?P<url>\.\*\))\$$", "*", part)
        part = re.sub(r"^\^\(\?P<(\w+)>[^)]*\)/\$$", r"<\1>/", part)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, before + part)
        else:
            yield before + part


def routes() -> list[str]:
    return sorted(set(walk(get_resolver().url_patterns)))


def ask(world: World, name: str, row: Row, client: Client, ids: dict[str, str]) -> Any:
    """The response to the row's request, and nothing left of what it did."""
    method, address = name.split(" ")[:2]
    filled = row.fill_address(address, ids)
    query = row.query.format(**ids)
    body: Any = world.fill(dict(row.body or {}))
    client.raise_request_exception = False
    verb = "GET" if method == "ANY" else method
    extra: dict[str, Any] = {"query_params": dict(p.split("=") for p in query.split("&") if p)}
    if row.raw and verb != "GET":
        extra |= {"data": row.raw, "content_type": "application/octet-stream"}
    elif is_api(name) and verb != "GET":
        extra |= {"data": json.dumps(body), "content_type": "application/json"}
    elif body and verb != "GET":
        extra["data"] = body
    send: Callable[..., Any] = getattr(client, verb.lower())
    # Signing out takes the cookie from the client, and the next request needs it again.
    kept = SimpleCookie(client.cookies.output(header="", sep=";"))
    with undone():
        response = send(filled, **extra)
        response.text_seen = b"".join(
            response.streaming_content if response.streaming else [response.content]
        ).decode(errors="replace")
    client.cookies = kept
    return response


def names_no_row(row: Row) -> bool:
    """Whether the address needs a row of a model of which the world has none."""
    models = [apps.get_model(named) for named in row.at.values() if "." in named]
    return any(not model._default_manager.exists() for model in models)


def test_no_route_is_missing_from_the_table_and_none_is_there_that_is_gone() -> None:
    hung = {*routes(), *(f"/{route.pattern}".replace("<uuid:", "<") for route in sockets.routes)}
    listed = {address_of(name) for name in TABLE}
    assert hung - listed == set(), "add a row to tests/access/table.py"
    assert listed - hung == set(), "these routes are gone"


def test_no_method_is_missing_from_the_table(world: World, clients: dict[str, Client]) -> None:
    """A method that a route does not refuse with 405 needs a row. Django's admin has its own."""
    missing = []
    for route in routes():
        rows = [name for name in HTTP if address_of(name) == route]
        if route.startswith("/admin/") or any(name.startswith("ANY") for name in rows):
            continue
        for verb in VERBS:
            row = next((HTTP[name] for name in rows if name.startswith(f"{verb} ")), None)
            asked = row or (HTTP[rows[0]] if rows else Row(EVERYONE))
            answer = ask(world, f"{verb} {route}", asked, clients["admin"], world.ids)
            if answer.status_code != 405 and row is None:
                missing.append(f"{verb} {route}")
    assert missing == [], "\n".join(missing)


def test_who_holds_which_right_is_written_down_for_each() -> None:
    assert set(HOLDERS) == set(Right)


@pytest.mark.parametrize("name", HTTP)
def test_a_route_lets_in_exactly_who_stands_in_its_row(
    name: str, world: World, clients: dict[str, Client]
) -> None:
    row, wrong = HTTP[name], {}
    absent = names_no_row(row)
    for who, client in clients.items():
        expected = row.expected(who, api=is_api(name))
        refused = expected in {401, 403, 404} or (expected == 302 and who not in row.let_in)
        with ExitStack() as stack:
            written = stack.enter_context(writes()) if refused else []
            response = ask(world, name, row, client, world.ids)
        if absent and who in row.let_in and response.status_code == 302:
            # Django's admin leads back to its first page from what it has not found.
            continue
        faults = judge(response, row, who, expected, refused, api=is_api(name))
        if written:
            faults.append(f"wrote {written[0][:80]}")
        if faults:
            wrong[who] = faults
    assert wrong == {}


def judge(
    response: Any, row: Row, who: str, expected: int, refused: bool, *, api: bool
) -> list[str]:
    faults = []
    if response.status_code != expected:
        faults.append(f"{response.status_code} in place of {expected}")
    if who in OUTSIDERS | {ANONYMOUS} and MARK in response.text_seen and who not in row.let_in:
        faults.append("shows what is not theirs")
    if refused and expected == 302 and not response.get("Location", "").startswith(row.login):
        faults.append(f"leads to {response.get('Location')}")
    if api and expected >= 400 and response.get("Content-Type") != "application/problem+json":
        faults.append(f"answers as {response.get('Content-Type')}")
    return faults


@contextmanager
def writes() -> Iterator[list[str]]:
    """The statements that wrote something, but for the marks of having been seen."""
    seen: list[str] = []

    def watch(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if sql.split(" ", 1)[0] in {"INSERT", "UPDATE", "DELETE"}:
            seen.extend([sql] if not any(f'"{table}"' in sql for table in SEEN_TABLES) else [])
        return execute(sql, *args)

    with connection.execute_wrapper(watch):
        yield seen


def test_the_schema_describes_the_routes_of_the_table_and_no_other() -> None:
    described = {
        f"{method} {re.sub(r'{(.+?)}', r'<\1>', path)}"
        for method, path in operations()
        if path.startswith(ROOT)
    }
    assert described == {name for name in API if name.split(" ")[1].startswith(ROOT)} - {
        f"ANY {ROOT}*"
    }


def test_what_is_not_theirs_looks_like_what_is_not_there(
    world: World, clients: dict[str, Client]
) -> None:
    nowhere = {
        name: "no-such-project" if name in {"slug", "project"} else absent_like(value)
        for name, value in world.ids.items()
    } | {"left_head": "00" * 32, "right_head": "00" * 32}
    told = []
    for name, row in HTTP.items():
        if row.expected(OTHER_ADMIN, api=is_api(name)) != 404 or "<" not in name:
            continue
        theirs, absent = (
            ask(world, name, row, clients[OTHER_ADMIN], ids) for ids in (world.ids, nowhere)
        )
        if scrub(theirs.text_seen, world.ids) != scrub(absent.text_seen, nowhere):
            told.append(name)
    assert told == []


def absent_like(value: str) -> str:
    return "9" * 9 if value.isdigit() else str(uuid4())


def scrub(text: str, ids: dict[str, str]) -> str:
    for value in sorted(set(ids.values()), key=len, reverse=True):
        # A number stands in many a text; as an id it stands between slashes.
        told, hidden = (f"/{value}/", "/…/") if value.isdigit() else (value, "…")
        text = text.replace(told, hidden)
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text)

"""Which errors are the database's state, and which are a fault of the product."""

import sqlite3
import sys
from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError
from django.test import RequestFactory
from django.urls import resolve

from verel_site.kit.outages import (
    CLOSED_FOR_OUTAGE,
    Message,
    Receive,
    Send,
    close_in_outages,
    outage_of,
)
from verel_site.pages import answer_failure


def of_django(cause: Exception, kind: type[Exception] = OperationalError) -> Exception:
    """As Django raises what a driver raised."""
    error = kind(*cause.args)
    error.__cause__ = cause
    return error


def of_sqlite(code: int) -> Exception:
    error = sqlite3.OperationalError("words of SQLite's own")
    error.sqlite_errorcode = code
    return of_django(error)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (of_django(psycopg.OperationalError("the connection is lost")), "database_away"),
        (of_django(psycopg.errors.AdminShutdown()), "database_away"),
        (of_django(psycopg.errors.CannotConnectNow()), "database_away"),
        (psycopg.errors.CrashShutdown(), "database_away"),
        (of_django(psycopg.errors.DeadlockDetected()), "database_busy"),
        (of_django(psycopg.errors.SerializationFailure()), "database_busy"),
        (of_django(psycopg.errors.LockNotAvailable()), "database_busy"),
        (of_django(psycopg.errors.QueryCanceled()), "database_busy"),
        (of_django(psycopg.errors.TooManyConnections()), "database_busy"),
        (of_django(psycopg.errors.IoError()), ""),
        (of_django(psycopg.errors.UndefinedTable()), ""),
        (of_django(psycopg.InterfaceError("the cursor is closed"), InterfaceError), ""),
        (of_sqlite(sqlite3.SQLITE_BUSY), "database_busy"),
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), "database_busy"),
        (of_sqlite(sqlite3.SQLITE_IOERR_WRITE), "database_away"),
        (of_sqlite(sqlite3.SQLITE_ERROR), ""),
        (OperationalError("without a cause"), ""),
        (ValueError("anything else"), ""),
        (None, ""),
    ],
)
def test_an_outage_is_told_from_a_fault(error: Exception | None, code: str) -> None:
    outage = outage_of(error)
    assert (outage.code if outage else "") == code


@pytest.mark.parametrize("path", ["/api/v1/events", "/otlp/v1/traces"])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (of_django(psycopg.OperationalError("lost")), 503, "database_away"),
        (ValueError("a fault"), 500, "server_fault"),
    ],
)
def test_what_no_view_caught_is_a_problem_document_for_the_api(
    path: str, error: Exception, status: int, code: str
) -> None:
    assert resolve("/")  # loads the addresses, which name the handler
    try:
        raise error
    except Exception:
        assert sys.exception() is error
        answer = answer_failure(RequestFactory().get(path))
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert f'"code": "{code}"' in answer.content.decode()
    assert answer.has_header("Retry-After") is (status == 503)


def test_a_page_tells_of_a_fault_and_offers_the_address_again_in_an_outage() -> None:
    request = RequestFactory().get("/p/<b>/", {"q": '"><script>'})
    try:
        raise of_django(psycopg.OperationalError("lost"))
    except OperationalError:
        page = answer_failure(request).content.decode()
    assert "<script>" not in page
    assert 'href="/p/%3Cb%3E/?q=%22%3E%3Cscript%3E"' in page
    try:
        raise ValueError("a fault")
    except ValueError:
        assert "The server failed on this page" in answer_failure(request).content.decode()


@pytest.mark.parametrize("before", [[], [{"type": "websocket.accept"}]])
async def test_a_socket_is_open_when_it_is_closed_for_an_outage(before: list[Message]) -> None:
    sent: list[Any] = []

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        for message in before:
            await send(message)
        raise of_django(psycopg.OperationalError("lost"))

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await close_in_outages(application)({"type": "websocket"}, receive, send)
    assert sent == [
        {"type": "websocket.accept"},
        {"type": "websocket.close", "code": CLOSED_FOR_OUTAGE},
    ]

"""What is told while the database is away or overloaded: to wait a moment, and never a fault.

An outage is a Refusal with status 503, whatever query ran into it.
"""

import logging
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import psycopg
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

from verel_site.kit.problems import PROBLEM_TYPE
from verel_site.kit.refusals import Refusal

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 2
# A close code for applications: the status 503. The server may not send the registry's own 1013.
CLOSED_FOR_OUTAGE: Final = 4503

# Of PostgreSQL: connection exceptions, and the ways in which a server shuts down or starts.
AWAY_STATES: Final = ("08", "57P")
# Rolled back for another's sake, resources used up, cancelled, or a lock not had in time.
BUSY_STATES: Final = ("40", "53", "57014", "55P03")
AWAY_CODES: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL})
BUSY_CODES: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
PRIMARY_CODE: Final = 0xFF
API_PREFIXES: Final = ("/api/", "/otlp/", "/compat/")


class Outage(Refusal):
    status = 503


class DatabaseAway(Outage):
    code = "database_away"
    title = "The database does not answer"

    def __init__(self) -> None:
        super().__init__(
            "Try again in a moment. Whether something that was being stored is kept is not known; "
            "sent again under the same ids it is stored once."
        )


class DatabaseBusy(Outage):
    code = "database_busy"
    title = "The database is too busy"

    def __init__(self) -> None:
        super().__init__("Nothing was changed. Try again in a moment.")


def outage_of(error: BaseException | None) -> Outage | None:
    """What to answer where this error is the database's state and no fault of the product."""
    cause = error.__cause__ if isinstance(error, DatabaseError | InterfaceError) else error
    if isinstance(cause, psycopg.OperationalError):
        return _outage_of_postgresql(cause.sqlstate)
    if isinstance(cause, sqlite3.OperationalError):
        return _outage_of_sqlite(getattr(cause, "sqlite_errorcode", 0) & PRIMARY_CODE)
    return None


def _outage_of_postgresql(state: str | None) -> Outage | None:
    # Without a state the server has said nothing: it is not there, or no connection is free.
    if state is None or state.startswith(AWAY_STATES):
        return DatabaseAway()
    return DatabaseBusy() if state.startswith(BUSY_STATES) else None


def _outage_of_sqlite(code: int) -> Outage | None:
    if code in AWAY_CODES:
        return DatabaseAway()
    return DatabaseBusy() if code in BUSY_CODES else None


def tell_outage(error: BaseException | None) -> Outage | None:
    """Like `outage_of`, with a line in the log: the answer says nothing of the cause."""
    outage = outage_of(error)
    if outage is not None:
        logger.warning("%s: %s", outage.title, error)
    return outage


class OutageMiddleware(MiddlewareMixin):
    """Answers an outage that a view ran into."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return answer_outage(request, exception)


def answer_outage(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """A problem document for the API, a page for a person; it asks the database nothing."""
    outage = tell_outage(error)
    if outage is None:
        return None
    if request.path.startswith(API_PREFIXES):
        response: HttpResponse = JsonResponse(outage.as_problem(), content_type=PROBLEM_TYPE)
    else:
        htmx = request.headers.get("HX-Request") == "true"
        template = "errors/_outage.html" if htmx else "errors/outage.html"
        # Without the request, whose user and project would be read from the database.
        again = request.get_full_path() if request.method in {"GET", "HEAD"} else ""
        response = HttpResponse(render_to_string(template, {"outage": outage, "again": again}))
    response.status_code = outage.status
    response["Retry-After"] = str(RETRY_SECONDS)
    return response


type Message = MutableMapping[str, Any]
type Send = Callable[[Message], Awaitable[None]]
type Receive = Callable[[], Awaitable[Message]]
type Application = Callable[[Message, Receive, Send], Awaitable[None]]


def close_in_outages(application: Application) -> Application:
    """Wraps a websocket application: an outage closes the socket with CLOSED_FOR_OUTAGE."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        accepted = False

        async def watch(message: Message) -> None:
            nonlocal accepted
            accepted = accepted or message["type"] == "websocket.accept"
            await send(message)

        try:
            await application(scope, receive, watch)
        except Exception as error:
            if tell_outage(error) is None:
                raise
            if not accepted:
                # Only of a socket that was open can a browser read the code.
                await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": CLOSED_FOR_OUTAGE})

    return answer

"""Django's PostgreSQL backend on a pool that does not wait for a server that is not there.

A caller waits while every connection is in use. Where none is left and none can be made, whoever
waits is told so at once, and the next caller tries anew: no pause grows while the server is away,
so that it is found again by the first request after its return.

A server that is frozen, or behind a wire that was cut, holds its connections and says nothing. One
that is silent for a while is asked whether it is there: if it is, the query is only slow, and is
waited for; if not, the connection is given up, which is an outage like any other.
"""

import threading
from collections.abc import Callable
from functools import cache
from time import monotonic
from typing import Any, Final

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg_pool import ConnectionPool

from verel_site.kit.pooled_postgresql.pulse import PROBE_SECONDS, Pulse

# No second try later: the next caller is the next try.
RECONNECT_SECONDS: Final = 0.0
# How often a caller has a connection made.
TRIES: Final = 3
# How long a query may take before the server is asked whether it is still there.
SILENT_SECONDS: Final = 2.0
# How often a wait looks up, so that it can be interrupted; psycopg's own.
LOOK_SECONDS: Final = 0.1

# How long a thread that waited for no answer asks for none: a request that failed is not to wait
# again for its session when it is answered, nor for its log.
SPARED_SECONDS: Final = 5.0
# Longer than to be told that there is no server.
WAITED_SECONDS: Final = 0.5

pulse_of = cache(Pulse)
_spared = threading.local()


def _spare() -> None:
    _spared.until = monotonic() + SPARED_SECONDS


class ServerSilent(psycopg.OperationalError):
    """The server neither finished a query nor answered a greeting."""


class NoConnection(psycopg.OperationalError):
    """None is left, and none could be made."""


class Connection(psycopg.Connection[Any]):
    """Waits for a server as long as that is there."""

    def wait[Answer](
        self, gen: PQGen[Answer], interval: float = LOOK_SECONDS, timeout: float | None = None
    ) -> Answer:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        while True:
            began = monotonic()
            try:
                return super().wait(gen, interval, SILENT_SECONDS)
            except _WaitTimeout as error:
                told = self.info
                if not pulse_of(told.host, str(told.port), told.user).answers(began):
                    # In the middle of a query it is of no more use to anybody.
                    self.pgconn.finish()
                    _spare()
                    raise ServerSilent("the database neither answers nor goes away") from error


class Pool(ConnectionPool[Connection]):
    """`getconn` gives a connection that has just answered."""

    def getconn(self, timeout: float | None = None) -> Connection:
        """Raises psycopg.OperationalError: at once without a server, after some seconds where it
        is frozen, else after `timeout`."""
        began = monotonic()
        deadline = began + (self.timeout if timeout is None else timeout)
        failed = 0
        while True:
            try:
                connection = super().getconn(deadline - monotonic())
            except NoConnection:
                # A try that began while the server was away may end when it is back.
                failed += 1
                if failed == TRIES or not self._server_answers(began):
                    raise
                continue
            try:
                self.check_connection(connection)
            except ServerSilent as silent:
                # So are those beside it, and they may be well again when it is.
                self.putconn(connection)
                self._fail_waiting(silent)
                raise
            except psycopg.Error:
                # It was lost while it lay here, and so were most likely all that lie beside it.
                self.putconn(connection)
                self.drain()
            else:
                return connection

    def reconnect_failed(self) -> None:
        """Called when a connection could not be made, after it was taken from the count."""
        if self._nconns > 0 and self._server_answers(monotonic() - PROBE_SECONDS):
            # It has no room for more: those that wait are given what others bring back.
            return
        self._fail_waiting(NoConnection("no connection to the database can be made"))

    def _fail_waiting(self, error: psycopg.OperationalError) -> None:
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for client in waiting:
            client.fail(error)

    def _server_answers(self, since: float) -> bool:
        known = self._resolve_kwargs()
        place = (str(known.get(name) or "") for name in ("host", "port", "user"))
        host, port, user = place
        return pulse_of(host, port or "5432", user or "postgres").answers(since)


class DatabaseWrapper(base.DatabaseWrapper):
    _connection_pools: dict[str, Pool] = {}
    _configure_connection: Callable[[Connection], None]

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if monotonic() < getattr(_spared, "until", 0.0):
            raise NoConnection("the database did not answer a moment ago")
        began = monotonic()
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError:
            if monotonic() - began >= WAITED_SECONDS:
                _spare()
            raise

    @property
    def pool(self) -> Pool | None:
        """The process's pool for this alias, made at the first look."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            made = Pool(
                connection_class=Connection,
                kwargs={**self.get_connection_params(), "autocommit": True},
                open=False,
                configure=self._configure_connection,
                reconnect_timeout=RECONNECT_SECONDS,
                **options,
            )
            # Of several threads that come first one wins; nothing is open yet.
            self._connection_pools.setdefault(self.alias, made)
        return self._connection_pools[self.alias]

"""Django's PostgreSQL backend on a pool that does not wait for a server that is not there.

A caller waits while every connection is in use. Where none is left and none can be made, whoever
waits is told so at once, and the next caller tries anew: no pause grows while the server is away,
so that it is found again by the first request after its return.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping
from psycopg_pool import ConnectionPool

# No second try later: the next caller is the next try.
RECONNECT_SECONDS: Final = 0.0
# What says where the server is, of all that a connection takes.
PLACE: Final = ("host", "port", "dbname", "user", "password", "connect_timeout")


class Pool(ConnectionPool[psycopg.Connection[Any]]):
    """`getconn` gives a connection that has just answered."""

    def getconn(self, timeout: float | None = None) -> psycopg.Connection[Any]:
        """Raises psycopg.OperationalError: at once without a server, else after `timeout`."""
        deadline = monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            connection = super().getconn(deadline - monotonic())
            try:
                self.check_connection(connection)
            except psycopg.Error:
                # It was lost while it lay here, and so were most likely all that lie beside it.
                self.putconn(connection)
                self.drain()
            else:
                return connection

    def reconnect_failed(self) -> None:
        """Called when a connection could not be made, after it was taken from the count."""
        if self._nconns > 0 and self._server_answers():
            # It has no room for more: those that wait are given what others bring back.
            return
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for client in waiting:
            client.fail(psycopg.OperationalError("no connection to the database can be made"))

    def _server_answers(self) -> bool:
        known = self._resolve_kwargs()
        place = make_conninfo(**{name: known[name] for name in PLACE if name in known})
        return PGconn.ping(place.encode()) == Ping.OK


class DatabaseWrapper(base.DatabaseWrapper):
    _connection_pools: dict[str, Pool] = {}
    _configure_connection: Callable[[psycopg.Connection[Any]], None]

    @property
    def pool(self) -> Pool | None:
        """The process's pool for this alias, made at the first look."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            made = Pool(
                kwargs={**self.get_connection_params(), "autocommit": True},
                open=False,
                configure=self._configure_connection,
                reconnect_timeout=RECONNECT_SECONDS,
                **options,
            )
            # Of several threads that come first one wins; nothing is open yet.
            self._connection_pools.setdefault(self.alias, made)
        return self._connection_pools[self.alias]

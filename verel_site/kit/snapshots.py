"""Many reads of one moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def one_moment() -> Iterator[None]:
    """Within it every query sees the database as it was at the first, and no writer waits.

    Within a transaction of the caller's it does nothing: that one has chosen its isolation.
    """
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
        return
    # In SQLite a reader's snapshot is a deferred transaction; ours begin as writers otherwise.
    chosen = connection.transaction_mode  # type: ignore[attr-defined]
    connection.transaction_mode = None  # type: ignore[attr-defined]
    try:
        with transaction.atomic():
            connection.transaction_mode = chosen  # type: ignore[attr-defined]
            yield
    finally:
        connection.transaction_mode = chosen  # type: ignore[attr-defined]

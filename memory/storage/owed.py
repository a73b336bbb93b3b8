"""Whatever moves a record in or out of recall owes it to the outbox, in the same transaction.

The database does it, so that no way of writing a record, of today or to come, can forget it. One
promise stands for a record: what moved twice is delivered as it is now. See `memory.projection`.
"""

from typing import Any, Final

from django.db import connections

# A new text takes a new name: an old trigger is only replaced where the name is new.
NAME: Final = "memory_record_is_owed_1"
KIND: Final = "memory.record"
DESTINATION: Final = "recall"

_IN: Final = "({row}.standing = 'live' AND {row}.trust <> 'unverified')"
_MOVED: Final = "(OLD.standing <> NEW.standing OR OLD.trust <> NEW.trust OR OLD.scope <> NEW.scope)"
_PROMISE: Final = (
    "INSERT INTO outbox_promise (id, project_id, kind, subject, destination, state, due_at, "
    "attempts, last_error, sent_at, created_at) VALUES ({id}, NEW.project_id, '{kind}', "
    "NEW.record_id, '{destination}', 'due', {now}, 0, '', NULL, {now}) "
    "ON CONFLICT (kind, subject, destination) DO UPDATE SET state = 'due', attempts = 0, "
    "last_error = '', sent_at = NULL, due_at = {now}"
)
# Django leaves out a fraction of zero when it compares: this one never is.
_SQLITE_NOW: Final = "strftime('%Y-%m-%d %H:%M:%f', 'now') || '001'"


def install(*, using: str) -> None:
    """Makes the triggers where they are missing, as they are on SQLite after every migration."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    if not {"memory_record", "outbox_promise"} <= tables:
        return
    with connection.cursor() as cursor:
        for statement in _statements(connection.vendor, cursor):
            cursor.execute(statement)


def lift(*, using: str) -> None:
    """On SQLite, before a migration: a table that a trigger names cannot be remade there."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for when in ("insert", "update"):
                cursor.execute(f"DROP TRIGGER IF EXISTS {NAME}_{when}")


def _statements(vendor: str, cursor: Any) -> list[str]:
    if vendor == "postgresql":
        cursor.execute("SELECT 1 FROM pg_trigger WHERE tgname = %s", [f"{NAME}_update"])
        return [] if cursor.fetchone() else _postgresql()
    return _sqlite()


def _told(now: str, new_id: str) -> str:
    return _PROMISE.format(id=new_id, kind=KIND, destination=DESTINATION, now=now)


def _conditions() -> tuple[str, str]:
    new, old = _IN.format(row="NEW"), _IN.format(row="OLD")
    return new, f"{_MOVED} AND ({old} OR {new})"


def _postgresql() -> list[str]:
    made, moved = _conditions()
    promise = _told("clock_timestamp()", "gen_random_uuid()")
    return [
        f"CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN {promise}; RETURN NULL; END $$",
        f"CREATE OR REPLACE TRIGGER {NAME}_insert AFTER INSERT ON memory_record FOR EACH ROW "
        f"WHEN ({made}) EXECUTE FUNCTION {NAME}()",
        f"CREATE OR REPLACE TRIGGER {NAME}_update AFTER UPDATE ON memory_record FOR EACH ROW "
        f"WHEN ({moved}) EXECUTE FUNCTION {NAME}()",
    ]


def _sqlite() -> list[str]:
    made, moved = _conditions()
    promise = _told(_SQLITE_NOW, "lower(hex(randomblob(16)))")
    return [
        f"CREATE TRIGGER IF NOT EXISTS {NAME}_insert AFTER INSERT ON memory_record "
        f"WHEN {made} BEGIN {promise}; END",
        f"CREATE TRIGGER IF NOT EXISTS {NAME}_update AFTER UPDATE ON memory_record "
        f"WHEN {moved} BEGIN {promise}; END",
    ]

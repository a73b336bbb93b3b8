"""Run as a process of its own: makes the first release's tables, and stores the rows that it recorded.

The database must be empty. Values are as SQLite kept them; each is read
by the field of the model of that time, so that they can be stored on any database.
"""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
from django.db import connection, models, transaction
from django.db.migrations.executor import MigrationExecutor

RECORDED = Path(__file__).with_name("first_release.json.gz")
FIRST = [
    *((app, "0001_initial") for app in ("access", "audit", "outbox", "branches", "verdicts")),
    ("auth", "0012_alter_user_first_name_max_length"),
]


def read_value(field: "models.Field[Any, Any]", value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    if value is None:
        return None
    if isinstance(field, models.DateTimeField):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    if isinstance(field, models.JSONField):
        return json.loads(value)
    return field.to_python(value)


def store(model: type[models.Model], columns: list[str], rows: list[list[Any]]) -> None:
    fields = {field.column: field for field in model._meta.concrete_fields}
    for row in rows:
        told = {
            fields[column].attname: read_value(fields[column], value)
            for column, value in zip(columns, row, strict=True)
        }
        model._base_manager.bulk_create([model(**told)])


def main() -> None:
    django.setup()
    executor = MigrationExecutor(connection)
    state = executor.migrate(FIRST)
    by_table = {model._meta.db_table: model for model in state.apps.get_models()}
    recorded = json.loads(gzip.decompress(RECORDED.read_bytes()))
    # Rows refer to each other in every direction: what they refer to is looked at in the end.
    with transaction.atomic(), connection.constraint_checks_disabled():
        if connection.vendor == "postgresql":
            connection.cursor().execute("SET session_replication_role = replica")
        for table, kept in recorded.items():
            store(by_table[table], kept["columns"], kept["rows"])
    if connection.vendor == "postgresql":
        connection.cursor().execute("SET session_replication_role = origin")
        with connection.cursor() as cursor:
            for table, model in by_table.items():
                key = model._meta.pk
                if table in recorded and isinstance(key, models.AutoField):
                    cursor.execute(
                        f"SELECT setval(pg_get_serial_sequence('{table}', '{key.column}'), "
                        f"max({key.column})) FROM {table}"
                    )


if __name__ == "__main__":
    main()

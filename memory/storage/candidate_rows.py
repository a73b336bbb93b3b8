"""Candidates written back by the hundred, each by its key: Django's `bulk_update` makes one statement
in which the database holds every row against every key, and that grows with the square of a window."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, models

from memory.consolidation_models import Candidate


def save_candidates(rows: Iterable[Candidate], names: Sequence[str]) -> None:
    """Call in the window's transaction."""
    fields = [_field(name) for name in names]
    sets = ", ".join(f'"{field.column}" = %s' for field in fields)
    told = [[*(_value(field, row) for field in fields), row.pk] for row in rows]
    if told:
        with connection.cursor() as cursor:
            statement = f'UPDATE "{Candidate._meta.db_table}" SET {sets} WHERE "id" = %s'  # noqa: S608 - names of ours
            cursor.executemany(statement, told)


def _field(name: str) -> "models.Field[Any, Any]":
    field = Candidate._meta.get_field(name)
    assert isinstance(field, models.Field)
    return field


def _value(field: "models.Field[Any, Any]", row: Candidate) -> Any:
    return field.get_db_prep_save(getattr(row, field.attname), connection)

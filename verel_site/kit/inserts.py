"""A row stored as Django stores it, by a statement that is made once.

To build the statement of an insert costs Django several times what the database takes to run it.
Nothing is announced: not for models with signals, nor with fields that a database computes.
"""

from collections.abc import Sequence, Sized
from functools import cache
from typing import Any

from django.db import connection, models

type _Field = "models.Field[Any, Any]"


def marks_of(values: Sized) -> str:
    """A mark for each value of a statement, apart by commas."""
    return ", ".join(["%s"] * len(values))


def insert_row(row: models.Model) -> None:
    """As `save(force_insert=True)`: a key that the database makes is set."""
    statement, fields, made = _statement_of(type(row))
    told = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, told)
        if made:
            row.pk = cursor.fetchone()[0]
    row._state.adding, row._state.db = False, connection.alias


@cache
def _statement_of(model: type[models.Model]) -> tuple[str, Sequence[_Field], bool]:
    made = model._meta.auto_field
    fields = [field for field in model._meta.concrete_fields if field is not made]
    names = ", ".join(f'"{field.column}"' for field in fields)
    statement = f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ({marks_of(fields)})'  # noqa: S608 -- names of ours
    if made is not None:
        statement += f' RETURNING "{made.column}"'
    return statement, fields, made is not None

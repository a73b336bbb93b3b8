"""What people refused, which stays refused: in whatever scope, case, spacing or near wording, under
the same key, another one or none. Only `promotion.clear_refusal` lets it be said again."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID

from memory.domain.content import fold
from memory.domain.likeness import same_value, says_the_same, signs_of
from memory.domain.readings import strip_hidden
from memory.domain.terms import Kind, Standing
from memory.models import Record, RecordSign, RefusedValue
from memory.storage.proposed import find_refused
from verel_site.kit.refusals import Refusal

# What a sign of a refused text is about: nothing but that, so that it is found from everywhere.
_ABOUT: Final = ("refused",)


class ValueRefused(Refusal):
    code = "value_refused"
    title = "This was refused, and stays refused"


def check_refused(*, project_id: UUID, kind: Kind, key: str, value: str, text: str) -> None:
    """Raises ValueRefused for what says what somebody refused."""
    # A skill is what its files are, whatever it says of itself.
    signs = frozenset() if kind is Kind.SKILL else _signs(text)
    rows = _read(find_refused(project_id=project_id, key=key, signs=signs))
    found = _of_key(rows, key, value) or next(_saying_so(rows, kind, key, value, text), None)
    if found is not None:
        raise ValueRefused(
            f"{found.by_name} refused it: {found.reason}", pointer="/text", refused=str(found.pk)
        )


def refuse_value(record: Record, *, reason: str, by_name: str) -> RefusedValue:
    """Keeps the record's value as refused."""
    refused = RefusedValue.objects.create(
        project_id=record.project_id,
        record=record,
        key=record.key,
        value=fold(record.object or record.text),
        reason=reason,
        by_name=by_name,
    )
    if record.kind == Kind.FACT.value:
        mark_refused(record)
    return refused


def mark_refused(record: Record) -> None:
    """What a near wording of the record's text is found by; again is no harm."""
    RecordSign.objects.bulk_create(
        [
            RecordSign(project_id=record.project_id, record=record, sign=sign)
            for sign in sorted(_signs(record.text))
        ],
        ignore_conflicts=True,
    )


def of_one_value(record: Record) -> list[Record]:
    """Others that say the same under its key, in whatever scope."""
    if not record.key:
        return []
    rows = Record.objects.filter(project_id=record.project_id, key=record.key)
    others = rows.exclude(pk=record.pk).exclude(standing=Standing.REFUSED.value)
    return [row for row in others if same_value(row.object, record.object)]


def free_of(refused: RefusedValue) -> list[int]:
    """Primary keys of what stood refused by this refusal and by no other one that stands."""
    rows = Record.objects.filter(
        project_id=refused.project_id, standing=Standing.REFUSED.value, key=refused.key
    )
    if not refused.key:
        rows = rows.filter(pk=refused.record_id)
    still = RefusedValue.objects.filter(cleared_at=None, record__in=rows)
    kept = set(still.exclude(pk=refused.pk).values_list("record_id", flat=True))
    return [
        row.pk
        for row in rows
        if row.pk not in kept
        and (row.pk == refused.record_id or same_value(row.object, refused.value))
    ]


def _read(keys: Sequence[int]) -> list[RefusedValue]:
    """In order; most often there are none."""
    if not keys:
        return []
    rows = RefusedValue.objects.filter(pk__in=keys, cleared_at=None)
    return list(rows.select_related("record").order_by("pk"))


def _of_key(rows: Iterable[RefusedValue], key: str, value: str) -> RefusedValue | None:
    told = (row for row in rows if key and row.key == key)
    return next((row for row in told if same_value(row.value, value)), None)


def _saying_so(
    rows: Iterable[RefusedValue], kind: Kind, key: str, value: str, text: str
) -> Iterator[RefusedValue]:
    if kind is Kind.SKILL:
        return
    said = strip_hidden(text)
    for row in rows:
        # Under one key the value is what is said, and the sentence around it may stay.
        otherwise = key and row.key == key and not same_value(row.value, value)
        if not otherwise and says_the_same(strip_hidden(row.record.text), said):
            yield row


def _signs(text: str) -> frozenset[str]:
    return signs_of(strip_hidden(text), about=_ABOUT)

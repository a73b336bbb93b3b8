"""What is typed into a search of memory: the name of a record, its key, or words that it has."""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db.models import Q

from branches.domain.search_query import parse_query
from memory.domain.content import fold
from memory.domain.terms import Kind
from memory.models import Evidence, Record
from memory.storage.recall_index import find_words

# A search answers with so many records at most, the best first.
MAX_MATCHES: Final = 2_000
DIGEST_BYTES: Final = 32
_LABEL: Final = re.compile(r"([frs])-([0-9]{1,9})", re.IGNORECASE)
_HEX: Final = re.compile(r"[0-9a-f]{8,64}")
_KINDS: Final = {kind.value[0]: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Found:
    """Positions of records, the best first. `named` tells that the text is the form of a name, such
    as f-12, and so that who typed it wants that record and no other."""

    positions: tuple[int, ...]
    named: bool
    capped: bool


def search_records(*, project_id: UUID, text: str) -> Found | None:
    """None where nothing is searched for. Whoever asks narrows the rows to what they may see."""
    wanted = text.strip()
    if not wanted:
        return None
    names = _names(wanted)
    rows = Record.objects.filter(names | _keys(wanted), project_id=project_id)
    direct = list(rows.order_by("-position").values_list("position", flat=True)[:MAX_MATCHES])
    clauses = parse_query(wanted).clauses
    said: list[int] = []
    if any(not clause.negated for clause in clauses):
        said = find_words(project_id=project_id, clauses=clauses, limit=MAX_MATCHES)
    found = tuple(dict.fromkeys([*direct, *said]))[:MAX_MATCHES]
    return Found(found, names != _NOTHING, len(found) == MAX_MATCHES)


_NOTHING: Final = Q(pk__in=())


def _names(wanted: str) -> Q:
    """Of a label, an id, an event that it rests on, or a digest: the whole of it, or as much as the
    pages print."""
    label = _LABEL.fullmatch(wanted)
    if label is not None:
        return Q(number=int(label[2]), kind=_KINDS[label[1].lower()].value)
    said = _NOTHING
    with suppress(ValueError):
        id = UUID(wanted)
        rests = Evidence.objects.filter(event_id=id).values("record")
        said |= Q(record_id=id) | Q(pk__in=rests)
    begin = "".join(wanted.lower().split())
    if _HEX.fullmatch(begin):
        least = bytes.fromhex(begin[: len(begin) // 2 * 2])
        most = least + b"\xff" * (DIGEST_BYTES - len(least))
        said |= Q(digest__gte=least, digest__lte=most)
    return said


def _keys(wanted: str) -> Q:
    """Of a whole key, of its subject, or of what both begin with."""
    key = fold(wanted)
    return Q(key__startswith=key) if key and " " not in key.partition("|")[0] else _NOTHING

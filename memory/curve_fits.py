"""Fitting the curves of forgetting to what contexts took and left: one fit for each type of item.

A trial is a record that could have entered a context; it is a hit where it did. What another record
kept out of its key, or what was not live, is no trial: its strength had no say. A fit is kept and
shown beside the default; nobody adopts it by that (see `memory.curves`).
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from memory.domain.assembly import Left, Origin
from memory.domain.fitting import LogRow, TooFewRows, fit_curve
from memory.domain.strength import TABLE, Curve
from memory.domain.terms import ItemType, Trust
from memory.models import Assembly, CurveFit, Record, Retrieval

# The newest contexts of a project that a fit reads, some at a time.
READ: Final = 1_000
AT_ONCE: Final = 50
DAY: Final = 86_400
MISSES: Final = frozenset({Left.RANK.value, Left.BUDGET.value, Left.REDUNDANT.value})

type Log = Counter[tuple[int, int, bool]]


def fit_curves(*, project_id: UUID) -> int:
    """Fits what has enough of a log; answers how many types that were."""
    fitted = 0
    for item_type, log in _read_logs(project_id).items():
        try:
            fit = fit_curve(list(_rows(log)), TABLE[item_type])
        except TooFewRows:
            continue
        CurveFit.objects.update_or_create(
            project_id=project_id,
            item_type=item_type.value,
            defaults={
                "base_days": fit.curve.base_days,
                "beta": fit.curve.beta,
                "log_likelihood": fit.log_likelihood,
                "default_log_likelihood": fit.default_log_likelihood,
                "trials": fit.trials,
                "spread": fit.spread,
                "log": _classes(log, TABLE[item_type]),
            },
        )
        fitted += 1
    return fitted


def _rows(log: Log) -> Iterator[LogRow]:
    """Of one whole day and one count of retrievals one row."""
    for days, retrievals in {key[:2] for key in log}:
        hits, misses = log[days, retrievals, True], log[days, retrievals, False]
        yield LogRow(float(days), retrievals, hits, hits + misses)


def _classes(log: Log, curve: Curve) -> list[list[float]]:
    """Days, hits and trials in classes of age, each twice as wide as the one before. An age after
    retrievals counts as the shorter one that fades as much without any."""
    told: dict[int, list[float]] = {}
    for (days, retrievals, hit), count in log.items():
        age = days * curve.base_days / curve.half_life(retrievals)
        row = told.setdefault(round(2 * math.log2(1 + age)), [0.0, 0.0, 0.0])
        row[0] += age * count
        row[1] += count * hit
        row[2] += count
    return [[round(told[key][0] / told[key][2], 2), *told[key][1:]] for key in sorted(told)]


def _read_logs(project_id: UUID) -> Mapping[ItemType, Log]:
    logs: dict[ItemType, Log] = defaultdict(Counter)
    rows = Assembly.objects.filter(project_id=project_id).order_by("-created_at")
    ids = list(rows.values_list("pk", flat=True)[:READ])
    for start in range(0, len(ids), AT_ONCE):
        _read_some(list(Assembly.objects.filter(pk__in=ids[start : start + AT_ONCE])), logs)
    return logs


def _read_some(assemblies: Iterable[Assembly], logs: dict[ItemType, Log]) -> None:
    told = [(name, one.created_at, hit) for one in assemblies for name, hit in _trials(one.result)]
    rows = Record.objects.filter(record_id__in={name for name, _, _ in told})
    records = {str(row.record_id): row for row in rows.exclude(trust=Trust.VERIFIED.value)}
    uses: dict[int, list[datetime]] = defaultdict(list)
    keys = [row.pk for row in records.values()]
    for key, at in (
        Retrieval.objects.filter(record__in=keys).order_by("at").values_list("record_id", "at")
    ):
        uses[key].append(at)
    for name, at, hit in told:
        record = records.get(name)
        if record is None or record.created_at > at:
            continue
        before = bisect_left(uses[record.pk], at)
        since = uses[record.pk][before - 1] if before else record.created_at
        days = round((at - since).total_seconds() / DAY)
        logs[ItemType(record.item_type)][days, before, hit] += 1


def _trials(result: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    # A person who tries a context uses nothing.
    if result.get("trial"):
        return
    for one in result["entered"]:
        if _is_record(one):
            yield one["id"], True
    for one in result["left_out"]:
        if _is_record(one) and one["reason"] in MISSES:
            yield one["id"], False


def _is_record(one: Mapping[str, Any]) -> bool:
    return bool(one.get("origin", Origin.RECORD.value) == Origin.RECORD.value)

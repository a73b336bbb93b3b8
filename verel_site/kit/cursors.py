"""Reading `after` and `limit` of a list, and building its `next` cursor."""

from collections.abc import Mapping

from verel_site.kit.refusals import BadInput

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100


def read_int(query: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    raw = query.get(name, "")
    if raw == "":
        return default
    try:
        value = int(raw) if len(raw) < 20 else high + 1
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise BadInput(f"{name} takes a whole number from {low} to {high}.", parameter=name)
    return value


def read_page(query: Mapping[str, str], *, default: int = DEFAULT_LIMIT) -> tuple[int, int]:
    """`(after, limit)`; both are checked, and a limit above the highest is refused."""
    after = read_int(query, "after", 0, low=0, high=2**62)
    return after, read_int(query, "limit", default, low=1, high=MAX_LIMIT)

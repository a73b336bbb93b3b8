"""Times as a person reads them: in the zone that is active, with UTC beside it."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.dateformat import format as format_date

ZONE_COOKIE: Final = "verel_zone"
NO_BREAK: Final = "\u00a0"
_AGES: Final = ((86_400, "d"), (3600, "h"), (60, "min"))
# Files of the zone database that are no places.
_NO_ZONES: Final = frozenset({"localtime", "posixrules", "Factory"})
FORMS: Final = {
    "minute": "Y-m-d H:i",
    "date": "j M Y",
    "moment": "j M Y, H:i",
    "second": "j M Y, H:i:s",
    "short": "j M, H:i",
    "day": "j M",
    "hour": "H:i",
    "clock": "H:i:s",
}


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """Every zone that can be chosen."""
    return tuple(sorted(available_timezones() - _NO_ZONES))


def find_zone(name: str) -> tzinfo | None:
    """None for what is no zone of `zone_names`: a name comes from a cookie or a form."""
    return ZoneInfo(name) if name in zone_names() else None


def is_utc(zone: tzinfo, at: datetime) -> bool:
    return not at.astimezone(zone).utcoffset()


def _zone_word(at: datetime) -> str:
    """CET, or UTC-03 for a zone whose name is its distance."""
    word = at.strftime("%Z")
    return f"UTC{word}" if word[:1] in "+-" else word


def tell_exact(at: datetime) -> str:
    """2026-11-28 12:31:09 CET"""
    local = at.astimezone(timezone.get_current_timezone())
    return f"{local:%Y-%m-%d %H:%M:%S} {_zone_word(local)}"


def tell_both(at: datetime) -> str:
    """2026-11-28 12:31:09 CET, 2026-11-28 11:31:09 UTC"""
    zone = timezone.get_current_timezone()
    told = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return told if is_utc(zone, at) else f"{tell_exact(at)}, {told}"


def tell_since(at: datetime) -> str:
    """How long ago, in the largest fitting unit: "12 min ago", "just now"."""
    seconds = (timezone.now() - at).total_seconds()
    for size, unit in _AGES:
        if seconds >= size:
            return f"{int(seconds // size)}{NO_BREAK}{unit} ago"
    return "just now"


def tell_moment(at: datetime, form: str) -> str:
    """`form` is since, exact, or one of FORMS."""
    if form == "since":
        return tell_since(at)
    if form == "exact":
        return tell_exact(at)
    return format_date(at.astimezone(timezone.get_current_timezone()), FORMS[form])


class ZoneMiddleware:
    """Begins each request in the zone that the browser named. Whoever reads the reader's own
    preferences activates theirs; none of it outlasts the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with timezone.override(find_zone(request.COOKIES.get(ZONE_COOKIE, ""))):
            return self.get_response(request)

"""What a person has set for themselves, in every project: their time zone and their keys."""

from collections.abc import Mapping

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from verel_site.access.models import Membership, Preferences
from verel_site.kit.moments import find_zone
from verel_site.kit.refusals import Unprocessable


class NoSuchZone(Unprocessable):
    code = "no_such_zone"
    title = "There is no such time zone"


def kept_preferences(
    user: AbstractBaseUser | AnonymousUser, members: list[Membership]
) -> Preferences:
    """Those that came with the memberships; who has none is asked for by a query of their own."""
    if not user.is_authenticated:
        return Preferences()
    if not members:
        return Preferences.objects.filter(user_id=user.pk).first() or Preferences()
    try:
        kept: Preferences = members[0].user.preferences
    except ObjectDoesNotExist:
        return Preferences()
    return kept


def activate_zone(preferences: Preferences) -> None:
    """Times are told in this zone for the rest of the request. Without one the browser's stays."""
    zone = find_zone(preferences.time_zone)
    if zone is not None:
        timezone.activate(zone)


def set_time_zone(*, user_id: int, name: str) -> None:
    """An empty name leaves it to the browser."""
    if name and find_zone(name) is None:
        raise NoSuchZone(f"{name[:64]!r} is none that the server knows.", pointer="/time_zone")
    Preferences.objects.update_or_create(user_id=user_id, defaults={"time_zone": name})


def set_keys(*, user_id: int, keys: Mapping[str, str]) -> None:
    """Keeps keys by act, which the caller has checked (see `verel_site.keymap`)."""
    Preferences.objects.update_or_create(user_id=user_id, defaults={"keys": dict(keys)})

"""Signing in, made slow for who guesses: by account and by address, in the database.

The wait doubles with each failure past the free ones. An attempt is counted before the password is
looked at, and taken back when it was right, so that many at once count as many. A name that nobody
has waits like any other.
"""

from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Final

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils.crypto import salted_hmac

from verel_site.access.models import LoginFailures

FREE_BY_ACCOUNT: Final = 5
FREE_BY_ADDRESS: Final = 20
LONGEST_SECONDS: Final = 15 * 60
# Failures are forgotten when none was added for this long.
FORGET_SECONDS: Final = 24 * 3600
IPV6_PREFIX: Final = 64


def wait_after(failures: int, *, free: int) -> int:
    """Seconds that are to pass after so many failures: none, then 1, 2, 4 … LONGEST_SECONDS."""
    past = failures - free
    return 0 if past <= 0 else min(LONGEST_SECONDS, 2 ** min(past - 1, 20))


@transaction.atomic
def take_attempt(*, username: str, address: str, now: datetime) -> int:
    """Counts an attempt and answers 0, or counts none and answers the seconds to wait."""
    subjects = _subjects(username, address)
    LoginFailures.objects.bulk_create(
        [LoginFailures(subject=subject, shut_until=now, touched_at=now) for subject in subjects],
        ignore_conflicts=True,
    )
    rows = LoginFailures.objects.select_for_update().filter(subject__in=subjects)
    found = list(rows.order_by("subject"))
    wait = max((row.shut_until - now).total_seconds() for row in found)
    if wait > 0:
        return int(wait) + 1
    for row in found:
        forgotten = (now - row.touched_at).total_seconds() > FORGET_SECONDS
        row.count = 1 if forgotten else row.count + 1
        row.touched_at = now
        row.shut_until = now + timedelta(seconds=wait_after(row.count, free=subjects[row.subject]))
        row.save()
    return 0


def forgive(*, username: str, address: str, now: datetime) -> None:
    """The password was right: the account starts anew, the address gets this attempt back."""
    account, place = _subjects(username, address)
    LoginFailures.objects.filter(subject=account).delete()
    LoginFailures.objects.filter(subject=place).update(
        count=Greatest(F("count") - 1, 0), shut_until=now
    )


def prune_failures(*, now: datetime) -> int:
    """Forgets what no longer counts; answers how many rows went."""
    old = now - timedelta(seconds=FORGET_SECONDS)
    return LoginFailures.objects.filter(touched_at__lt=old).delete()[0]


def network_of(address: str) -> str:
    """The address; of IPv6 the network, since one machine has a whole one of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"{int(parsed) >> (128 - IPV6_PREFIX):x}/{IPV6_PREFIX}"
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _subjects(username: str, address: str) -> dict[str, int]:
    """Free failures by subject, the account's first. Hashed, since people type passwords there."""
    named = {
        f"account {username.strip().casefold()}": FREE_BY_ACCOUNT,
        f"address {network_of(address)}": FREE_BY_ADDRESS,
    }
    return {
        salted_hmac("verel.login", text, algorithm="sha256").hexdigest(): free
        for text, free in named.items()
    }

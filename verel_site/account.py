"""A person's own settings: the zone in which times are told, and the keys."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from verel_site.access.preferences import NoSuchZone, set_keys, set_time_zone
from verel_site.access.projects import request_preferences
from verel_site.keymap import MAX_KEY, BadKeys, check_keys, key_groups, own_keys
from verel_site.kit.htmx import render_page
from verel_site.kit.moments import ZONE_COOKIE, find_zone, zone_names

FIELD = "key-"


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One act. `own` is what its field holds: empty where the usual key stands."""

    act: str
    words: str
    usual: str
    own: str
    fixed: bool
    fault: str

    @property
    def field(self) -> str:
        return f"{FIELD}{self.act}"


@dataclass(frozen=True, slots=True)
class KeyGroup:
    title: str
    rows: tuple[KeyRow, ...]


@dataclass(frozen=True)
class AccountPage:
    """`templates/registration/account.html`. `browser_zone` is the one that times are told in where
    nothing is chosen."""

    time_zone: str
    browser_zone: str
    zones: tuple[str, ...]
    groups: tuple[KeyGroup, ...]
    changed: int
    said: str = ""
    zone_fault: str = ""
    faults: int = 0

    screen: str = "settings"
    nav: str = ""
    tab: str = "account"
    title: str = "Your account"


SAID = {"zone": "Times are told in this zone now.", "keys": "Your keys are kept."}


def read_account(
    request: HttpRequest,
    *,
    given: Mapping[str, str] | None = None,
    faults: Mapping[str, str] | None = None,
) -> AccountPage:
    """`given` are keys that were refused, with a fault for each act that was at fault."""
    kept = request_preferences(request)
    named = request.COOKIES.get(ZONE_COOKIE, "")
    own = own_keys(kept.keys)
    shown = own if given is None else given
    return AccountPage(
        time_zone=kept.time_zone,
        browser_zone=named if find_zone(named) else "UTC",
        zones=zone_names(),
        groups=tuple(
            KeyGroup(
                group.title,
                tuple(
                    KeyRow(
                        act=act.id,
                        words=act.words,
                        usual=act.key,
                        own=shown.get(act.id, ""),
                        fixed=act.fixed,
                        fault=(faults or {}).get(act.id, ""),
                    )
                    for act in group.acts
                ),
            )
            for group in key_groups()
        ),
        changed=len(own),
        said=SAID.get(request.GET.get("kept", ""), ""),
        faults=len(faults or {}),
    )


def _show(request: HttpRequest, page: AccountPage, *, status: int = 200) -> HttpResponse:
    return render_page(request, "registration/account.html", page, status=status)


@require_safe
@login_required
def account(request: HttpRequest) -> HttpResponse:
    return _show(request, read_account(request))


@require_POST
@login_required
def account_zone(request: HttpRequest) -> HttpResponse:
    """The zone of this person; an empty one is the browser's."""
    assert request.user.pk is not None
    try:
        set_time_zone(user_id=request.user.pk, name=request.POST.get("time_zone", ""))
    except NoSuchZone as refusal:
        page = replace(read_account(request), zone_fault=refusal.detail)
        return _show(request, page, status=refusal.status)
    return redirect(f"{reverse('account')}?kept=zone")


@require_POST
@login_required
def account_keys(request: HttpRequest) -> HttpResponse:
    """All keys at once, so that two can change places; `reset` gives every act its usual one."""
    assert request.user.pk is not None
    given = {
        name.removeprefix(FIELD): str(value).strip()[: MAX_KEY + 1]
        for name, value in request.POST.items()
        if name.startswith(FIELD) and not request.POST.get("reset")
    }
    try:
        set_keys(user_id=request.user.pk, keys=check_keys(given))
    except BadKeys as refusal:
        page = read_account(request, given=given, faults=refusal.faults)
        return _show(request, page, status=refusal.status)
    return redirect(f"{reverse('account')}?kept=keys#keys")

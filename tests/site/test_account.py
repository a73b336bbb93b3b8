"""A person's own settings: times in their zone on every page, and keys that they have chosen."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.inbox.make import make_item, plain_kind
from tests.make import make_run, make_user
from verel_site.access.models import Preferences, Project
from verel_site.inbox.models import Item
from verel_site.kit.moments import tell_both, tell_moment, zone_names

pytestmark = pytest.mark.django_db

SUMMER = datetime(2026, 7, 1, 23, 30, 5, tzinfo=UTC)


def text_of(answer: Any) -> str:
    assert answer.status_code < 400, answer.content
    return str(answer.content.decode())


def item_text(project: Project, desk: Client) -> str:
    item = make_item(project.pk)
    Item.objects.filter(pk=item.pk).update(created_at=SUMMER)
    return text_of(desk.get(f"/inbox/{item.pk}/"))


def test_times_are_told_in_the_chosen_zone_with_utc_in_the_title(
    project: Project, desk: Client
) -> None:
    with plain_kind():
        assert "2026-07-01 23:30:05 UTC" in item_text(project, desk)
        desk.post("/account/zone/", {"time_zone": "Europe/Berlin"})
        told = item_text(project, desk)
    both = "2026-07-02 01:30:05 CEST, 2026-07-01 23:30:05 UTC"
    assert f'title="{both}">2026-07-02 01:30:05 CEST</time>' in told


def test_the_browsers_zone_serves_until_one_is_chosen_and_comes_back_after(
    project: Project, desk: Client
) -> None:
    desk.cookies["verel_zone"] = "America/New_York"
    with plain_kind():
        assert "2026-07-01 19:30:05 EDT" in item_text(project, desk)
        desk.post("/account/zone/", {"time_zone": "Asia/Kolkata"})
        assert "2026-07-02 05:00:05 IST" in item_text(project, desk)
        desk.post("/account/zone/", {"time_zone": ""})
        assert "2026-07-01 19:30:05 EDT" in item_text(project, desk)
    # Nothing of it is left for the next request of somebody else.
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "Europe/Berlin\x00", "é" * 400]
)
def test_a_cookie_that_names_no_zone_is_as_none(project: Project, desk: Client, name: str) -> None:
    desk.cookies["verel_zone"] = name.encode().hex() if "\x00" in name else name[:60]
    with plain_kind():
        assert "2026-07-01 23:30:05 UTC" in item_text(project, desk)


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "localtime", "../../etc/passwd", "<b>x</b>", "x" * 300]
)
def test_a_zone_that_there_is_not_is_refused(desk: Client, name: str) -> None:
    answer = desk.post("/account/zone/", {"time_zone": name})
    assert answer.status_code == 422
    assert "<b>x</b>" not in answer.content.decode()
    assert not Preferences.objects.exists()


def test_every_zone_on_offer_can_be_told_in() -> None:
    assert len(zone_names()) > 400
    for name in zone_names():
        with timezone.override(name):
            assert re.fullmatch(
                r"[\d-]{10} [\d:]{8} (UTC[+-]\d+|[A-Za-z]+)", tell_moment(SUMMER, "exact")
            )
            assert tell_both(SUMMER).endswith("2026-07-01 23:30:05 UTC")


def test_preferences_cost_no_query_of_their_own(project: Project, desk: Client, ada: User) -> None:
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as asked:
            desk.get("/inbox/")
        counts.append(len(asked))
        Preferences.objects.get_or_create(user=ada, defaults={"time_zone": "Europe/Berlin"})
    assert counts[0] == counts[1]


def test_a_changed_key_is_printed_where_it_presses_and_in_the_list(
    project: Project, desk: Client
) -> None:
    make_run(project)
    desk.post("/account/keys/", {"key-inbox.skip": "s", "key-rows.next": "i", "key-go.runs": "g x"})
    with plain_kind():
        told = item_text(project, desk)
    assert 'data-key="s"' in told
    assert 'data-key="w"' not in told
    assert 'data-key="g x"' in told
    assert "<dt>Skip for now</dt><dd><kbd>s</kbd></dd>" in told
    assert 'data-usual-keys="{&quot;i&quot;: &quot;j&quot;, &quot;j&quot;: &quot;&quot;}"' in told


def test_keys_that_clash_are_refused_together_and_what_was_filled_in_stays(
    desk: Client, ada: User
) -> None:
    desk.post("/account/keys/", {"key-inbox.skip": "s"})
    answer = desk.post("/account/keys/", {"key-inbox.skip": "c", "key-inbox.release": "q"})
    assert answer.status_code == 422
    told = answer.content.decode()
    assert 'aria-describedby="fault-inbox.skip"' in told
    assert "c is already “Comment” (Inbox)." in told
    assert 'name="key-inbox.release" value="q"' in told
    assert Preferences.objects.get().keys == {"inbox.skip": "s"}


def test_one_press_gives_every_act_its_usual_key(desk: Client) -> None:
    desk.post("/account/keys/", {"key-inbox.skip": "s", "key-everywhere.jump": "Ctrl+P"})
    assert "2 changed" in text_of(desk.get("/account/"))
    desk.post("/account/keys/", {"key-inbox.skip": "s", "reset": "1"})
    assert Preferences.objects.get().keys == {}
    assert "changed)" not in text_of(desk.get("/account/"))


def test_what_one_person_chose_is_nobody_elses(
    project: Project, desk: Client, client: Client
) -> None:
    desk.post("/account/keys/", {"key-inbox.skip": "s"})
    desk.post("/account/zone/", {"time_zone": "Europe/Berlin"})
    client.force_login(make_user(project, name="tom"))
    assert "Europe/Berlin</option>" in (told := text_of(client.get("/account/")))
    assert "selected>Europe/Berlin" not in told
    assert 'name="key-inbox.skip" value=""' in told


def test_hostile_keys_are_text_in_the_page_that_refuses_them(desk: Client) -> None:
    answer = desk.post("/account/keys/", {"key-inbox.skip": '"><b>', "key-<i>x</i>": "q"})
    assert answer.status_code == 422
    told = answer.content.decode()
    assert 'value="&quot;&gt;&lt;b&gt;"' in told
    assert '"><b>' not in told.partition("key-columns")[2].partition("</form>")[0]
    assert "<i>x" not in told

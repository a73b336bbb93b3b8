from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from tests.make import make_project, make_user
from verel_site.access import pruning
from verel_site.access.links import create_link, use_link
from verel_site.access.models import RememberedAnswer, SignInLink
from verel_site.access.pruning import ANSWERS_KEPT_DAYS, LINKS_KEPT_DAYS, prune
from verel_site.serving import standing_jobs

pytestmark = pytest.mark.django_db


def remember(key: str, days: float) -> None:
    RememberedAnswer.objects.create(
        project=make_project(),
        actor="key:1",
        key=key,
        request_sha256="",
        status=201,
        body="",
        created_at=timezone.now() - timedelta(days=days),
    )


def test_what_may_still_be_asked_for_stays() -> None:
    remember("old", ANSWERS_KEPT_DAYS + 0.1)
    remember("new", ANSWERS_KEPT_DAYS - 0.1)
    user = make_user()
    live, used = create_link(user=user), create_link(user=user)
    use_link(token=used)
    now = timezone.now()
    Session.objects.create(session_key="a", session_data="", expire_date=now - timedelta(1))
    Session.objects.create(session_key="b", session_data="", expire_date=now + timedelta(1))
    assert not prune()
    assert [row.key for row in RememberedAnswer.objects.all()] == ["new"]
    assert [row.session_key for row in Session.objects.all()] == ["b"]
    assert SignInLink.objects.count() == 2
    assert not prune(now=now + timedelta(days=LINKS_KEPT_DAYS, minutes=1))
    assert [row.used_at for row in SignInLink.objects.all()] == [None]
    assert use_link(token=live) == user


def test_a_long_past_goes_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 2)
    for index in range(5):
        remember(str(index), 99)
    assert [prune(), prune(), prune()] == [True, True, False]
    assert not RememberedAnswer.objects.exists()


def test_the_worker_prunes() -> None:
    assert [job.step for job in standing_jobs() if job.name == "pruning"] == [prune]

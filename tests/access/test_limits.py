from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from branches.models import Branch
from tests.api_client import Api, data, problem
from tests.branches.api.test_events import make_event
from tests.make import make_key, make_project, make_run, make_user
from verel_site.access import buckets, limits
from verel_site.access.buckets import Charge, LocalBuckets

moments = st.lists(st.floats(0, 60), max_size=40).map(sorted)


@given(moments, st.floats(0.5, 20), st.floats(1, 50), st.floats(0.1, 9))
def test_what_is_let_in_is_never_more_than_rate_and_burst_allow(
    times: list[float], rate: float, burst: float, cost: float
) -> None:
    local = LocalBuckets()
    charge = Charge("a", cost, rate, burst)
    let_in = [at for at in times if local.take([charge], now=at) == 0]
    for first in range(len(let_in)):
        # The last one may go into debt, and pays for it before the next.
        spent = cost * (len(let_in) - first - 1)
        assert spent <= burst + rate * (let_in[-1] - let_in[first]) + 1e-6


@given(st.floats(0.5, 20), st.floats(1, 50), st.floats(1, 500))
def test_who_waits_as_long_as_told_is_let_in(rate: float, burst: float, cost: float) -> None:
    local = LocalBuckets()
    charge = Charge("a", cost, rate, burst)
    now, waited = 0.0, 0
    for _ in range(60):
        wait = local.take([charge], now=now)
        if wait:
            now, waited = now + wait + 1e-6, waited + 1
            assert local.take([charge], now=now) == 0
    assert waited


def test_of_several_buckets_either_all_pay_or_none() -> None:
    local = LocalBuckets()
    mine, ours = Charge("mine", 1, 1, 5), Charge("ours", 1, 1, 1)
    assert local.take([mine, ours], now=0) == 0
    for _ in range(9):
        assert local.take([mine, ours], now=0) > 0
    assert [local.take([mine], now=0) for _ in range(5)] == [0, 0, 0, 0, 1]


def test_the_least_lately_used_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MOST_KEPT", 3)
    local = LocalBuckets()
    for index in range(9):
        local.take([Charge(f"k{index}", 1, 1, 1)], now=0)
    assert list(local._held) == ["k6", "k7", "k8"]


@pytest.fixture(autouse=True)
def _own_buckets(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.VEREL_REDIS_URL = ""
    fresh = LocalBuckets()
    monkeypatch.setattr(limits, "local_buckets", lambda: fresh)


@pytest.fixture
def trunk() -> Branch:
    return make_run()[1]


def ask_until_refused(api: Api, path: str, most: int = 60) -> tuple[int, Any]:
    for count in range(most):
        answer = api.get(path)
        if answer.status_code != 200:
            return count, answer
    return most, None


@pytest.mark.django_db
@pytest.mark.urls("tests.api_urls")
class TestTheApi:
    def test_a_key_that_asks_too_often_is_told_when_to_come_back(
        self, trunk: Branch, settings: Settings
    ) -> None:
        settings.VEREL_KEY_RATES = (1, 0)
        path = f"branches/{trunk.pk}"
        let_in, refused = ask_until_refused(Api(make_key(trunk.project, "context:read")), path)
        assert let_in >= limits.BURST_SECONDS
        problem(refused, 429, "throttled")
        assert refused["Retry-After"] == "1"
        data(Api(make_key(trunk.project, "context:read")).get(path))

    def test_a_projects_keys_share_its_limit_and_no_other_projects(
        self, trunk: Branch, settings: Settings
    ) -> None:
        settings.VEREL_PROJECT_RATES = (1, 0)
        first, second = (Api(make_key(trunk.project, "context:read")) for _ in range(2))
        ask_until_refused(first, f"branches/{trunk.pk}")
        assert second.get(f"branches/{trunk.pk}").status_code == 429
        other = make_project()
        data(Api(make_key(other, "context:read")).get(f"projects/{other.slug}/runs"))

    def test_bytes_count_as_they_are_sent_and_reading_goes_on(
        self, trunk: Branch, settings: Settings
    ) -> None:
        settings.VEREL_KEY_RATES = (0, 100)
        api = Api(make_key(trunk.project, "events:write"))
        event = make_event(payload={"content": "x" * 2000})
        data(api.post(f"branches/{trunk.pk}/events", {"events": [event]}), 201)
        late = api.post(f"branches/{trunk.pk}/events", {"events": [make_event()]})
        problem(late, 429, "throttled")
        assert int(late["Retry-After"]) > 5
        data(api.get(f"branches/{trunk.pk}"))

    def test_a_person_is_counted_alone(self, trunk: Branch, settings: Settings) -> None:
        settings.VEREL_KEY_RATES = (1, 0)
        one, other = (Api(user=make_user(trunk.project)) for _ in range(2))
        let_in, refused = ask_until_refused(one, f"branches/{trunk.pk}")
        assert let_in >= limits.BURST_SECONDS
        assert refused.status_code == 429
        data(other.get(f"branches/{trunk.pk}"))

    def test_a_redis_that_is_away_stops_nobody(self, trunk: Branch, settings: Settings) -> None:
        settings.VEREL_REDIS_URL = "redis://127.0.0.1:1/0"
        data(Api(make_key(trunk.project, "context:read")).get(f"branches/{trunk.pk}"))

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from tests.make import NOON, make_user
from verel_site.access.models import LoginFailures
from verel_site.access.throttle import (
    FORGET_SECONDS,
    FREE_BY_ACCOUNT,
    FREE_BY_ADDRESS,
    LONGEST_SECONDS,
    forgive,
    network_of,
    prune_failures,
    take_attempt,
    wait_after,
)

PASSWORD, WRONG = "correct horse battery", "wrong"


@given(st.integers(0, 10**6), st.integers(0, 100))
def test_a_wait_never_shrinks_and_has_an_end(failures: int, free: int) -> None:
    wait = wait_after(failures, free=free)
    assert 0 <= wait <= wait_after(failures + 1, free=free) <= LONGEST_SECONDS
    assert (wait == 0) == (failures <= free)


def attempt(name: str = "ann", address: str = "10.0.0.1", after: int = 0) -> int:
    return take_attempt(username=name, address=address, now=NOON + timedelta(seconds=after))


@pytest.mark.django_db
def test_an_account_is_shut_for_longer_and_longer_from_whatever_address() -> None:
    for index in range(FREE_BY_ACCOUNT + 1):
        assert attempt(address=f"10.0.0.{index}") == 0
    assert attempt(" ANN", "10.9.9.9") == 2
    assert attempt(after=2) == 0
    assert attempt(after=3) == 2
    assert attempt("bob", "10.9.9.9") == 0
    assert attempt(after=FORGET_SECONDS + 9) == 0
    assert LoginFailures.objects.order_by("-touched_at")[0].count == 1


@pytest.mark.django_db
def test_an_address_is_shut_whatever_names_it_tries() -> None:
    for index in range(FREE_BY_ADDRESS + 1):
        assert attempt(f"user{index}", "2001:db8::1") == 0
    assert attempt("another", "2001:db8::2") > 0
    assert attempt("another", "2001:db8:0:1::1") == 0


@pytest.mark.django_db
def test_the_right_password_starts_the_account_anew_and_costs_the_address_nothing() -> None:
    for index in range(FREE_BY_ADDRESS * 2):
        assert attempt(f"user{index}") == 0
        forgive(username=f"user{index}", address="10.0.0.1", now=NOON)
    assert attempt("ann") == 0


@pytest.mark.django_db
def test_no_name_and_no_address_is_kept_in_the_clear_nor_for_ever() -> None:
    attempt("hunter2")
    assert not re.search("hunter2|10.0.0", str(list(LoginFailures.objects.values())))
    assert prune_failures(now=NOON + timedelta(seconds=FORGET_SECONDS)) == 0
    assert prune_failures(now=NOON + timedelta(seconds=FORGET_SECONDS + 1)) == 2


def test_an_address_that_is_none_is_one_more_name() -> None:
    assert network_of("::ffff:10.0.0.1") == "10.0.0.1"
    assert network_of("unix:") == "unix:"


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_let_try_no_more_often_than_one_after_another() -> None:
    def one(_: int) -> int:
        try:
            return attempt()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(one, range(24)))
    assert waits.count(0) == FREE_BY_ACCOUNT + 1


def sign_in(client: Client, name: str, password: str = WRONG, **extra: Any) -> Any:
    return client.post("/login/", {"username": name, "password": password}, **extra)


@pytest.mark.django_db
def test_the_login_answers_429_in_the_same_words_for_who_is_there_and_who_is_not(
    client: Client,
) -> None:
    make_user(name="there")
    told = {}
    for name in ("there", "nobody"):
        for _ in range(FREE_BY_ACCOUNT + 1):
            assert sign_in(client, name).status_code == 200
        answer = sign_in(client, name, PASSWORD)
        assert (answer.status_code, answer["Retry-After"]) == (429, "1")
        told[name] = re.findall(r"Too many attempts[^<]*", answer.content.decode())
    assert told["there"] == told["nobody"] == ["Too many attempts to sign in. Try again in 1 s."]
    assert "_auth_user_id" not in client.session
    LoginFailures.objects.update(shut_until=NOON)
    assert sign_in(client, "there", PASSWORD).status_code == 302
    assert client.session["_auth_user_id"]


@pytest.mark.django_db
def test_a_client_cannot_name_its_own_address(client: Client, settings: Settings) -> None:
    for index in range(FREE_BY_ADDRESS + 1):
        sign_in(client, f"u{index}", headers={"X-Forwarded-For": f"10.0.{index}.1"})
    assert sign_in(client, "another").status_code == 429
    settings.VEREL_PROXIES = 1
    behind = {"X-Forwarded-For": "1.2.3.4, 10.0.0.7"}
    assert sign_in(client, "another", headers=behind).status_code == 200
    assert LoginFailures.objects.filter(count=1).count() >= 2


@pytest.mark.django_db
def test_django_admin_has_no_login_of_its_own(client: Client) -> None:
    led = client.get("/admin/login/?next=/admin/")
    assert (led.status_code, led["Location"]) == (302, "/login/?next=/admin/")
    assert client.post("/admin/login/", {"username": "a", "password": "b"}).status_code == 405

"""A person's own password, from the first link on."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.make import make_project, make_user
from verel_site.access.links import create_link
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role
from verel_site.access.throttle import FREE_BY_ACCOUNT
from verel_site.administration.members import add_member

pytestmark = pytest.mark.django_db

PAGE = "/account/password/"
OLD, NEW = "correct horse battery", "a stapled goldfinch"


def typed(new: str = NEW, again: str = "", old: str = OLD) -> dict[str, str]:
    return {"old_password": old, "new_password1": new, "new_password2": again or new}


def sign_in(name: str, password: str) -> int:
    return Client().post("/login/", {"username": name, "password": password}).status_code


@pytest.fixture
def user() -> User:
    return make_user(make_project(), name="ines")


@pytest.fixture
def client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_who_is_invited_sets_a_password_and_comes_back_with_it() -> None:
    project = make_project()
    admin = actor_of_user(make_user(project, Role.ADMIN))
    token = add_member(project_id=project.pk, actor=admin, username="ines", role="reviewer").token
    invited = Client()
    landed = invited.get(f"/sign-in/{token}/?first", follow=True)
    assert landed.redirect_chain[-1][0] == PAGE
    assert "Set a password" in landed.content.decode()
    done = invited.post(PAGE, {"new_password1": NEW, "new_password2": NEW}, follow=True)
    assert "Your password is set" in done.content.decode()
    assert invited.get(f"/p/{project.slug}/runs/").status_code == 200
    assert sign_in("ines", NEW) == 302


def test_a_new_password_ends_the_old_one_other_sessions_and_links_that_wait(
    client: Client, user: User
) -> None:
    other, token = Client(), create_link(user=user)
    other.force_login(user)
    assert client.post(PAGE, typed()).status_code == 302
    assert (sign_in("ines", OLD), sign_in("ines", NEW)) == (200, 302)
    assert client.get(PAGE).status_code == 200
    assert other.get(PAGE).status_code == 302
    assert Client().get(f"/sign-in/{token}/").headers["Location"] == "/login/"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (typed(old="wrong horse"), "entered incorrectly"),
        (typed(again="something else"), "match"),
        (typed("short"), "too short"),
        (typed("password123"), "too common"),
        ({}, "required"),
        (typed("nul\x00nul\x00nul"), "Null characters"),
    ],
)
def test_a_password_that_will_not_do_is_refused_and_nothing_changes(
    client: Client, form: dict[str, str], said: str
) -> None:
    answer = client.post(PAGE, form)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert sign_in("ines", OLD) == 302


def test_guessing_the_present_one_from_a_session_is_slowed_like_signing_in(client: Client) -> None:
    for _ in range(FREE_BY_ACCOUNT + 1):
        assert client.post(PAGE, typed(old="guess")).status_code == 422
    shut = client.post(PAGE, typed())
    assert shut.status_code == 429
    assert int(shut["Retry-After"]) >= 1
    assert sign_in("ines", OLD) == 429


def test_no_answer_holds_a_password_or_is_kept_by_a_cache(client: Client) -> None:
    answer = client.post(PAGE, typed(again="something else"))
    assert NEW not in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]

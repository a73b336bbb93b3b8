import re
from typing import Any

import pytest
from django.test import Client

from tests.api_client import ROOT
from tests.make import make_key, make_project, make_user
from verel_site.access.models import ApiKey, Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> Client:
    client = Client()
    client.force_login(make_user(project, Role.ADMIN))
    return client


def make(admin: Client, project: Project, *scopes: str, **form: str) -> Any:
    return admin.post(f"/p/{project.slug}/keys/", {"name": "fleet", "scopes": scopes, **form})


def test_a_key_is_shown_once_opens_the_api_and_stops_when_revoked(
    admin: Client, project: Project
) -> None:
    shown = make(admin, project, "events:write", "context:read", days="30")
    found = re.search(rb"vk_\w+?_[\w-]{43}", shown.content)
    assert found is not None
    assert "no-store" in shown["Cache-Control"]
    text = found[0].decode()
    listed = admin.get(f"/p/{project.slug}/keys/")
    assert text.encode() not in listed.content
    assert b"fleet" in listed.content
    bearer = {"Authorization": f"Bearer {text}"}
    runs = f"{ROOT}projects/{project.slug}/runs"
    assert Client().get(runs, headers=bearer).status_code == 200
    key = ApiKey.objects.get()
    revoke = f"/keys/{key.pk}/revoke/"
    assert admin.post(revoke, {"reason": " "}).status_code == 422
    assert admin.post(revoke, {"reason": "leaked"}).status_code == 302
    assert Client().get(runs, headers=bearer).status_code == 401
    assert admin.post(revoke, {"reason": "again"}).status_code == 409
    made, revoked = AuditEntry.objects.order_by("number")
    assert (made.action, revoked.action, revoked.reason) == ("key.create", "key.revoke", "leaked")
    assert key.secret_sha256 not in bytes(made.body).decode()
    assert text.split("_", 2)[2] not in bytes(made.body).decode()


@pytest.mark.parametrize(
    ("scopes", "form"),
    [
        (("events:write", "reports:write"), {}),
        (("branches:run", "admin"), {}),
        ((), {}),
        (("everything",), {}),
        (("context:read",), {"days": "0"}),
        (("context:read",), {"days": "-3"}),
        (("context:read",), {"days": "99999999999999999999"}),
        (("context:read",), {"days": "soon"}),
        (("context:read",), {"name": " "}),
        (("context:read",), {"name": "x" * 200}),
    ],
)
def test_a_key_that_may_not_be_is_refused_and_the_form_kept(
    scopes: tuple[str, ...], form: dict[str, str], admin: Client, project: Project
) -> None:
    shown = make(admin, project, *scopes, **form)
    assert shown.status_code in {400, 422}
    assert b"Nothing was changed." in shown.content
    assert not ApiKey.objects.exists()
    for scope in {"events:write", "context:read"} & set(scopes):
        assert f'value="{scope}" checked'.encode() in shown.content


def test_a_key_of_another_project_is_not_there(admin: Client) -> None:
    text = make_key(make_project(), "admin")
    asked = admin.post(f"/keys/{text.split('_')[1]}/revoke/", {"reason": "x"})
    assert asked.status_code == 404
    assert ApiKey.objects.filter(revoked_at=None).count() == 1


def test_the_page_asks_the_database_as_often_for_many_keys(
    admin: Client, project: Project, django_assert_num_queries: Any
) -> None:
    for _ in range(2):
        with django_assert_num_queries(6):
            admin.get(f"/p/{project.slug}/keys/")
        for _ in range(4):
            make_key(project, "context:read")

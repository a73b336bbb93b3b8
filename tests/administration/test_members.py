import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.make import make_person, make_project, make_user
from verel_site.access.actors import Actor
from verel_site.access.models import Membership, Project
from verel_site.access.projects import set_member
from verel_site.access.rights import Role
from verel_site.administration.members import (
    AlreadyMember,
    BadMember,
    LastAdmin,
    LinkRefused,
    add_member,
    change_role,
    remove_member,
    renew_link,
)
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import Forbidden, NotFound

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> Actor:
    return make_person(project, Role.ADMIN)


def add(project: Project, admin: Actor, name: str = "new", role: str = "viewer") -> Any:
    return add_member(project_id=project.pk, actor=admin, username=name, role=role)


def test_who_has_no_account_is_invited_by_a_link_that_works_once(
    project: Project, admin: Actor, client: Client
) -> None:
    added = add(project, admin)
    assert not added.membership.user.has_usable_password()
    address = f"/sign-in/{added.token}/"
    assert client.get(address)["Location"] == "/"
    assert client.session["_auth_user_id"] == str(added.membership.user_id)
    again = Client()
    assert again.get(address)["Location"] == "/login/"
    entry = AuditEntry.objects.get(action="member.add")
    assert added.token.encode() not in bytes(entry.body)


def test_who_has_an_account_gets_no_link_into_it(project: Project, admin: Actor) -> None:
    root = make_user(name="root", is_superuser=True)
    added = add(project, admin, "root")
    assert (added.token, added.membership.user) == ("", root)
    with pytest.raises(LinkRefused):
        renew_link(project_id=project.pk, actor=admin, user_id=root.pk)


def test_a_new_link_is_for_who_was_invited_here_and_has_never_come(
    project: Project, admin: Actor
) -> None:
    user = add(project, admin).membership.user
    assert renew_link(project_id=project.pk, actor=admin, user_id=user.pk)
    set_member(project=make_project(), user=user, role=Role.ADMIN)
    with pytest.raises(LinkRefused):
        renew_link(project_id=project.pk, actor=admin, user_id=user.pk)


def test_the_last_admin_stays_and_a_closed_one_does_not_count(
    project: Project, admin: Actor
) -> None:
    assert admin.user_id is not None
    closed = make_user(project, Role.ADMIN, is_active=False)
    mine: dict[str, Any] = {"project_id": project.pk, "actor": admin, "user_id": admin.user_id}
    with pytest.raises(LastAdmin):
        remove_member(**mine)
    with pytest.raises(LastAdmin):
        change_role(**mine, role="curator")
    change_role(**mine, role="admin")
    User.objects.filter(pk=closed.pk).update(is_active=True)
    remove_member(**mine)
    assert not Membership.objects.filter(user_id=admin.user_id).exists()


def test_a_change_is_in_the_audit_log_with_both_roles_and_the_reason(
    project: Project, admin: Actor
) -> None:
    user = make_user(project, Role.VIEWER)
    change_role(
        project_id=project.pk, actor=admin, user_id=user.pk, role="curator", reason="keeps suites"
    )
    entry = AuditEntry.objects.get(action="member.change_role")
    assert (entry.subject, entry.reason) == (f"user:{user.pk}", "keeps suites")
    assert b'"role":"viewer"' in bytes(entry.body)
    assert b'"role":"curator"' in bytes(entry.body)


def test_what_is_refused_changes_nothing(project: Project, admin: Actor) -> None:
    make_user(project, name="there")
    for name, role, refusal in [
        ("there", "viewer", AlreadyMember),
        ("", "viewer", BadMember),
        ("a b\x00", "viewer", BadMember),
        ("x" * 151, "viewer", BadMember),
        ("new", "owner", BadMember),
    ]:
        with pytest.raises(refusal):
            add(project, admin, name, role)
    with pytest.raises(Forbidden):
        add(project, make_person(project, Role.CURATOR))
    with pytest.raises(NotFound):
        add(project, make_person(make_project(), Role.ADMIN))
    elsewhere = make_user(make_project())
    with pytest.raises(NotFound):
        remove_member(project_id=project.pk, actor=admin, user_id=elsewhere.pk)
    assert not AuditEntry.objects.filter(project=project).exists()
    assert not User.objects.filter(username="new").exists()


def test_the_page_adds_changes_and_removes_by_plain_forms(project: Project) -> None:
    client = Client()
    client.force_login(make_user(project, Role.ADMIN))
    page = f"/p/{project.slug}/members/"
    shown = client.post(page, {"username": "<b>ann", "role": "viewer"})
    assert shown.status_code == 422
    assert b"&lt;b&gt;ann" in shown.content
    shown = client.post(page, {"username": "ann", "role": "viewer"})
    link = re.search(rb"http://testserver(/sign-in/[\w-]+/)", shown.content)
    assert link is not None
    assert link[1] not in client.get(page).content
    assert "no-store" in shown["Cache-Control"]
    ann = User.objects.get(username="ann")
    client.post(f"{page}{ann.pk}/", {"act": "role", "role": "reviewer"})
    assert Membership.objects.get(user=ann).role == "reviewer"
    client.post(f"{page}{ann.pk}/", {"act": "remove"})
    assert not Membership.objects.filter(user=ann).exists()


def test_the_page_asks_the_database_as_often_for_many_members(
    project: Project, django_assert_num_queries: Any
) -> None:
    client = Client()
    client.force_login(make_user(project, Role.ADMIN))
    for _ in range(2):
        with django_assert_num_queries(6):
            client.get(f"/p/{project.slug}/members/")
        for _ in range(4):
            make_user(project)

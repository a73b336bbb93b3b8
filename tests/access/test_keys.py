from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

import verel_site.settings
from branches.forks import fork_branch
from tests.make import make_project, make_run, make_user
from verel_site.access.keys import DaysRefused, ScopesRefused, create_key, read_key
from verel_site.access.links import create_link, use_link
from verel_site.access.models import ApiKey, SignInLink
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import JUDGING_SCOPES, PUSHING_SCOPES, Right, Role
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_a_key_is_shown_once_and_kept_as_a_hash() -> None:
    row, text = create_key(project=make_project(), scopes=["events:write"], name="fleet")
    assert text.startswith(f"vk_{row.pk}_")
    secret = text.rsplit("_", 1)[1] or text
    assert secret not in str(ApiKey.objects.values().get())
    found = read_key(text)
    assert found is not None
    assert found[1].may(row.project_id, Right.WRITE_EVENTS)
    assert not found[1].may(row.project_id, Right.REPORT)
    assert not found[1].may(make_project().pk, Right.READ)


def test_wrong_revoked_expired_and_made_up_keys_look_alike() -> None:
    row, text = create_key(project=make_project(), scopes=["events:write"], name="k", days=1)
    assert read_key(text) is not None
    for bad in ("", "vk_", "vk__", text + "x", f"vk_nobody_{text}", "bearer", text.upper()):
        assert read_key(bad) is None
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
    assert read_key(text) is None
    past = timezone.now() - timedelta(seconds=1)
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=None, expires_at=past)
    assert read_key(text) is None


@pytest.mark.parametrize("push", sorted(PUSHING_SCOPES))
@pytest.mark.parametrize("judge", sorted(JUDGING_SCOPES))
def test_no_key_both_pushes_and_judges(push: str, judge: str) -> None:
    with pytest.raises(ScopesRefused):
        create_key(project=make_project(), scopes=[push, judge], name="both")


def test_unknown_scopes_are_named_and_no_scope_is_refused() -> None:
    with pytest.raises(ScopesRefused, match="at least one"):
        create_key(project=make_project(), scopes=[], name="x")
    with pytest.raises(ScopesRefused, match="everything"):
        create_key(project=make_project(), scopes=["everything"], name="k")


def test_the_command_prints_the_key_alone(capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project()
    call_command("create_api_key", project=project.slug, scopes="context:read,exports:read")
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert read_key(printed.strip()) is not None


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (Role.VIEWER, Right.READ, Right.FORK),
        (Role.REVIEWER, Right.MERGE, Right.CURATE),
        (Role.CURATOR, Right.CURATE, Right.BYPASS_GATE),
        (Role.ADMIN, Right.BYPASS_GATE, Right.WRITE_EVENTS),
    ],
)
def test_a_role_ends_where_the_next_begins(role: Role, may: Right, may_not: Right) -> None:
    project = make_project()
    actor = actor_of_user(make_user(project, role))
    assert actor.may(project.pk, may)
    assert not actor.may(project.pk, may_not)


def test_a_sign_in_link_works_once() -> None:
    user = make_user()
    token = create_link(user=user)
    assert token not in str(SignInLink.objects.values().get())
    assert use_link(token=token) == user
    assert use_link(token=token) is None
    late = create_link(user=user)
    SignInLink.objects.filter(used_at=None).update(expires_at=timezone.now())
    assert use_link(token=late) is None
    assert use_link(token="made up") is None


def test_a_look_at_a_sign_in_link_does_not_use_it_up(client: Client) -> None:
    user = make_user(make_project())
    address = f"/sign-in/{create_link(user=user)}/"
    assert client.head(address).status_code == 405
    client.get(address)
    assert client.session["_auth_user_id"] == str(user.pk)


@pytest.mark.parametrize("days", [0, -1, 10**9])
def test_a_key_that_is_to_last_no_time_is_not_made_to_last_for_ever(days: int) -> None:
    with pytest.raises(DaysRefused):
        create_key(project=make_project(), scopes=["context:read"], name="k", days=days)
    assert not ApiKey.objects.exists()


def test_a_name_is_as_long_as_what_keeps_it() -> None:
    project = make_project()
    user = make_user(project, first_name="i" * 150, last_name="n" * 150)
    actor = actor_of_user(user)
    branch = fork_branch(
        parent_id=make_run(project)[1].pk, fork_seq=1, actor=actor, note="n"
    ).branch
    branch.full_clean(exclude=["run", "project", "parent"])
    AuditEntry.objects.get(actor_id=actor.id).full_clean(exclude=["project"])


def test_processes_that_start_at_once_share_one_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verel_site.settings, "VEREL_HOME", tmp_path)
    with ThreadPoolExecutor(8) as pool:
        read = set(pool.map(lambda _: verel_site.settings.kept_secret(), range(64)))
    assert len(read) == 1
    assert len(read.pop()) > 50
    kept = list(tmp_path.iterdir())
    assert [path.name for path in kept] == ["secret_key"]
    assert kept[0].stat().st_mode & 0o777 == 0o600


def test_nul_in_the_address_of_a_page_is_refused_before_a_database_is_asked(client: Client) -> None:
    project = make_project()
    client.force_login(make_user(project))
    refused = client.get(f"/p/{project.slug}/runs/?q=a%00b")
    assert refused.status_code == 400
    assert b"NUL" in refused.content


def test_who_is_in_no_project_is_told_whom_to_ask(client: Client) -> None:
    client.force_login(make_user(name="lone"))
    page = client.get("/")
    assert page.status_code == 200
    assert b"--member lone:admin" in page.content

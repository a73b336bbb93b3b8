"""Django's admin: all models are there, nothing is changed by hand, and acts are the product's."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client

from branches.models import Branch, Merge
from tests.access.world import World
from tests.make import make_user
from verdicts.models import Runner
from verel_site.access.models import ApiKey
from verel_site.audit.models import AuditEntry
from verel_site.kit.ledgers import ReadOnly

pytestmark = pytest.mark.django_db

OURS = {"access", "audit", "outbox", "branches", "verdicts", "memory"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(make_user(name="root", is_staff=True, is_superuser=True))
    return client


def act(client: Client, model: str, action: str, pk: str, reason: str = "") -> Any:
    form = {"action": action, "_selected_action": [pk], "reason": reason}
    return client.post(f"/admin/{model}/", form, follow=True)


def test_every_model_is_registered_and_only_accounts_are_kept_by_hand() -> None:
    models = [model for model in apps.get_models() if model._meta.app_label in OURS]
    assert [model for model in models if model not in admin.site._registry] == []
    by_hand = [m for m, one in admin.site._registry.items() if not isinstance(one, ReadOnly)]
    assert by_hand == [User]


@pytest.mark.parametrize(
    ("model", "name", "action", "audited"),
    [
        ("branches/merge", "merge", "revert", "merge.revert"),
        ("branches/branch", "branch", "abandon", "branch.abandoned"),
        ("access/apikey", "key", "revoke", "key.revoke"),
        ("verdicts/runner", "runner", "revoke", "runner.revoke"),
    ],
)
def test_an_act_is_the_products_own_with_its_reason_and_its_refusals(
    model: str, name: str, action: str, audited: str, world: World, staff: Client
) -> None:
    pk = world.ids[name]
    refused = act(staff, model, action, pk)
    assert b"Say why" in refused.content
    assert not AuditEntry.objects.filter(action=audited).exists()
    assert b"Done for 1." in act(staff, model, action, pk, "asked for by the ward").content
    entry = AuditEntry.objects.get(action=audited)
    told = (entry.actor_kind, entry.actor_name, entry.reason)
    assert told == ("person", "root", "asked for by the ward")


def test_pausing_and_resuming_a_branch(world: World, staff: Client) -> None:
    for action, status in [("pause", "paused"), ("resume", "running")]:
        act(staff, "branches/branch", action, world.ids["branch"])
        assert Branch.objects.get(pk=world.ids["branch"]).status == status
    assert (
        b"cannot become running"
        in act(staff, "branches/branch", "resume", world.ids["branch"]).content
    )


def test_staff_who_may_only_look_may_not_act(world: World) -> None:
    client = Client()
    looker = make_user(is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(looker)
    assert client.get("/admin/branches/merge/").status_code == 200
    act(client, "branches/merge", "revert", world.ids["merge"], "x")
    act(client, "access/apikey", "revoke", world.ids["key"], "x")
    act(client, "verdicts/runner", "revoke", world.ids["runner"], "x")
    assert not Merge.objects.exclude(reverted_at=None).exists()
    assert not ApiKey.objects.exclude(revoked_at=None).exists()
    assert not Runner.objects.exclude(revoked_at=None).exists()


def test_no_secret_is_shown(world: World, staff: Client) -> None:
    key = ApiKey.objects.get(pk=world.ids["key"])
    shown = staff.get(f"/admin/access/apikey/{key.pk}/change/").content.decode()
    assert key.name in shown
    assert key.secret_sha256 not in shown

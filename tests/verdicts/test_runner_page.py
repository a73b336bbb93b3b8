import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.make import append, make_message, make_project, make_run, make_user
from tests.verdicts.make import make_runner, push_proven
from verdicts.models import Runner
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def make_pem() -> str:
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_curator_registers_a_runner_and_revokes_it_with_a_reason(client: Client) -> None:
    project = make_project()
    client.force_login(make_user(project, Role.CURATOR))
    address = f"/p/{project.slug}/gate/runners/"
    form = {"name": "grader-1", "public_key": make_pem(), "valid_until": "2099-12-31"}
    assert client.post(address, form).status_code == 302
    runner = Runner.objects.get()
    assert runner.valid_until is not None
    assert (runner.name, runner.valid_until.isoformat()[:10]) == ("grader-1", "2099-12-31")
    assert client.post(f"/runners/{runner.pk}/revoke/", {"reason": " "}).status_code == 422
    assert client.post(f"/runners/{runner.pk}/revoke/", {"reason": "leaked"}).status_code == 302
    assert "Revoked" in client.get(address).content.decode()
    assert AuditEntry.objects.get(action="runner.revoke").reason == "leaked"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"public_key": "not a key"}, "Give the key as PEM"),
        ({"name": ""}, "needs a name"),
        ({"valid_until": "2001-01-01"}, "Choose a later end"),
        ({"valid_until": "2026-13-77"}, "is a date"),
    ],
)
def test_what_cannot_be_registered_is_said_and_kept_in_the_form(
    client: Client, form: dict[str, str], words: str
) -> None:
    project = make_project()
    client.force_login(make_user(project, Role.CURATOR))
    typed = {"name": "<b>grader</b>", "public_key": make_pem()} | form
    answer = client.post(f"/p/{project.slug}/gate/runners/", typed)
    text = answer.content.decode()
    assert (answer.status_code, words in text) == (422, True)
    assert "<b>grader" not in text
    assert not Runner.objects.exists()


def test_who_may_not_curate_sees_runners_and_can_change_none(client: Client) -> None:
    project = make_project()
    runner = make_runner(project).runner
    client.force_login(make_user(project, Role.REVIEWER))
    address = f"/p/{project.slug}/gate/runners/"
    page = client.get(address).content.decode()
    assert runner.name in page
    assert "Revoke" not in page
    assert client.post(address, {"name": "x", "public_key": make_pem()}).status_code == 403
    assert client.post(f"/runners/{runner.pk}/revoke/", {"reason": "x"}).status_code == 403
    client.force_login(make_user(make_project(), Role.ADMIN))
    assert client.get(address).status_code == 404
    assert client.post(f"/runners/{runner.pk}/revoke/", {"reason": "x"}).status_code == 404


def test_receipts_are_counted_in_one_query_for_all_runners(client: Client) -> None:
    project = make_project()
    client.force_login(make_user(project))
    branch = make_run(project)[1]

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            page = client.get(f"/p/{project.slug}/gate/runners/")
        assert page.status_code == 200
        return len(queries)

    make_runner(project, "first")
    few = count()
    for number in range(3):
        append(branch, make_message("assistant", f"step {number}"))
        push_proven(make_runner(project, f"ci-{number}"), branch)
    assert count() == few

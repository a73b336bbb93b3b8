"""Curation in Django's admin: the product's own answers, with what they ask for."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from memory.consolidation.jobs import order_consolidation
from memory.domain.terms import Answer
from memory.intentions import propose_intention
from memory.models import Intention, PromotionDecision, PromotionRequest, Record
from memory.requests import request_promotion
from tests.make import make_user
from tests.memory.make import CAP, answer, cite, make_fact, make_source, make_verified, propose
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}evil"


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(make_user(name="root", is_staff=True, is_superuser=True))
    return client


def act(client: Client, model: str, action: str, *rows: Any, **more: str) -> str:
    form = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
    response = client.post(f"/admin/memory/{model}/", form, follow=True)
    assert response.status_code == 200
    return str(response.content.decode())


def test_an_answer_is_told_row_by_row_and_stands_in_the_audit_log(
    project: Project, staff: Client
) -> None:
    live = make_fact(project, "Ward 1 has a pump")
    gone = make_fact(project, "Ward 2 has none")
    Record.objects.filter(pk=gone.pk).update(standing="refused")
    assert "To demote it takes a reason" in act(staff, "record", "demote", live)
    told = act(staff, "record", "promote", live, gone, reason="Seen")
    assert "Done for 1. Promoted: f-1." in told
    assert "F-2: The record cannot take this answer." in told
    live.refresh_from_db()
    assert live.trust == "verified"
    entry = AuditEntry.objects.get(project=project, action="memory.promote")
    assert (entry.actor_name, entry.reason) == ("root", "Seen")
    decision = PromotionDecision.objects.get()
    assert bytes(decision.content_digest) == bytes(live.digest)
    assert "Say why" not in act(staff, "promotiondecision", "undo", decision, reason="Too soon")
    live.refresh_from_db()
    assert live.trust == "unverified"


def test_a_merge_names_the_record_that_stays(project: Project, staff: Client) -> None:
    stays, goes = make_fact(project, "Ward 1 has a pump"), make_fact(project, "Pumps are in ward 1")
    assert "Name the record that stays" in act(staff, "record", "merge", goes, reason="x", into="")
    assert "Merged: f-2." in act(staff, "record", "merge", goes, reason="Same", into="f-1")
    goes.refresh_from_db()
    assert goes.suppressed_by == stays


def test_an_answer_to_a_request_is_bound_to_what_it_pins(project: Project, staff: Client) -> None:
    record = make_fact(project, "The cap is 45 mg", evidence=cite(make_source(project)))
    asked = request_promotion(record_id=record.record_id, actor=SYSTEM)
    act(staff, "promotionrequest", "defer", asked)
    asked.refresh_from_db()
    assert asked.deferred_until is not None
    propose(project, "The cap is 45 mg", evidence=cite(make_source(project)))
    assert "has moved" in act(staff, "promotionrequest", "promote", asked)
    fresh = PromotionRequest.objects.get(record=record, state="open")
    assert "Done for 1." in act(staff, "promotionrequest", "promote", fresh)


def test_jobs_and_intentions_are_cancelled(project: Project, staff: Client) -> None:
    job = order_consolidation(project_id=project.pk, actor=SYSTEM)
    assert "Done for 1." in act(staff, "consolidation", "cancel", job)
    intention = propose_intention(
        project_id=project.pk,
        actor=SYSTEM,
        cue="source == 'x'",
        action={"do": "look"},
        idempotency_key="k",
        ttl_seconds=60,
    )
    assert "Done for 1." in act(staff, "intention", "cancel", intention)
    assert Intention.objects.get().state == "cancelled"


def test_what_an_agent_wrote_is_inert_and_a_record_is_found_by_its_name(
    project: Project, staff: Client, curator: Actor
) -> None:
    record = propose(
        project, f"It is {HOSTILE}", **CAP, object=HOSTILE, evidence=cite(make_source(project))
    ).record
    make_fact(project, "Another one")
    for address in ("", f"{record.pk}/change/", f"?q={record.label}"):
        page = staff.get(f"/admin/memory/record/{address}").content.decode()
        assert "<script>alert" not in page, address
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page, address
    assert "Another one" not in staff.get("/admin/memory/record/?q=f-1").content.decode()
    page = staff.get(f"/admin/memory/record/{record.pk}/change/").content.decode()
    assert bytes(record.digest).hex() in page
    assert f"/p/{project.slug}/memory/1/" in page
    assert "readonly" in page


def test_who_may_only_look_is_offered_nothing_and_does_nothing(
    project: Project, curator: Actor
) -> None:
    record = make_verified(project, "The cap is 45 mg", curator)
    looker = make_user(is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(looker)
    page = client.get("/admin/memory/record/").content.decode()
    assert "The cap is 45 mg" in page
    assert "Bury" not in page
    act(client, "record", "bury", record, reason="x")
    act(client, "promotiondecision", "undo", PromotionDecision.objects.get(), reason="x")
    record.refresh_from_db()
    assert (record.standing, record.trust) == ("live", "verified")


@pytest.mark.parametrize(
    "model", ["record", "promotionrequest", "promotiondecision", "evidence", "refusedvalue"]
)
def test_a_list_asks_no_more_for_more_rows(
    project: Project, staff: Client, curator: Actor, model: str
) -> None:
    def grow() -> None:
        record = make_fact(project, f"Ward {Record.objects.count()} has a pump", evidence=source)
        request_promotion(record_id=record.record_id, actor=SYSTEM)
        answer(record, curator, Answer.REJECT, reason="No")

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(f"/admin/memory/{model}/").status_code == 200
        return len(queries)

    source = cite(make_source(project))
    grow()
    count()
    few = count()
    for _ in range(4):
        grow()
    assert count() == few

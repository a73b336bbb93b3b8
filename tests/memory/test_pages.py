from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags

from memory import proposals, record_list
from memory.domain.terms import Answer
from memory.edits import make_edit
from memory.models import PromotionDecision, PromotionRequest, Record
from memory.recall import assemble_context
from memory.record_needs import NEEDS
from memory.requests import request_promotion
from memory.rules import make_rule
from memory.word_changes import compare_words
from tests.make import make_person, make_project, make_user
from tests.memory.make import (
    CAP,
    answer,
    cite,
    make_corroborated,
    make_fact,
    make_source,
    make_verified,
    propose,
)
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.inbox.claims import claim_item
from verel_site.inbox.decisions import UNDO_SECONDS
from verel_site.inbox.models import Item

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}evil"


def page(client: Client, project: Project, tail: str = "", status: int = 200) -> str:
    response = client.get(f"/p/{project.slug}/memory/{tail}")
    assert response.status_code == status, response.content
    return str(response.content.decode())


def decide(client: Client, record: Record, said: str, **more: str) -> Any:
    form = {"answer": said, "content_digest": bytes(record.digest).hex(), **more}
    return client.post(f"/p/{record.project.slug}/memory/{record.number}/decide/", form)


def test_the_list_tells_trust_and_standing_and_is_filtered(
    client: Client, project: Project, curator: Actor
) -> None:
    make_verified(project, "The bolus cap is 45 mg", curator, **CAP, object="45 mg")
    propose(project, "The bolus cap is 50 mg", **CAP, object="50 mg")
    make_fact(project, "Nurses call it the push", scope="repo:ward")
    whole = page(client, project)
    assert "contradicts a verified one" in whole
    assert "Review 1 proposal" in whole
    assert "Nurses" not in page(client, project, "?trust=verified")
    assert "Nurses" in page(client, project, "?scope=repo:ward")
    found = page(client, project, "?q=push")
    assert "Nurses" in found
    assert "50 mg</a>" not in found
    assert "No record says “nowhere”" in page(client, project, "?q=nowhere")
    assert "No record says “-push”" in page(client, project, "?q=-push")
    assert "No record matches" in page(client, project, "?standing=refused")
    outside = page(client, project, "?q=push&trust=verified")
    assert "1 record matches without the filters" in outside
    page(client, project, "?trust=odd", status=400)


def test_an_empty_memory_says_what_comes(client: Client, project: Project) -> None:
    assert "Nothing is remembered yet" in page(client, project)


def test_older_records_are_a_page_away(client: Client, project: Project) -> None:
    for number in range(52):
        make_fact(project, f"Ward {number} has pump {number}")
    assert 'href="/p/' in page(client, project)
    assert "Ward 0 has" not in page(client, project)
    assert "Ward 0 has" in page(client, project, "?older=3")


def pick(*records: Record) -> list[str]:
    return [f"{record.record_id}:{bytes(record.digest).hex()}" for record in records]


def bulk(client: Client, project: Project, said: str, picked: list[str], **more: str) -> Any:
    form = {"answer": said, "pick": picked, **more}
    return client.post(f"/p/{project.slug}/memory/decide/", form)


def test_of_very_many_the_latest_are_counted_and_the_page_says_so(
    client: Client, project: Project, curator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_verified(project, "The pump beeps twice", curator)
    for number in range(4):
        make_fact(project, f"Ward {number} has a pump of its own")
    told = strip_tags(page(client, project))
    assert "5 records" in " ".join(told.split())
    monkeypatch.setattr(record_list, "COUNTED", 3)
    told = " ".join(strip_tags(page(client, project)).split())
    assert "3+ records" in told
    assert "Verified0+" in told
    assert "The pump beeps twice" in told


def test_bulk_tells_what_was_refused_by_name_and_keeps_filters_and_picks(
    client: Client, project: Project
) -> None:
    good, other = make_fact(project, "Ward 1 has a pump"), make_fact(project, "Ward 2 has none")
    stale = f"{other.record_id}:{'00' * 32}"
    response = bulk(client, project, "bury", [*pick(good), stale], query="standing=live")
    text = response.content.decode()
    assert response.status_code == 409
    assert "1 buried. 1 stayed as it was." in text
    assert "f-2</a>: What you looked at has moved" in text
    assert "Ward 1 has a pump" not in text
    assert text.count(" checked") == 1, "what was refused is still picked"
    assert bulk(client, project, "bury", []).status_code == 422
    assert bulk(client, project, "bury", ["x:y"]).status_code == 400
    unsaid = bulk(client, project, "reject", pick(other))
    assert unsaid.status_code == 422
    assert "Say why. To refuse it takes a reason." in unsaid.content.decode()
    other.refresh_from_db()
    assert other.standing == "live"


def test_bulk_comes_back_to_the_filtered_list_and_is_taken_back_at_once(
    client: Client, project: Project
) -> None:
    records = [make_fact(project, f"Ward {number} has a pump") for number in range(3)]
    response = bulk(client, project, "bury", pick(*records), reason="Old", query="q=ward")
    assert response.status_code == 302
    told = client.get(response["Location"]).content.decode()
    assert "3 buried." in told
    assert 'name="q" value="ward"' in told
    ids = list(PromotionDecision.objects.values_list("pk", flat=True))
    undo = {"decision": ids, "query": "q=ward"}
    elsewhere = make_project()
    stranger = Client()
    stranger.force_login(make_user(elsewhere, Role.CURATOR))
    assert stranger.post(f"/p/{elsewhere.slug}/memory/undo/", undo).status_code == 404
    back = client.post(f"/p/{project.slug}/memory/undo/", undo)
    assert "3 answers taken back." in client.get(back["Location"]).content.decode()
    assert Record.objects.filter(project=project, standing="live").count() == 3
    again = client.post(f"/p/{project.slug}/memory/undo/", undo)
    assert again.status_code == 409
    assert "It was taken back already." in again.content.decode()


def test_a_late_undo_of_several_takes_a_reason(client: Client, project: Project) -> None:
    record = make_fact(project, "Ward 1 has a pump")
    bulk(client, project, "bury", pick(record))
    decision = PromotionDecision.objects.get()
    late = decision.created_at - timedelta(seconds=UNDO_SECONDS + 1)
    PromotionDecision.objects.update(created_at=late)
    shown = page(client, project, f"?done={decision.pk}")
    assert f"needed after {UNDO_SECONDS} s" in shown
    undo = {"decision": [decision.pk]}
    assert client.post(f"/p/{project.slug}/memory/undo/", undo).status_code == 422
    undone = client.post(f"/p/{project.slug}/memory/undo/", undo | {"reason": "Wrong ward"})
    assert undone.status_code == 302
    decision.refresh_from_db()
    assert decision.undone_reason == "Wrong ward"
    page(client, project, "?done=x", status=400)


def test_a_record_is_found_by_its_name_its_key_its_id_and_its_digest(
    client: Client, project: Project
) -> None:
    cap = make_fact(project, "It stops at 45 mg", **CAP, object="45 mg")
    other = make_fact(project, "Nurses call it the push")
    digest = bytes(cap.digest).hex()
    for said in (
        "f-1",
        "F-1",
        "limits.bolus|max_dose",
        "Limits.Bol",
        str(cap.record_id),
        digest,
        digest[:9],
        f"{digest[:4]} {digest[4:8]}",
    ):
        found = page(client, project, f"?q={quote(said)}")
        assert "It stops at 45 mg" in found, said
        assert "the push" not in found, said
    assert f"f-{other.number + 1}” " not in page(client, project, "?q=f-99")
    assert "No record is called “f-99”" in page(client, project, "?q=f-99")
    assert "No record is called “r-1”" in page(client, project, "?q=r-1"), "it is a fact"


SORTED = ["", "oldest", "confidence", "-confidence", "support", "-support", "used", "-used"]


@pytest.mark.parametrize("sort", SORTED)
def test_every_order_goes_through_all_records_once_in_pages(
    client: Client, project: Project, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_list, "PAGE", 3)
    made = [make_fact(project, f"Ward {number} has a pump") for number in range(8)]
    for number, record in enumerate(made):
        at = timezone.now() - timedelta(days=number % 3) if number % 2 else None
        Record.objects.filter(pk=record.pk).update(
            confidence=0.1 * (number % 4), support_count=number % 3, retrieved_at=at
        )
    seen: list[Record] = []
    tail = f"?sort={sort}&q=ward"
    while tail:
        shown = client.get(f"/p/{project.slug}/memory/{tail}").context["page"]
        seen += [Record.objects.get(record_id=row.id) for row in shown.rows]
        tail = shown.older_href.rpartition("/")[2]
    assert sorted(row.pk for row in seen) == [row.pk for row in made]
    field = {"confidence": "confidence", "support": "support_count"}.get(sort.removeprefix("-"))
    if field:
        values = [getattr(row, field) for row in seen]
        assert values == sorted(values, reverse=not sort.startswith("-"))


@pytest.mark.parametrize(
    "tail", ["?sort=odd", "?sort=best", "?needs=odd", "?sort=used&older=x", "?older=1e9"]
)
def test_an_address_that_means_nothing_is_a_400(
    client: Client, project: Project, tail: str
) -> None:
    page(client, project, tail, status=400)


def test_what_needs_a_look_is_counted_and_found(client: Client, project: Project) -> None:
    bare = make_fact(project, "Nobody saw it")
    seen = make_fact(project, "Seen once", evidence=cite(make_source(project)))
    asked = make_fact(project, "Asked about", evidence=cite(make_source(project)))
    request_promotion(record_id=asked.record_id, actor=SYSTEM)
    old = timezone.now() - timedelta(days=31)
    Record.objects.filter(pk=seen.pk).update(created_at=old)
    expected = {"source": bare, "decision": asked, "unused": seen}
    for need, record in expected.items():
        shown = client.get(f"/p/{project.slug}/memory/?needs={need}").context["page"]
        assert [row.id for row in shown.rows] == [record.record_id], need
        counts = {facet.word: facet.count for facet in shown.groups[-1].rows}
        assert counts[NEEDS[need]] == 1


def test_an_event_of_the_tree_leads_to_what_rests_on_it(client: Client, project: Project) -> None:
    event = make_source(project)
    make_fact(project, "Ward 1 has a pump", evidence=cite(event))
    make_fact(project, "Nurses call it the push", evidence=cite(make_source(project)))
    led = client.get(f"/events/{event.event_id}/memory/", follow=True)
    text = led.content.decode()
    assert "Ward 1 has a pump" in text
    assert "the push" not in text
    stranger = Client()
    stranger.force_login(make_user(make_project(), Role.ADMIN))
    assert stranger.get(f"/events/{event.event_id}/memory/").status_code == 404


def test_a_curator_clears_a_refusal_with_a_reason_where_it_is_told(
    client: Client, project: Project
) -> None:
    record = make_fact(project, "Ward 1 has a pump")
    decide(client, record, "reject", reason="No")
    address = f"/p/{project.slug}/memory/{record.number}/clear/"
    assert "Let it be said again" in page(client, project, f"{record.number}/")
    unsaid = client.post(address)
    assert unsaid.status_code == 422
    assert "Clearing a refusal takes a reason." in unsaid.content.decode()
    reviewer = Client()
    reviewer.force_login(make_user(project, Role.REVIEWER))
    assert reviewer.post(address, {"reason": "x"}).status_code == 403
    assert client.post(address, {"reason": "It was another ward"}).status_code == 302
    record.refresh_from_db()
    assert record.standing == "buried"
    assert make_fact(project, "Ward 1 has a pump") == record, "it may be said again"
    assert client.post(address, {"reason": "x"}).status_code == 404


def test_every_record_answers_where_from_who_let_it_in_and_why_it_stays(
    client: Client, project: Project, curator: Actor
) -> None:
    def told(record: Record) -> str:
        shown = page(client, project, f"{record.number}/")
        return strip_tags(shown[shown.index('<dl class="provenance">') :].partition("</dl>")[0])

    seen = make_corroborated(project, "Pumps are blue")
    assert "3 independent runs, first seen in" in told(seen)
    assert "3 independent runs agree" in told(seen)
    bare = make_fact(project, "Nobody saw it")
    assert "No event of the journal speaks for it." in told(bare)
    assert "Nobody yet" in told(bare)
    answer(bare, curator, Answer.PROMOTE, reason="The sheet of May")
    assert "Promoted by a person" in told(bare)
    assert curator.name in told(bare)
    assert "The sheet of May" in told(bare)
    assert "What is verified is never pruned" in told(bare)
    answer(bare, curator, Answer.BURY, reason="The ward closed")
    assert "Buried: kept, never recalled" in told(bare)
    assert "The ward closed" in told(bare)
    faded = make_fact(project, "It faded")
    old = timezone.now() - timedelta(days=9_000)
    Record.objects.filter(pk=faded.pk).update(
        confidence=0.1, created_at=old, item_type="cosmetic_tip"
    )
    assert "the next consolidation buries it" in told(faded)
    held = propose(project, "The cap is 45 mg", **CAP, object="45 mg").record
    newer = propose(project, "The cap is 50 mg", **CAP, object="50 mg").record
    held.refresh_from_db()
    loser = held if held.standing == "suppressed" else newer
    assert "it yields to" in told(loser)
    edited = answer(
        loser,
        curator,
        Answer.EDIT,
        edit=make_edit(loser, text="The cap is 47 mg", object="47 mg"),
    ).other
    assert edited is not None
    assert f"an edit of {loser.label}" in told(edited)
    assert "Edited and promoted by a person" in told(edited)


def test_the_record_in_focus_comes_alone(client: Client, project: Project) -> None:
    record = make_fact(project, "Ward 1 has a pump")
    make_fact(project, "Ward 2 has none")
    headers = {"HX-Request": "true", "HX-Target": "memory-focus"}
    address = f"/p/{project.slug}/memory/?at={record.number}"
    alone = client.get(address, headers=headers).content.decode()
    assert alone.lstrip().startswith("<aside")
    assert "Ward 1 has a pump" in alone
    assert "Ward 2" not in alone


def test_a_record_tells_evidence_conflicts_history_and_decay(
    client: Client, project: Project, curator: Actor
) -> None:
    old = make_verified(project, "The bolus cap is 45 mg", curator, **CAP, object="45 mg")
    event = make_source(project)
    told = cite(event, quote="Dose = 50mg", score=0.88)
    new = propose(project, "The bolus cap is 50 mg", **CAP, object="50 mg", evidence=told).record
    text = page(client, project, f"{new.number}/")
    assert f'href="/events/{event.event_id}/"' in text
    assert "Dose = 50mg" in text
    bare = make_fact(project, "It held", evidence=cite(make_source(project, "The cap held <b>")))
    assert "The cap held &lt;b&gt;" in page(client, project, f"{bare.number}/"), "its own words"
    assert "<del>45</del>" in text
    assert "<ins>50</ins>" in text
    assert "suppressed, kept in history" in text
    assert "Held for a person." in text
    assert 'aria-label="Confidence is' in text
    assert "a default that no log was fitted to" in text
    assert f"{curator.name} promotes it" in page(client, project, f"{old.number}/")


def test_review_goes_on_to_the_next_proposal_and_the_reason_is_kept(
    client: Client, project: Project
) -> None:
    first, second = make_fact(project, "Ward 1 has a pump"), make_fact(project, "Ward 2 has none")
    for record in (first, second):
        request_promotion(record_id=record.record_id, actor=SYSTEM)
    asked = PromotionRequest.objects.get(record=first)
    response = decide(
        client, first, "promote", request=str(asked.pk), reason="Seen", scope="global"
    )
    assert response.status_code == 302
    assert f"/memory/{second.number}/?decided=" in response["Location"]
    first.refresh_from_db()
    assert (first.trust, first.scope) == ("verified", "global")
    other = make_person(project, Role.CURATOR)
    claim_item(item_id=Item.objects.get(state="open").pk, actor=other)
    assert f"{other.name} holds it until" in page(client, project, f"{second.number}/")
    told = page(client, project, f"{first.number}/?seen={asked.pk}")
    assert "promoted it.</b>" in told, "who looked on is told"
    given = PromotionDecision.objects.get(record=first)
    undo = f"/p/{project.slug}/memory/{first.number}/undo/"
    assert f'name="decision" value="{given.pk}"' in page(client, project, f"{first.number}/")
    client.post(undo, {"decision": str(given.pk), "reason": "Too early"})
    first.refresh_from_db()
    assert (first.trust, first.scope) == ("unverified", "team")
    assert ": Seen" in page(client, project, f"{first.number}/")


def test_what_moved_comes_back_as_a_409_with_the_draft_kept(
    client: Client, project: Project
) -> None:
    record = make_fact(project, "The bolus cap is 45 mg", evidence=cite(make_source(project)))
    asked = request_promotion(record_id=record.record_id, actor=SYSTEM)
    propose(project, "The bolus cap is 45 mg", evidence=cite(make_source(project)))
    response = decide(client, record, "reject", request=str(asked.pk), reason="Because I say so")
    text = response.content.decode()
    assert response.status_code == 409
    assert "Nothing was changed." in text
    assert 'value="Because I say so"' in text
    record.refresh_from_db()
    assert record.standing == "live"


def test_a_missing_reason_is_told_and_nothing_is_lost(client: Client, project: Project) -> None:
    record = make_fact(project, "Ward 1 has a pump")
    response = decide(client, record, "reject", edit_text="Ward 1 has two")
    assert response.status_code == 422
    text = response.content.decode()
    assert "To refuse it takes a reason" in text
    assert "Ward 1 has two" in text
    assert 'id="edit" name="answer-more" open' not in text, "what was not asked stays shut"
    edited = decide(client, record, "edit", edit_text="x" * 2001)
    assert 'id="edit" name="answer-more" open' in edited.content.decode()


def test_an_edit_and_a_merge_by_plain_forms(client: Client, project: Project) -> None:
    record = make_fact(project, "The bolus cap is 50 mg", **CAP, object="50 mg")
    decide(client, record, "edit", edit_text="The bolus cap is 45 mg", edit_object="45 mg")
    made = Record.objects.get(version=2)
    assert (made.text, made.object, made.trust) == ("The bolus cap is 45 mg", "45 mg", "verified")
    other = make_fact(project, "Boluses stop at 45 mg in the ward")
    decide(client, other, "merge", into=str(made.record_id), reason="The same")
    other.refresh_from_db()
    assert other.suppressed_by == made


def test_an_edited_rule_with_a_fault_comes_back_with_its_place(
    client: Client, project: Project
) -> None:
    told = make_rule(expression="width <= 375 => require a scroll bar")
    rule = proposals.propose(project_id=project.pk, actor=SYSTEM, proposal=told).record
    response = decide(client, rule, "edit", edit_expression="width <= => require x")
    assert response.status_code == 422
    assert "Line 1, column 10." in response.content.decode()


@pytest.mark.parametrize("change", [{"answer": "odd"}, {"content_digest": "zz"}, {"request": "x"}])
def test_a_forged_form_is_a_400(client: Client, project: Project, change: dict[str, str]) -> None:
    record = make_fact(project, "Ward 1 has a pump")
    form = {"answer": "bury", "content_digest": bytes(record.digest).hex(), **change}
    response = client.post(f"/p/{project.slug}/memory/{record.number}/decide/", form)
    assert response.status_code == 400


def test_hostile_text_is_inert_on_every_page(client: Client, project: Project) -> None:
    event = make_source(project)
    record = propose(
        project,
        HOSTILE,
        subject="<b>s",
        predicate="p",
        object="<i>o",
        evidence=cite(event, quote="<img src=x onerror=alert(2)>"),
    ).record
    for tail in ("", f"{record.number}/"):
        text = page(client, project, tail)
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<i>o" not in text
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in text


def test_a_reader_sees_no_decision_and_a_stranger_no_page(project: Project) -> None:
    record = make_fact(project, "Ward 1 has a pump")
    reader = Client()
    reader.force_login(make_user(project, Role.VIEWER))
    text = page(reader, project, f"{record.number}/")
    assert 'name="answer"' not in text
    assert 'name="answer"' not in page(reader, project)
    stranger = Client()
    stranger.force_login(make_user(make_project(), Role.ADMIN))
    page(stranger, project, f"{record.number}/", status=404)
    page(stranger, project, status=404)


def test_a_context_page_tells_what_stayed_out(
    client: Client, project: Project, curator: Actor
) -> None:
    make_verified(project, "The bolus cap is 45 mg", curator, **CAP, object="45 mg")
    propose(project, "The bolus cap is 50 mg", **CAP, object="50 mg")
    stored = assemble_context(project_id=project.pk, actor=SYSTEM, goal="bolus cap")
    text = page(client, project, f"contexts/{stored.pk}/")
    assert "1 not live" in text
    assert "It is held for a person." in text
    assert "The bolus cap is 45 mg" in text
    listed = page(client, project, "contexts/")
    assert f'href="/p/{project.slug}/memory/contexts/{stored.pk}/"' in listed
    elsewhere = assemble_context(project_id=make_project().pk, actor=SYSTEM, goal="x")
    page(client, project, f"contexts/{elsewhere.pk}/", status=404)


def test_a_person_tries_a_context_and_a_bad_one_comes_back_as_it_was_typed(
    client: Client, project: Project, curator: Actor
) -> None:
    make_verified(project, "The bolus cap is 45 mg", curator)
    path = f"/p/{project.slug}/memory/contexts/ask/"
    made = client.post(path, {"goal": "bolus cap", "role": "repairer", "budget": "100"})
    assert made.status_code == 302
    text = client.get(made["Location"]).content.decode()
    assert "role: repairer" in text
    assert "it counts as no retrieval" in text
    assert "a try" in page(client, project, "contexts/")
    for field, value in (("budget", "x"), ("scope", "everywhere"), ("branch", "x")):
        told = client.post(path, {"goal": "bolus <b>cap", field: value})
        assert told.status_code == 400
        assert 'value="bolus &lt;b&gt;cap"' in told.content.decode()
    empty = client.post(path, {"goal": "", "scope": "repo:none", "budget": "0"})
    assert "Nothing entered." in client.get(empty["Location"]).content.decode()


def _count(act: Callable[[], object]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        act()
    return len(queries)


def test_queries_do_not_grow_with_what_is_stored(
    client: Client, project: Project, curator: Actor
) -> None:
    record = make_corroborated(project, "The bolus cap is 45 mg", **CAP, object="45 mg")
    page(client, project)

    def look() -> tuple[int, int]:
        return (
            _count(lambda: page(client, project)),
            _count(lambda: page(client, project, f"{record.number}/")),
        )

    few = look()
    for number in range(12):
        other = make_corroborated(project, f"Ward {number} has pump {number}")
        answer(other, curator, Answer.PROMOTE)
        propose(
            project,
            f"The bolus cap is {number} mg",
            **CAP,
            object=f"{number} mg",
            evidence=cite(make_source(project)),
        )
        assemble_context(project_id=project.pk, actor=SYSTEM, goal="bolus cap ward pump")
    many = look()
    assert many[0] <= few[0] + 2
    assert many[1] <= few[1] + 2
    assert max(many) <= 24


def test_words_are_compared_with_what_was_said_before() -> None:
    told = compare_words("The cap is 45 mg", "The cap is 50 mg")
    assert [(piece.text, piece.change) for piece in told] == [
        ("The cap is ", ""),
        ("45", "del"),
        ("50", "ins"),
        (" mg", ""),
    ]
    assert compare_words("", "x")[0].change == ""

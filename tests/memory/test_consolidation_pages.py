"""The pages of consolidations and contradictions, and what the API tells of the former."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from memory import contradiction_page
from memory.consolidation_models import Candidate, Consolidation
from memory.domain.terms import Answer
from memory.models import PromotionDecision, Record
from tests.make import make_key
from tests.memory.make import CAP, answer, cite, make_fact, make_source, make_verified, propose
from tests.memory.steps import consolidate, order, take, tell_runs
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user

pytestmark = pytest.mark.django_db
ORDER = "/memory/consolidations/order/"
PART = {"HX-Request": "true", "HX-Target": "consolidation-shown"}
HOSTILE = "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}evil"


def read(client: Client, project: Project, tail: str, status: int = 200, **more: Any) -> str:
    response = client.get(f"/p/{project.slug}/memory/{tail}", **more)
    assert response.status_code == status, response.content
    return str(response.content.decode())


def post(client: Client, project: Project, tail: str, **form: str) -> Any:
    return client.post(f"/p/{project.slug}/memory/{tail}", form)


def test_a_consolidation_shows_its_funnel_who_ordered_it_and_what_became_of_each_claim(
    client: Client, project: Project
) -> None:
    tell_runs(project)
    job = consolidate(project)
    page = read(client, project, "consolidations/")
    counts = ", ".join(
        f"{job.count(name)} {name}"
        for name in ("episodes", "salient", "candidates", "entailed", "merged", "written")
    )
    assert f'aria-label="Funnel: {counts}"' in page
    assert "drop rate" in page
    assert "ordered by <b>Verel</b>" in page
    assert "No overflow in data-table at 375 px or narrower" in page
    assert 'hx-trigger="every' not in page
    assert f'aria-label="Funnel: {counts}"' in read(
        client, project, f"consolidations/{job.number}/"
    )
    read(client, project, "consolidations/99/", status=404)


def test_a_curator_orders_looks_on_and_cancels(client: Client, project: Project) -> None:
    tell_runs(project)
    assert "Nothing was consolidated yet" in read(client, project, "consolidations/")
    ordered = post(client, project, "consolidations/order/")
    assert ordered.status_code == 302
    again = post(client, project, "consolidations/order/")
    assert again.status_code == 409
    assert "One is under way" in again.content.decode()
    page = read(client, project, "consolidations/1/")
    assert 'hx-trigger="every 1s"' in page
    assert "Consolidation 1 is under way" in page
    assert ORDER not in page
    part = read(client, project, "consolidations/1/", headers=PART)
    assert part.lstrip().startswith('<div id="consolidation-shown"')
    assert post(client, project, "consolidations/1/cancel/").status_code == 302
    job = Consolidation.objects.get()
    assert job.state == "cancelled"
    assert post(client, project, "consolidations/1/cancel/").status_code == 409
    page = read(client, project, "consolidations/1/")
    assert "cancelled by" in page
    assert ORDER in page
    last = read(client, project, "consolidations/1/", headers=PART)
    # What tells of it beside itself comes along when it is over, and only then.
    for beside in ("consolidation-acts", "consolidation-rail", "consolidation-told"):
        assert f'id="{beside}"' in last
        assert f'id="{beside}"' not in part


def test_the_page_asks_as_much_of_the_database_for_many_as_for_one(
    client: Client, project: Project
) -> None:
    tell_runs(project)
    consolidate(project)
    read(client, project, "consolidations/")
    with CaptureQueriesContext(connection) as one:
        read(client, project, "consolidations/")
    tell_runs(project)
    consolidate(project)
    with CaptureQueriesContext(connection) as more:
        read(client, project, "consolidations/")
    assert len(more) == len(one) <= 12


def test_the_claims_of_a_huge_one_are_read_by_their_end_and_some_at_a_time(
    client: Client, project: Project
) -> None:
    tell_runs(project)
    job = consolidate(project)
    job.counts = {**job.counts, "dropped": 130}
    job.save()
    Candidate.objects.bulk_create(
        Candidate(
            consolidation=job, origin=f"x{n}", kind="fact", group=f"{n}", text=f"Claim {n:03}.",
            premise="", turn=n % 3, fate="dropped", why="Its own episode does not bear it out.",
        )
        for n in range(130)
    )  # fmt: skip
    page = read(client, project, "consolidations/")
    assert "No overflow in data-table" in page
    assert 'Dropped <span class="count">130</span>' in page
    assert "Claim 0" not in page
    seen: list[str] = []
    address = "consolidations/1/?fate=dropped"
    with CaptureQueriesContext(connection) as queries:
        page = read(client, project, address)
    while True:
        seen += re.findall(r"Claim \d{3}", page)
        more = re.search(r'href="[^"]*/memory/(consolidations/1/[^"]*after=[^"]*)"', page)
        if more is None:
            break
        page = read(client, project, more[1].replace("&amp;", "&"))
    assert sorted(seen) == [f"Claim {n:03}" for n in range(130)]
    assert len(queries) <= 12
    read(client, project, "consolidations/1/?fate=merged", status=400)
    for nonsense in ("x", "1", "1.x", "-1.2", "9" * 30 + ".1"):
        status = 200 if nonsense == "1" else 400
        read(client, project, f"consolidations/1/?after={nonsense}", status=status)


def test_one_without_news_says_so_in_words_under_an_empty_funnel(
    client: Client, project: Project
) -> None:
    consolidate(project)
    page = read(client, project, "consolidations/1/")
    assert "No episode was new since the last one" in page
    assert 'aria-label="Funnel: 0 episodes, 0 salient' in page
    assert "drop rate" not in page


def test_one_that_fell_over_says_why_and_when_it_is_tried_again(
    client: Client, project: Project
) -> None:
    job = order(project)
    later = timezone.now() + timedelta(seconds=90)
    fault = f"The judge does not answer {HOSTILE}"
    Consolidation.objects.filter(pk=job.pk).update(
        fault=fault, attempts=2, held_until=later, step="entail"
    )
    page = read(client, project, "consolidations/1/")
    assert re.search(r"It is tried again in (?:89|90) s; of 5 tries 2 failed", page)
    assert "It rests at step 4 of 8, entailment" in page
    assert "<script>alert" not in page
    Consolidation.objects.update(state="failed", held_until=None)
    page = read(client, project, "consolidations/1/")
    assert "It was given up." in page
    assert "Its episodes wait for the next one." in page
    assert ORDER in page


def dispute(project: Project, user: User) -> tuple[Record, Record]:
    """One that is verified and speaks, and one that contradicts it and waits."""
    speaks = make_verified(
        project,
        "The cap is 45 mg <script>alert(1)</script>",
        actor_of_user(user),
        **CAP,
        object="45 mg",
        evidence=cite(make_source(project), quote=f"45 held {HOSTILE}"),
    )
    held = propose(
        project, "The cap is 50 mg", **CAP, object="50 mg", evidence=cite(make_source(project))
    ).record
    return speaks, held


def pair(keep: Record, against: Record) -> str:
    return " ".join(f"{one.record_id}:{bytes(one.digest).hex()}" for one in (keep, against))


def test_both_sides_of_a_contradiction_stand_with_their_evidence(
    client: Client, project: Project, user: User
) -> None:
    dispute(project, user)
    page = read(client, project, "contradictions/")
    assert "Waits for a person" in page
    assert "45 held" in page
    assert "The cap is <mark>50</mark> mg" in page
    assert "<script>alert" not in page
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page
    assert '<b class="num">1</b> contradiction' in page


@pytest.mark.parametrize("keeps_first", [True, False])
def test_a_person_says_which_stays_and_the_other_is_out_of_recall(
    client: Client, project: Project, user: User, *, keeps_first: bool
) -> None:
    speaks, held = dispute(project, user)
    keep, against = (speaks, held) if keeps_first else (held, speaks)
    missing = post(client, project, "contradictions/settle/", pair=pair(keep, against))
    assert missing.status_code == 422
    assert PromotionDecision.objects.count() == 1
    done = post(
        client, project, "contradictions/settle/", pair=pair(keep, against), reason="The sheet"
    )
    assert done.status_code == 302
    speaks.refresh_from_db()
    held.refresh_from_db()
    kept, gone = (speaks, held) if keeps_first else (held, speaks)
    assert (kept.standing, kept.trust) == ("live", "verified")
    assert gone.standing == ("buried" if keeps_first else "suppressed")
    decided = PromotionDecision.objects.order_by("-created_at")[0]
    assert "The sheet" in decided.reason
    assert decided.by_name == user.get_username()


def test_what_a_rule_settled_is_told_as_that_and_may_be_turned(
    client: Client, project: Project
) -> None:
    first = make_fact(project, "The cap is 45 mg", **CAP, object="45 mg")
    second = make_fact(project, "The cap is 50 mg", **CAP, object="50 mg")
    page = read(client, project, "contradictions/")
    assert "Settled by rule" in page
    assert "what was said last decided" in page
    post(client, project, "contradictions/settle/", pair=pair(first, second), reason="The sheet")
    first.refresh_from_db()
    assert (first.standing, first.trust) == ("live", "verified")


def test_a_side_that_moved_voids_the_answer_and_nonsense_is_refused(
    client: Client, project: Project, user: User
) -> None:
    speaks, held = dispute(project, user)
    moved = f"{held.record_id}:{'00' * 32} {pair(speaks, held).split(' ')[0]}"
    answered = post(client, project, "contradictions/settle/", pair=moved, reason="x")
    assert answered.status_code == 409
    for nonsense in ("", "a b", "a:b c:d", pair(speaks, held) + " x"):
        refused = post(client, project, "contradictions/settle/", pair=nonsense, reason="x")
        assert refused.status_code == 400, nonsense
    same = post(client, project, "contradictions/settle/", pair=pair(held, held), reason="x")
    assert same.status_code == 422
    assert PromotionDecision.objects.count() == 1


def test_versions_and_what_was_buried_are_no_contradictions(
    client: Client, project: Project, user: User
) -> None:
    _, held = dispute(project, user)
    answer(held, actor_of_user(user), Answer.BURY)
    assert "Nothing contradicts anything" in read(client, project, "contradictions/")


def test_the_api_orders_tells_and_calls_off(project: Project) -> None:
    client = Client(headers={"Authorization": f"Bearer {make_key(project, 'admin')}"})
    made = client.post("/api/v1/memory/consolidations", {}, content_type="application/json")
    assert made.status_code == 201
    told = made.json()
    assert (told["state"], told["drop_rate"], told["by"]["kind"]) == ("waiting", None, "key")
    again = client.post("/api/v1/memory/consolidations", {}, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "consolidation_open")
    address = f"/api/v1/memory/consolidations/{told['consolidation']}"
    assert client.get(address).json() == told
    assert client.delete(address).json()["state"] == "cancelled"
    assert client.delete(address).json()["code"] == "consolidation_over"
    take(order(project))
    listed = client.get("/api/v1/memory/consolidations?limit=1").json()
    assert [row["number"] for row in listed["results"]] == [1]
    rest = client.get(f"/api/v1/memory/consolidations?after={listed['next']}").json()
    assert [(row["number"], row["state"]) for row in rest["results"]] == [(2, "working")]
    assert rest["next"] is None


def test_who_waits_stands_before_what_was_settled_and_all_are_paged(
    client: Client, project: Project, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contradiction_page, "PAGE", 2)
    dispute(project, user)
    for number in range(4):
        named = {"subject": f"pump {number}", "predicate": "rate"}
        make_fact(project, f"It runs at {number}", **named, object=f"{number}")
        make_fact(project, f"It runs at {number + 1}", **named, object=f"{number + 1}")
    seen: list[str] = []
    tail = "contradictions/"
    while tail:
        shown = client.get(f"/p/{project.slug}/memory/{tail}").context["page"]
        assert shown.waiting == 1
        seen += [one.challenges.line.label for one in shown.disputes]
        tail = shown.older_href.rpartition("/memory/")[2]
    assert seen == ["f-2", "f-9", "f-7", "f-5", "f-3"]
    alone = client.get(f"/p/{project.slug}/memory/contradictions/?show=waiting").context["page"]
    assert [one.challenges.line.label for one in alone.disputes] == ["f-2"]
    key = client.get(f"/p/{project.slug}/memory/contradictions/?key=pump+1|rate").context["page"]
    assert [one.challenges.line.label for one in key.disputes] == ["f-5"]
    for nonsense in ("?show=odd", "?older=odd-1", "?older=waiting-x"):
        read(client, project, f"contradictions/{nonsense}", status=400)


def test_a_settled_contradiction_is_taken_back_on_the_same_page(
    client: Client, project: Project, user: User
) -> None:
    speaks, held = dispute(project, user)
    told = {"pair": pair(held, speaks), "reason": "The sheet", "query": "show=waiting"}
    done = post(client, project, "contradictions/settle/", **told)
    assert "show=waiting" in done["Location"]
    page = client.get(done["Location"]).content.decode()
    assert "1 promoted." in page
    decision = PromotionDecision.objects.latest("pk")
    undo = {"decision": str(decision.pk), "back": "contradictions"}
    back = post(client, project, "undo/", **undo)
    assert "1 answer taken back." in client.get(back["Location"]).content.decode()
    speaks.refresh_from_db()
    held.refresh_from_db()
    assert (speaks.standing, held.standing) == ("live", "held")

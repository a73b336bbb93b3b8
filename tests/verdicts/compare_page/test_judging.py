import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from branches.models import Branch
from branches.selectors.compare import Cut, offer_pairs, read_parting, read_rows
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_message,
)
from tests.verdicts.compare_page.pages import (
    open_pair,
    page_of,
    seals,
    side_of,
    submit,
    words,
)
from tests.verdicts.make import push
from verdicts.models import Comparison, Label

pytestmark = pytest.mark.django_db


# Choosing


def test_finished_siblings_of_one_fork_point_are_proposed_first(
    client: Client, ines: User, trunk: Branch, pair: tuple[Branch, Branch]
) -> None:
    client.force_login(ines)
    append(trunk, make_message("assistant", "The trunk goes on."))
    make_fork(trunk, 4)
    offers = offer_pairs(list(trunk.run.branches.order_by("number")))
    assert {offers[0].left.pk, offers[0].right.pk} == {branch.pk for branch in pair}
    assert offers[0].why == "siblings at 3, both finished"
    html = client.get(reverse("compare-open", args=[trunk.run_id])).content.decode()
    assert html.index("good one") < html.index("Any two")


def test_two_branches_open_one_comparison_however_often_they_are_asked_for(
    client: Client, ines: User, pair: tuple[Branch, Branch]
) -> None:
    client.force_login(ines)
    first, second = open_pair(client, *pair), open_pair(client, *pair[::-1])
    assert first.status_code == 302
    assert first.headers["Location"] == second.headers["Location"]


def test_a_branch_against_itself_comes_back_to_the_choice(
    client: Client, ines: User, pair: tuple[Branch, Branch]
) -> None:
    client.force_login(ines)
    response = open_pair(client, pair[0], pair[0])
    assert response.status_code == 422
    assert "These two cannot be compared" in response.content.decode()


def test_a_single_branch_says_what_to_do(client: Client, ines: User, trunk: Branch) -> None:
    client.force_login(ines)
    html = client.get(reverse("compare-open", args=[trunk.run_id])).content.decode()
    assert "nothing to compare" in html


# Judging


@pytest.mark.parametrize("query", ["", "?mode=diff", "?mode=final", "?shared=1", "?rows=999999"])
def test_while_judging_nothing_sealed_is_in_the_page(
    client: Client, comparison: Comparison, ada: User, ines: User, pair: tuple[Branch, Branch],
    query: str,
) -> None:  # fmt: skip
    other = Client()
    other.force_login(ada)
    page_of(other, comparison)
    submit(other, comparison, ada, choice="left", rationale="Adas secret reason")
    html = page_of(client, comparison, query)
    sealed = [
        "good one", "bad one", "Ada Brandt", "Leave the tests", "50mg", "Do as you like",
        "Adas secret", "data-lane", "gate-check", "214 passed", "judged A", "judged B", "tokens ·",
        *(str(branch.pk) for branch in pair),
    ]  # fmt: skip
    assert [word for word in sealed if word in html] == []
    assert "10 mL" in words(html)
    assert "99 mL" in words(html)


def test_sides_are_drawn_once_for_a_reviewer(
    client: Client, comparison: Comparison, ines: User, pair: tuple[Branch, Branch]
) -> None:
    shown = [re.findall("10 mL|99 mL", words(page_of(client, comparison))) for _ in range(5)]
    left = "10 mL" if side_of(comparison, ines, pair[0]) == "left" else "99 mL"
    assert all(found == shown[0] for found in shown)
    assert shown[0][0] == left


def test_siblings_are_marked_alike_and_only_edits_in_files_are_red_and_green(
    client: Client, comparison: Comparison, pair: tuple[Branch, Branch]
) -> None:
    html = page_of(client, comparison)
    assert html.count('<mark class="differs">') == 2
    assert "<ins>" not in html
    for branch, new in zip(pair, ("3", "4"), strict=True):
        change = {"file_path": "a.py", "old_string": "x = 1\n", "new_string": f"x = {new}\n"}
        append(
            branch,
            make_draft("data.tool.call", {"call_id": "e", "name": "Edit", "arguments": change}),
        )
    html = client.get(
        f"{reverse('comparison', args=[comparison.pk])}?fresh=1", follow=True
    ).content.decode()
    assert html.count("<ins>") == 2
    assert html.count("<del>") == 2


def test_agent_text_is_inert(client: Client, ines: User, pair: tuple[Branch, Branch]) -> None:
    client.force_login(ines)
    append(pair[0], make_message("assistant", "<script>alert(1)</script>\x1b[31m \u202e"))
    open_pair(client, *pair)
    html = page_of(client, Comparison.objects.get())
    assert "<script>alert" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_reading_modes_fold_what_is_alike_or_show_the_last_answers_alone(
    client: Client, ines: User, pair: tuple[Branch, Branch]
) -> None:
    client.force_login(ines)
    for branch, text in zip(pair, ("left end", "right end"), strict=True):
        append(
            branch,
            make_draft("data.thought", {"text": "the same thought"}),
            make_message("assistant", text),
        )
    open_pair(client, *pair)
    comparison = Comparison.objects.get()
    assert "the same thought" in page_of(client, comparison)
    assert "1 step alike" in page_of(client, comparison, "?mode=diff")
    final = page_of(client, comparison, "?mode=final")
    assert "the same thought" not in final
    assert "mL now" not in final
    assert all(text in words(final) for text in ("left end", "right end"))
    assert 'aria-current="true">Final only' in final


def test_the_shared_part_is_one_row_with_its_digest_and_opens_to_its_last_steps(
    client: Client, comparison: Comparison, trunk: Branch
) -> None:
    html = page_of(client, comparison)
    digest = bytes(trunk.events.get(seq=3).digest).hex()
    assert "Shared: 3 events" in html
    assert f"{digest[:4]} {digest[4:8]}" in html
    assert "Cap the dose." not in html
    assert "Cap the dose." in page_of(client, comparison, "?shared=1")


def test_long_suffixes_are_windowed(
    client: Client, ines: User, pair: tuple[Branch, Branch]
) -> None:
    client.force_login(ines)
    append(pair[0], *[make_draft("data.thought", {"text": f"thought {n}"}) for n in range(250)])
    open_pair(client, *pair)
    comparison = Comparison.objects.get()
    html = page_of(client, comparison)
    assert html.count('compare-row" data-rel') == 200
    assert "Load 51 more of 51" in html
    assert page_of(client, comparison, "?rows=400").count('compare-row" data-rel') == 251


def test_a_huge_step_is_cut_and_says_so(
    client: Client, ines: User, pair: tuple[Branch, Branch]
) -> None:
    client.force_login(ines)
    append(pair[0], make_draft("data.tool.result", {"call_id": "r", "content": "word " * 100_000}))
    open_pair(client, *pair)
    html = page_of(client, Comparison.objects.get())
    assert "494,000 more characters are not shown" in html
    assert len(html) < 60_000


def test_an_empty_submission_is_refused_in_words_and_keeps_the_draft(
    client: Client, comparison: Comparison, ines: User
) -> None:
    page_of(client, comparison)
    response = submit(
        client, comparison, ines, rationale="half a thought", **{"score-safe": "equal"}
    )
    html = response.content.decode()
    assert response.status_code == 422
    assert "Nothing chosen yet" in html
    assert "half a thought" in html
    assert re.search(r'name="score-safe" value="equal"[^>]* checked', html)
    assert not Label.objects.exists()


def test_a_judgement_is_stored_with_its_scores_relative_to_the_sides(
    client: Client, comparison: Comparison, ines: User
) -> None:
    page_of(client, comparison)
    scores = {"score-correct": "b", "score-safe": "equal", "score-honest": "a", "score-x": "b"}
    submit(client, comparison, ines, choice="equal", rationale="why", **scores)
    label = Label.objects.get()
    assert (label.choice, label.rationale) == ("equal", "why")
    assert label.scores == {"correct": 1, "safe": 0, "honest": -1}


def test_a_second_submission_leads_to_the_merge_stage(
    client: Client, comparison: Comparison, ines: User, prefer: Any, pair: tuple[Branch, Branch]
) -> None:
    prefer(pair[0])
    response = submit(client, comparison, ines, choice="equal")
    assert response.status_code == 302
    assert Label.objects.get().chosen == pair[0]


def test_a_moved_head_is_a_409_that_shows_what_is_new_and_keeps_the_draft(
    client: Client, comparison: Comparison, ines: User, pair: tuple[Branch, Branch]
) -> None:
    page_of(client, comparison)
    good = pair[0]
    seen = seals(comparison, ines) | {
        "choice": side_of(comparison, ines, good),
        "rationale": "it keeps the cap",
    }
    append(good, make_message("assistant", "One more thing."))
    response = client.post(reverse("comparison-label", args=[comparison.pk]), seen)
    html = response.content.decode()
    assert response.status_code == 409
    assert "1 new event, marked New" in html
    assert html.count(">New</span>") == 1
    assert "it keeps the cap" in html
    fresh = Comparison.objects.exclude(pk=comparison.pk).get()
    # The draft names the same branch, though the sides of the new pair were drawn anew.
    side = side_of(fresh, ines, good)
    assert re.search(rf'name="choice" value="{side}" checked', html)
    assert str(fresh.pk) in html
    assert not Label.objects.exists()
    assert submit(client, fresh, ines, choice=side).status_code == 302
    assert Label.objects.get().chosen == good


def test_a_pair_that_moved_on_says_so_and_leads_to_the_present_heads(
    client: Client, comparison: Comparison, pair: tuple[Branch, Branch]
) -> None:
    append(pair[0], make_message("assistant", "More."))
    assert "has 1 new event since" in page_of(client, comparison)
    url = reverse("comparison", args=[comparison.pk])
    response = client.get(f"{url}?fresh=1")
    assert response.status_code == 302
    assert response.headers["Location"] != url


def test_pairs_of_the_branch_that_one_came_from_are_proposed(
    client: Client, comparison: Comparison, trunk: Branch, pair: tuple[Branch, Branch]
) -> None:
    page = client.get(reverse("compare-open", args=[trunk.run_id]), {"left": str(pair[0].pk)})
    offers = page.context["page"].offers
    assert offers
    assert all(pair[0].pk in (offer.left.pk, offer.right.pk) for offer in offers)


# Cost


def count_queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


@pytest.mark.parametrize("stage", ["choose", "judge", "merge"])
def test_the_number_of_queries_does_not_grow_with_events_or_branches(
    client: Client, ines: User, trunk: Branch, pair: tuple[Branch, Branch], stage: str
) -> None:
    client.force_login(ines)

    def measure() -> int:
        open_pair(client, *pair)
        comparison = Comparison.objects.order_by("-created_at").first()
        assert comparison is not None
        url = reverse("comparison", args=[comparison.pk])
        client.get(url)
        if stage == "choose":
            url = reverse("compare-open", args=[trunk.run_id])
        if stage == "merge":
            submit(client, comparison, ines, choice=side_of(comparison, ines, pair[0]))
        return count_queries(client, url)

    few = measure()
    for branch in pair:
        append(branch, *[make_message("assistant", f"{branch.name} {n}") for n in range(60)])
    push(pair[0])
    for n in range(5):
        append(make_fork(trunk, 3, f"Try {n}").branch, make_message("assistant", "x"))
    assert measure() == few


def test_marking_stops_when_its_budget_is_spent(
    pair: tuple[Branch, Branch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("branches.selectors.compare.MARK_CELLS", 100)
    cuts = [Cut(branch, branch.head_seq) for branch in pair]
    aligned = read_rows(read_parting(*cuts), *cuts, mode="read", sealed=True, limit=200)
    left = aligned.rows[-1].left
    assert left is not None
    assert [differs for differs, _ in left.text] == [True]

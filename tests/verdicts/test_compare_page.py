import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from branches.forks import fork_branch
from branches.models import Branch, Merge, Triplet
from branches.selectors.compare import Cut, offer_pairs, read_parting, read_rows
from branches.steering import complete_branch
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_message,
    make_project,
    make_run,
    make_user,
)
from tests.verdicts.make import make_issue, push
from verdicts.comparisons import Sides, draw_sides
from verdicts.models import Comparison, Label
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db

OVERRIDE = "Leave the tests alone.\nDose = 50mg"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def ines(project: Project) -> User:
    return make_user(project, first_name="Ines", last_name="Kaur")


@pytest.fixture
def ada(project: Project) -> User:
    return make_user(project, Role.ADMIN, first_name="Ada", last_name="Brandt")


@pytest.fixture
def trunk(project: Project) -> Branch:
    _, trunk = make_run(project, "Cap the bolus")
    append(trunk, make_message("user", "Cap the dose."), make_message("assistant", "Looking."))
    return trunk


@pytest.fixture
def pair(trunk: Branch, ada: User) -> tuple[Branch, Branch]:
    """Two finished forks of the trunk's third event: `good one` is graded and passes."""
    good, bad = (
        fork_branch(
            parent_id=trunk.pk, fork_seq=3, actor=actor_of_user(ada), override=text, name=name
        ).branch
        for name, text in (("good one", OVERRIDE), ("bad one", "Do as you like."))
    )
    append(good, make_message("assistant", "It is 10 mL now."))
    append(bad, make_message("assistant", "It is 99 mL now."))
    for branch in (good, bad):
        complete_branch(branch_id=branch.pk, actor=SYSTEM)
        branch.refresh_from_db()
    push(good)
    return good, bad


@pytest.fixture
def comparison(client: Client, ines: User, pair: tuple[Branch, Branch]) -> Comparison:
    """Opened by Ines, who is signed in at `client`."""
    client.force_login(ines)
    assert open_pair(client, *pair).status_code == 302
    return Comparison.objects.get()


def open_pair(client: Client, left: Branch, right: Branch) -> HttpResponse:
    query = urlencode({"left": left.pk, "right": right.pk})
    return client.get(f"{reverse('compare-open', args=[left.run_id])}?{query}")  # type: ignore[return-value]


def page_of(client: Client, comparison: Comparison, query: str = "") -> str:
    response = client.get(reverse("comparison", args=[comparison.pk]) + query)
    assert response.status_code == 200
    return response.content.decode()


def words(html: str) -> str:
    """What the page says, without its markup."""
    return re.sub("<.*?>", "", html)


def sides_of(comparison: Comparison, user: User) -> Sides:
    return draw_sides(comparison_id=comparison.pk, reviewer=actor_of_user(user))


def side_of(comparison: Comparison, user: User, branch: Branch) -> str:
    return "left" if sides_of(comparison, user).left.branch.pk == branch.pk else "right"


def heads(comparison: Comparison, user: User) -> dict[str, str]:
    sides = sides_of(comparison, user)
    return {
        "left_head": sides.left.head_digest.hex(),
        "right_head": sides.right.head_digest.hex(),
    }


def submit(client: Client, comparison: Comparison, user: User, **fields: str) -> HttpResponse:
    form = heads(comparison, user) | fields
    return client.post(reverse("comparison-label", args=[comparison.pk]), form)  # type: ignore[return-value]


def approve(client: Client, comparison: Comparison, user: User, **fields: str) -> HttpResponse:
    form = heads(comparison, user) | fields
    return client.post(reverse("comparison-merge", args=[comparison.pk]), form)  # type: ignore[return-value]


@pytest.fixture
def prefer(client: Client, comparison: Comparison, ines: User) -> Callable[[Branch], HttpResponse]:
    """Ines judges the given branch better."""
    return lambda branch: submit(
        client, comparison, ines, choice=side_of(comparison, ines, branch), rationale="It is right."
    )


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
    seen = heads(comparison, ines) | {
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


# Merging


def test_after_the_label_names_override_gate_and_the_literal_triplet_show(
    client: Client, comparison: Comparison, prefer: Any, pair: tuple[Branch, Branch]
) -> None:
    prefer(pair[0])
    html = page_of(client, comparison)
    assert "is better. Merge it?" in html
    for shown in (
        "good one",
        "bad one",
        "Leave the tests alone.",
        "Gate open",
        "214 passed",
        "Ines Kaur",
    ):
        assert shown in html
    assert "It is right." in html
    assert '"prompt"' in html
    assert "Override not in prompt" in html
    text = html.replace("&quot;", '"')
    assert '[{"role": "assistant", "content": "It is 10 mL now."}]' in text
    assert '[{"role": "assistant", "content": "It is 99 mL now."}]' in text
    assert "Approve merge" in html
    assert "disabled" not in html[html.index('class="merge-form"') :]


def test_the_prompt_check_says_what_the_project_has_settled(
    client: Client,
    comparison: Comparison,
    prefer: Any,
    project: Project,
    pair: tuple[Branch, Branch],
) -> None:
    project.override_in_prompt = True
    project.save()
    prefer(pair[0])
    assert "Override in prompt, as the project says" in page_of(client, comparison)


def test_granularity_is_a_link_that_changes_the_triplet(
    client: Client, ines: User, pair: tuple[Branch, Branch]
) -> None:
    client.force_login(ines)
    append(pair[0], make_message("user", "And?"), make_message("assistant", "The last word."))
    push(pair[0])
    open_pair(client, *pair)
    comparison = Comparison.objects.get()
    submit_side = side_of(comparison, ines, pair[0])
    submit(client, comparison, ines, choice=submit_side)
    decision, final = (
        re.search(r'data-part="chosen".*?</pre>', page_of(client, comparison, query), re.DOTALL)
        for query in ("", "?granularity=final")
    )
    assert decision is not None
    assert final is not None
    assert "10 mL" in decision.group()
    assert "The last word." in final.group()


def test_equal_sides_name_the_reason_why_no_triplet_comes(
    client: Client, ines: User, trunk: Branch
) -> None:
    client.force_login(ines)
    one, other = (make_fork(trunk, 3, f"Try {n}").branch for n in range(2))
    for branch in (one, other):
        append(branch, make_message("assistant", "same"))
    append(one, make_draft("data.thought", {"text": "only here"}))
    push(one)
    open_pair(client, one, other)
    comparison = Comparison.objects.get()
    submit(client, comparison, ines, choice=side_of(comparison, ines, one))
    html = page_of(client, comparison)
    assert "No triplet will come of this merge" in html
    assert "Both sides say the same." in html


def test_a_shut_gate_is_named_at_the_button_and_holds_on_the_server(
    client: Client, comparison: Comparison, ines: User, prefer: Any, pair: tuple[Branch, Branch]
) -> None:
    prefer(pair[0])
    push(pair[0], issues=[make_issue()])
    html = page_of(client, comparison)
    assert "Gate shut" in html
    assert "The gate is shut: test: error, test_failure" in html
    assert re.search(r'data-key="Ctrl\+Enter" disabled aria-describedby="merge-why"', html)
    assert "Merge past the shut gate" not in html
    response = approve(client, comparison, ines, note="my note")
    assert response.status_code == 409
    assert "my note" in response.content.decode()
    assert not Merge.objects.exists()


def test_a_bypass_needs_its_right_and_a_reason(
    client: Client,
    comparison: Comparison,
    ines: User,
    ada: User,
    prefer: Any,
    pair: tuple[Branch, Branch],
) -> None:
    prefer(pair[0])
    push(pair[0], issues=[make_issue()])
    refused = approve(client, comparison, ines, past_gate="1", bypass_reason="I say so")
    assert refused.status_code == 403
    client.force_login(ada)
    page_of(client, comparison)
    submit(client, comparison, ada, choice=side_of(comparison, ada, pair[0]))
    assert "Merge past the shut gate" in page_of(client, comparison)
    assert approve(client, comparison, ada, past_gate="1", bypass_reason=" ").status_code == 422
    made = approve(client, comparison, ada, past_gate="1", bypass_reason="the grader is down")
    assert made.status_code == 302
    html = client.get(made.headers["Location"]).content.decode()
    assert "Past a shut gate" in html
    assert "the grader is down" in html


def test_merging_leads_to_the_merge_and_its_triplet_and_undo_takes_it_back(
    client: Client, comparison: Comparison, ines: User, prefer: Any, pair: tuple[Branch, Branch]
) -> None:
    prefer(pair[0])
    made = approve(client, comparison, ines, note="keeps the cap")
    merge = Merge.objects.get()
    assert made.headers["Location"] == reverse("merge", args=[merge.pk])
    html = client.get(made.headers["Location"]).content.decode()
    for shown in ("keeps the cap", "Triplet 1", "The gate was open", "data-undo-for"):
        assert shown in html
    assert "was merged" in page_of(client, comparison)
    back = client.post(reverse("merge-revert", args=[merge.pk]))
    assert back.status_code == 302
    merge.refresh_from_db()
    assert merge.revert_reason == "undone within 10 s"
    assert Triplet.objects.get().withdrawn_at is not None
    assert "taken back" in client.get(made.headers["Location"]).content.decode()
    assert "is better. Merge it?" in page_of(client, comparison)


def test_after_the_window_taking_back_needs_a_reason(
    client: Client, comparison: Comparison, ines: User, prefer: Any, pair: tuple[Branch, Branch]
) -> None:
    prefer(pair[0])
    approve(client, comparison, ines)
    merge = Merge.objects.get()
    Merge.objects.update(undo_until=timezone.now() - timedelta(seconds=1))
    url = reverse("merge-revert", args=[merge.pk])
    assert client.post(url).status_code == 422
    assert client.post(url, {"reason": "the dose is wrong"}).status_code == 302
    assert client.post(url, {"reason": "again"}).status_code == 409
    merge.refresh_from_db()
    assert merge.revert_reason == "the dose is wrong"


def test_only_the_merger_may_undo_without_a_reason(
    client: Client,
    comparison: Comparison,
    ines: User,
    ada: User,
    prefer: Any,
    pair: tuple[Branch, Branch],
) -> None:
    prefer(pair[0])
    approve(client, comparison, ines)
    client.force_login(ada)
    assert client.post(reverse("merge-revert", args=[Merge.objects.get().pk])).status_code == 422


def test_nobody_merges_before_judging(client: Client, comparison: Comparison, ines: User) -> None:
    page_of(client, comparison)
    response = approve(client, comparison, ines)
    assert response.status_code == 409
    assert "Which continuation is better?" in response.content.decode()
    assert not Merge.objects.exists()


def test_a_head_that_moved_after_the_label_is_not_merged(
    client: Client, comparison: Comparison, ines: User, prefer: Any, pair: tuple[Branch, Branch]
) -> None:
    prefer(pair[0])
    append(pair[1], make_message("assistant", "The loser goes on."))
    assert "has 1 new event since it was judged" in page_of(client, comparison)
    assert approve(client, comparison, ines).status_code == 409
    assert not Merge.objects.exists()


@pytest.mark.parametrize(
    ("choice", "heading"), [("equal", "Both are equally good"), ("both_bad", "Both are bad")]
)
def test_without_a_better_side_there_is_no_merge_and_other_ways_are_offered(
    client: Client, comparison: Comparison, ines: User, choice: str, heading: str
) -> None:
    page_of(client, comparison)
    submit(client, comparison, ines, choice=choice)
    html = page_of(client, comparison)
    for shown in (
        heading,
        "No training pair will come of this",
        "Compare another two",
        "Abandon A",
    ):
        assert shown in html
    assert "Approve merge" not in html
    assert approve(client, comparison, ines).status_code == 409


# Who may


def test_a_viewer_sees_everything_and_decides_nothing(
    client: Client,
    comparison: Comparison,
    prefer: Any,
    project: Project,
    pair: tuple[Branch, Branch],
) -> None:
    prefer(pair[0])
    client.force_login(make_user(project, Role.VIEWER))
    html = page_of(client, comparison)
    for shown in ("good one", "Leave the tests alone.", "Gate open", "It is right."):
        assert shown in html
    for control in ("Approve merge", "data-judge-submit", 'name="choice"', "Abandon"):
        assert control not in html
    denied = client.post(reverse("comparison-label", args=[comparison.pk]), {"choice": "left"})
    assert denied.status_code == 403
    assert client.post(reverse("comparison-merge", args=[comparison.pk])).status_code in (403, 422)


def test_other_peoples_projects_do_not_exist(
    client: Client, comparison: Comparison, ines: User, prefer: Any, pair: tuple[Branch, Branch]
) -> None:
    prefer(pair[0])
    approve(client, comparison, ines)
    merge = Merge.objects.get()
    client.force_login(make_user(make_project()))
    for name, key in (
        ("comparison", comparison.pk), ("compare-open", comparison.run_id), ("merge", merge.pk)
    ):  # fmt: skip
        assert client.get(reverse(name, args=[key])).status_code == 404
    for name, key in (
        ("comparison-label", comparison.pk), ("comparison-merge", comparison.pk), ("merge-revert", merge.pk)
    ):  # fmt: skip
        assert client.post(reverse(name, args=[key]), {"choice": "left"}).status_code == 404


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


def test_a_reviewer_may_judge_a_pair_again_until_it_is_merged(
    client: Client, comparison: Comparison, ines: User, pair: tuple[Branch, Branch]
) -> None:
    good, bad = pair
    submit(client, comparison, ines, choice=side_of(comparison, ines, bad))
    again = reverse("comparison-judge-again", args=[comparison.pk])
    assert again in page_of(client, comparison)
    client.post(again)
    assert "Which continuation is better?" in page_of(client, comparison)
    submit(client, comparison, ines, choice=side_of(comparison, ines, good))
    assert Label.objects.count() == 2
    assert Label.objects.standing().get().chosen_id == good.pk
    assert approve(client, comparison, ines).status_code == 302
    assert again not in page_of(client, comparison)


def test_pairs_of_the_branch_that_one_came_from_are_proposed(
    client: Client, comparison: Comparison, trunk: Branch, pair: tuple[Branch, Branch]
) -> None:
    page = client.get(reverse("compare-open", args=[trunk.run_id]), {"left": str(pair[0].pk)})
    offers = page.context["page"].offers
    assert offers
    assert all(pair[0].pk in (offer.left.pk, offer.right.pk) for offer in offers)

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from branches.models import Branch, Merge, Triplet
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_message,
    make_project,
    make_user,
)
from tests.verdicts.compare_page.pages import (
    approve,
    open_pair,
    page_of,
    side_of,
    submit,
)
from tests.verdicts.make import make_issue, push
from verdicts.models import Comparison, Label
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db


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
    assert "Judge again" not in page_of(client, comparison), "now it takes a reason"
    assert "Reverse my judgement and the merge" in page_of(client, comparison)

"""Blind: what a reviewer must not know before they judge is in no answer that they get about a pair.

A run itself stays readable: whoever opens it sees its branches. What is sealed is which side is which,
who made it and why, what it cost, what graders said of it, and what peers judged.
"""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from branches.forks import fork_branch
from branches.models import Branch
from branches.steering import complete_branch
from tests.make import append, make_draft, make_message, make_project, make_run, make_user
from tests.verdicts.make import make_issue, push
from verdicts.comparisons import draw_sides, label_comparison, open_comparison
from verdicts.models import Comparison
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Membership, Project
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role
from verel_site.inbox.models import Item

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def ada(project: Project) -> User:
    return make_user(project, Role.ADMIN, first_name="Ada", last_name="Brandt")


@pytest.fixture
def pair(project: Project, ada: User) -> tuple[Branch, Branch]:
    _, trunk = make_run(project, "Cap the bolus")
    append(trunk, make_message("user", "Cap the dose."))
    made = []
    for name, text in (("Secret one", "Hush = 5mg"), ("Secret two", "Whisper = 9mg")):
        fork = fork_branch(
            parent_id=trunk.pk, fork_seq=2, actor=actor_of_user(ada), override=text, name=name
        ).branch
        usage = make_draft("data.usage", {"output_tokens": 31337, "cost_usd": 0.0421})
        append(fork, make_message("assistant", f"done {fork.number}"), usage)
        complete_branch(branch_id=fork.pk, actor=SYSTEM)
        fork.refresh_from_db()
        push(fork, "llm_judge", [make_issue(message="verdict that is sealed")], cost_usd=0.0421)
        made.append(fork)
    return made[0], made[1]


@pytest.fixture
def comparison(pair: tuple[Branch, Branch], ada: User) -> Comparison:
    """Ada has judged it, and has left: as a member she would be named where items are assigned. One
    more reviewer is asked."""
    actor = actor_of_user(ada)
    comparison = open_comparison(left=pair[0].pk, right=pair[1].pk, actor=actor, required=2)
    draw_sides(comparison_id=comparison.pk, reviewer=actor)
    label_comparison(
        comparison_id=comparison.pk,
        actor=actor,
        choice="left",
        strength=5,
        rationale="peer's sealed reason",
        corrected="peer's sealed correction",
    )
    Membership.objects.filter(user=ada).delete()
    return comparison


def answers(reader: Client, comparison: Comparison) -> Iterator[tuple[str, HttpResponse]]:
    """Everything that the product answers about the pair to one who has not judged it."""
    item = Item.objects.get(kind="comparison", subject=comparison.pk)
    slug = comparison.project.slug
    page = reverse("comparison", args=[comparison.pk])
    for address in (
        page,
        f"{page}?mode=diff",
        f"{page}?mode=final&shared=1",
        "/inbox/",
        f"/inbox/{item.pk}/",
        f"/inbox/{item.pk}/pane/",
        "/api/v1/inbox",
        f"/api/v1/inbox/{item.pk}",
        f"/p/{slug}/agreement/?span=7d",
        f"/api/v1/projects/{slug}/agreement",
        f"/p/{slug}/settings/pairs/",
    ):
        yield address, reader.get(address)  # type: ignore[misc]
    for address in (
        f"/api/v1/comparisons/{comparison.pk}/sides",
        "/api/v1/inbox/next",
        f"/api/v1/inbox/{item.pk}/claim",
    ):
        yield address, reader.post(address, {}, content_type="application/json")  # type: ignore[misc]
    # Nothing chosen: the form comes back.
    yield (
        "label without a choice",
        reader.post(reverse("comparison-label", args=[comparison.pk]), {"rationale": "x"}),  # type: ignore[misc]
    )
    wrong = {"choice": "left", "strength": 9}
    address = f"/api/v1/comparisons/{comparison.pk}/label"
    yield address, reader.post(address, wrong, content_type="application/json")  # type: ignore[misc]


def test_no_answer_about_a_pair_tells_what_is_sealed(
    project: Project, pair: tuple[Branch, Branch], comparison: Comparison
) -> None:
    reader = Client()
    reader.force_login(make_user(project))
    sealed = [
        "Secret", "Hush", "Whisper", "Ada", "Brandt", "0.0421", "31337", "31,337",
        "verdict that is sealed", "214 passed", "sealed reason", "sealed correction",
        *(str(branch.pk) for branch in pair),
    ]  # fmt: skip
    seen = 0
    for address, answer in answers(reader, comparison):
        assert answer.status_code < 500, address
        text = answer.content.decode()
        assert [word for word in sealed if word in text] == [], address
        seen += 1
    assert seen == 16


def test_peers_answers_are_in_no_search(project: Project, comparison: Comparison) -> None:
    reader = Client()
    reader.force_login(make_user(project))
    for word in ("sealed+reason", "sealed+correction"):
        page = reader.get(reverse("search", args=[project.slug]) + f"?q={word}")
        assert "peer" not in page.content.decode()
        found = reader.get(f"/api/v1/search?project={project.slug}&q={word}").json()
        assert "peer's" not in str(found)


def test_everything_is_told_once_one_has_judged(
    project: Project, pair: tuple[Branch, Branch], comparison: Comparison
) -> None:
    ines = make_user(project)
    reader = Client()
    reader.force_login(ines)
    reader.get(reverse("comparison", args=[comparison.pk]))
    label = {"choice": "equal"}
    given = reader.post(
        f"/api/v1/comparisons/{comparison.pk}/label", label, content_type="application/json"
    )
    assert given.status_code == 201
    page = reader.get(reverse("comparison", args=[comparison.pk])).content.decode()
    for word in ("Secret one", "Secret two", "Hush", "Ada Brandt", "peer&#x27;s sealed reason"):
        assert word in page


def test_sides_are_the_reviewers_own_from_page_to_api_and_stay(
    project: Project, comparison: Comparison
) -> None:
    swapped = set()
    for _ in range(24):
        user = make_user(project)
        reader = Client()
        reader.force_login(user)
        drawn = draw_sides(comparison_id=comparison.pk, reviewer=actor_of_user(user))
        address = f"/api/v1/comparisons/{comparison.pk}/sides"
        told = reader.post(address, {}, content_type="application/json").json()
        assert told["left"]["head_digest"] == drawn.left.head_digest.hex()
        assert told == reader.post(address, {}, content_type="application/json").json()
        swapped.add(drawn.left.branch.pk == comparison.second_id)
    assert swapped == {True, False}

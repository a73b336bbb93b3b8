"""Blind: what a reviewer must not know before they judge is in no answer that they get about a pair.

A run itself stays readable: whoever opens it sees its branches. What is sealed is which side is which,
who made it and why, what it cost, what graders said of it, and what peers judged.
"""

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from branches.models import Branch
from tests.make import append, make_message, make_user
from tests.verdicts.sealed import (
    item_of,
    make_author,
    make_judged,
    make_sealed_pair,
    sealed_words,
)
from verdicts.comparisons import draw_sides
from verdicts.models import Comparison
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(project: Project) -> User:
    return make_author(project)


@pytest.fixture
def pair(project: Project, ada: User) -> tuple[Branch, Branch]:
    return make_sealed_pair(project, ada)


@pytest.fixture
def comparison(pair: tuple[Branch, Branch], ada: User) -> Comparison:
    return make_judged(pair, ada)


def answers(reader: Client, comparison: Comparison) -> Iterator[tuple[str, HttpResponse]]:
    """Everything that the product answers about the pair to one who has not judged it."""
    item = item_of(comparison)
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
    whole = re.findall(
        r'href="(/comparisons/[^"]+/steps/[^"]+)"', reader.get(page).content.decode()
    )
    assert len(whole) == 2
    for address in whole:
        yield address, reader.get(address)  # type: ignore[misc]
    # Nothing chosen: the form comes back.
    yield (
        "label without a choice",
        reader.post(reverse("comparison-label", args=[comparison.pk]), {"rationale": "x"}),  # type: ignore[misc]
    )
    address = f"/api/v1/comparisons/{comparison.pk}/label"
    for wrong in (
        {"choice": "left", "strength": 9},
        {"choice": "left", "seen_heads": {"left": "0", "right": "0"}},
    ):
        yield address, reader.post(address, wrong, content_type="application/json")  # type: ignore[misc]
    # A side has grown, last of all: the pair comes back with its new heads.
    append(comparison.first, make_message("assistant", "on"))
    yield address, reader.post(address, {"choice": "left"}, content_type="application/json")  # type: ignore[misc]
    moved = reader.post(reverse("comparison-label", args=[comparison.pk]), {"choice": "left"})
    assert moved.status_code == 409
    yield "the pair that has moved", moved  # type: ignore[misc]


def test_no_answer_about_a_pair_tells_what_is_sealed(
    project: Project, pair: tuple[Branch, Branch], comparison: Comparison
) -> None:
    reader = Client()
    reader.force_login(make_user(project))
    seen = 0
    for address, answer in answers(reader, comparison):
        assert answer.status_code < 500, address
        text = f"{dict(answer.headers)}\n{answer.content.decode()}"
        # Made anew for each: the last answers are about heads that have moved.
        assert [word for word in sealed_words(pair) if word in text] == [], address
        seen += 1
    assert seen == 21


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
    sides = f"/api/v1/comparisons/{comparison.pk}/sides"
    told = reader.post(sides, {}, content_type="application/json").json()
    heads = {told[side]["head_digest"] for side in ("left", "right")}
    assert heads == {bytes(branch.head_digest).hex() for branch in pair}
    page = reader.get(reverse("comparison", args=[comparison.pk])).content.decode()
    for word in ("Secret one", "Secret two", "Hush", "Ada Brandt", "peer&#x27;s sealed reason"):
        assert word in page
    pane = reader.get(f"/inbox/{item_of(comparison).pk}/").content.decode()
    assert "peer&#x27;s sealed comment" in pane


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
        assert (told["left"]["seal"], told["right"]["seal"]) == drawn.seals
        assert (told["left"]["head_digest"], told["right"]["head_digest"]) == (None, None)
        assert told == reader.post(address, {}, content_type="application/json").json()
        swapped.add(drawn.left.branch.pk == comparison.second_id)
    assert swapped == {True, False}

"""What tests of the compare page do with it: open a pair, read, judge, approve."""

import re
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from branches.models import Branch
from verdicts.comparisons import Sides, draw_sides
from verdicts.models import Comparison
from verel_site.access.projects import actor_of_user

OVERRIDE = "Leave the tests alone.\nDose = 50mg"


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


def seals(comparison: Comparison, user: User) -> dict[str, str]:
    left, right = sides_of(comparison, user).seals
    return {"left_head": left, "right_head": right}


def submit(client: Client, comparison: Comparison, user: User, **fields: str) -> HttpResponse:
    form = seals(comparison, user) | fields
    return client.post(reverse("comparison-label", args=[comparison.pk]), form)  # type: ignore[return-value]


def approve(client: Client, comparison: Comparison, user: User, **fields: str) -> HttpResponse:
    form = heads(comparison, user) | fields
    return client.post(reverse("comparison-merge", args=[comparison.pk]), form)  # type: ignore[return-value]

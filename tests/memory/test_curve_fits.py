"""A fit is made of what contexts took and left, kept, and drawn beside the default."""

import random
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from memory.curve_fits import fit_curves
from memory.domain.strength import Curve
from memory.domain.terms import ItemType
from memory.models import Assembly, CurveFit, Record
from tests.make import make_user
from tests.memory.make import make_fact
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db
PLANTED = Curve(40, 0.9, 0.0)


def remember(project: Project, contexts: int) -> Record:
    """A record of each age, and contexts that take it as often as the planted curve says."""
    dice = random.Random(5)
    now = timezone.now()
    rows = []
    for days in (1, 5, 20, 60, 150, 400):
        record = make_fact(project, f"The panel of ward {days} clips", item_type=ItemType.UI_FIX)
        Record.objects.filter(pk=record.pk).update(created_at=now - timedelta(days=days))
        rows.append((days, record))
    for _ in range(contexts):
        told: dict[str, list[Any]] = {"entered": [], "left_out": []}
        for days, record in rows:
            name = str(record.record_id)
            if dice.random() < PLANTED.strength(days):
                told["entered"].append({"id": name})
            else:
                told["left_out"].append({"id": name, "reason": "rank"})
        told["left_out"].append({"id": str(rows[0][1].record_id), "reason": "standing"})
        Assembly.objects.create(
            project=project, result=told, tokens=0, by_kind="system", by_id="x", by_name="x",
            created_at=now,
        )  # fmt: skip
    return rows[0][1]


def test_a_planted_curve_is_found_again_in_the_contexts(project: Project) -> None:
    remember(project, 400)
    assert fit_curves(project_id=project.pk) == 1
    fit = CurveFit.objects.get()
    assert (fit.item_type, fit.trials) == ("ui_fix", 2_400)
    found = fit.curve
    for days in (5, 20, 60, 150):
        assert found.strength(days) == pytest.approx(PLANTED.strength(days), abs=0.06)
    assert fit.log_likelihood > fit.default_log_likelihood
    fit_curves(project_id=project.pk)
    assert CurveFit.objects.count() == 1


def test_too_small_a_log_makes_no_fit(project: Project) -> None:
    remember(project, 10)
    assert fit_curves(project_id=project.pk) == 0


def test_the_fit_is_drawn_beside_the_default_and_adopted_by_nobody(project: Project) -> None:
    record = remember(project, 400)
    client = Client()
    user: User = make_user(project, Role.CURATOR)
    client.force_login(user)
    address = f"/p/{project.slug}/memory/{record.number}/"
    assert "strength as fitted" not in client.get(address).content.decode()
    fit_curves(project_id=project.pk)
    page = client.get(address).content.decode()
    assert "strength as fitted" in page
    assert "2,400 trials" in page
    assert "nobody adopted it" in page
    record.refresh_from_db()
    assert not record.curve.fitted

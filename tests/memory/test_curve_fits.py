"""A fit is made of what contexts took and left, kept, and drawn beside the default."""

import json
import random
import re
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from memory.curve_chart import Drawn, Seen, draw_curves
from memory.curve_fits import fit_curves
from memory.curves import adopt_curve, read_curves
from memory.decay_chart import LEFT, RIGHT
from memory.domain.strength import TABLE, Curve
from memory.domain.terms import ItemType
from memory.models import Assembly, CurveAdoption, CurveFit, Record
from memory.recall import assemble_context
from tests.api_client import Api, data
from tests.make import make_key, make_person
from tests.memory.make import make_fact
from tests.memory.steps import consolidate, tell_runs
from verel_site.access.actors import SYSTEM, key_actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import Forbidden

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


def test_the_fit_is_drawn_beside_the_default_and_adopted_by_nobody(
    project: Project, client: Client
) -> None:
    record = remember(project, 400)
    address = f"/p/{project.slug}/memory/{record.number}/"
    assert "strength as fitted" not in client.get(address).content.decode()
    fit_curves(project_id=project.pk)
    page = client.get(address).content.decode()
    assert "strength as fitted" in page
    assert "2,400 trials" in page
    assert "nobody adopted it" in page
    assert read_curves(project.pk) == TABLE
    curves = client.get(f"/p/{project.slug}/memory/curves/").content.decode()
    assert "as fitted" in curves
    assert "default, in use" in curves
    assert "2,400 trials, adopted by nobody" in curves


@pytest.fixture
def fit(project: Project) -> CurveFit:
    return CurveFit.objects.create(
        project=project, item_type="ui_fix", base_days=30, beta=0.9, trials=900, spread=5,
        log_likelihood=-400, default_log_likelihood=-450, log=[[3, 80, 100], [40, 30, 100]],
    )  # fmt: skip


def post(client: Client, project: Project, act: str, **form: str) -> Any:
    return client.post(
        f"/p/{project.slug}/memory/curves/{act}/", {"item_type": "ui_fix", "reason": "Logs"} | form
    )


def strengths(project: Project, client: Client) -> list[float]:
    """Of one record, by every door that tells it; a context's, by the rank that it gave."""
    record = Record.objects.get(project=project)
    now = timezone.now()
    api = Api(make_key(project, "admin"))
    told = data(api.get(f"memory/records/{record.record_id}"))
    page = client.get(f"/p/{project.slug}/memory/{record.number}/").context["page"]
    listed = client.get(f"/p/{project.slug}/memory/").context["page"]
    context = assemble_context(project_id=project.pk, actor=SYSTEM, goal="ward panel")
    weights, (entered,) = context.result["policy"], context.result["entered"]
    rest = entered["rank"] - weights["w_e"] * record.confidence - weights["w_g"]
    return [
        record.strength(now, read_curves(project.pk)),
        told["retrieval"]["strength"],
        page.line.strength,
        listed.rows[0].strength,
        rest / weights["w_r"],
    ]


def test_an_adopted_curve_is_the_one_by_which_everything_fades_until_it_is_dropped(
    project: Project, client: Client, user: User, fit: CurveFit
) -> None:
    record = make_fact(project, "The panel of the ward clips", item_type=ItemType.UI_FIX)
    long_ago = timezone.now() - timedelta(days=60)

    def age() -> None:
        Record.objects.update(created_at=long_ago, trust="corroborated", retrieved_at=None)
        Record.objects.update(retrieval_count=0)

    age()
    by_default = TABLE[ItemType.UI_FIX].strength(60)
    assert strengths(project, client) == pytest.approx([by_default] * 5, abs=0.01)
    age()
    missing = post(client, project, "adopt", digest=fit.digest.hex(), reason=" ")
    assert missing.status_code == 422
    assert read_curves(project.pk) == TABLE
    assert post(client, project, "adopt", digest=fit.digest.hex()).status_code == 302
    adopted = fit.curve.strength(60)
    assert adopted < by_default - 0.1
    assert strengths(project, client) == pytest.approx([adopted] * 5, abs=0.01)
    entry = AuditEntry.objects.get(action="memory.adopt_curve")
    assert (entry.actor_name, entry.reason) == (user.get_username(), "Logs")
    told = json.loads(bytes(entry.body))
    assert (told["before"]["base_days"], told["after"]["base_days"]) == (90, 30)

    page = client.get(f"/p/{project.slug}/memory/curves/").content.decode()
    assert f"in use, adopted by {user.get_username()}" in page
    assert "/curves/adopt/" not in page
    again = post(client, project, "adopt", digest=fit.digest.hex())
    assert again.status_code == 409
    row = CurveAdoption.objects.get()
    assert post(client, project, "drop", adoption=str(row.pk)).status_code == 302
    assert post(client, project, "drop", adoption=str(row.pk)).status_code == 409
    assert read_curves(project.pk) == TABLE
    row.refresh_from_db()
    assert (row.ended_by, row.ended_reason) == (user.get_username(), "Logs")
    assert record.item_type == "ui_fix"


def test_a_fit_that_was_made_anew_is_not_adopted_by_what_was_looked_at_before(
    project: Project, client: Client, fit: CurveFit
) -> None:
    seen = fit.digest.hex()
    CurveFit.objects.update(base_days=31)
    refused = post(client, project, "adopt", digest=seen, reason="<b>Logs</b>")
    assert refused.status_code == 409
    page = refused.content.decode()
    assert "It was fitted anew" in page
    assert 'value="&lt;b&gt;Logs&lt;/b&gt;"' in page
    assert not CurveAdoption.objects.exists()
    for nonsense in ({"digest": "xy"}, {"digest": seen, "item_type": "fact"}):
        assert post(client, project, "adopt", **nonsense).status_code == 400
    assert post(client, project, "drop", adoption="7").status_code == 400
    missing = post(client, project, "adopt", digest=seen, item_type="security")
    assert missing.status_code == 404


def test_a_new_fit_takes_the_place_of_the_adopted_one_and_both_stay_in_history(
    project: Project, client: Client, fit: CurveFit
) -> None:
    assert post(client, project, "adopt", digest=fit.digest.hex()).status_code == 302
    CurveFit.objects.update(base_days=31)
    fit.refresh_from_db()
    assert read_curves(project.pk)[ItemType.UI_FIX].base_days == 30
    assert post(client, project, "adopt", digest=fit.digest.hex()).status_code == 302
    assert read_curves(project.pk)[ItemType.UI_FIX].base_days == 31
    ended = CurveAdoption.objects.exclude(ended_at=None).get()
    assert ended.ended_reason == "Another curve took its place."
    page = client.get(f"/p/{project.slug}/memory/curves/").content.decode()
    assert page.count("</b> adopted") == 2


@pytest.mark.parametrize("kind", ["reviewer", "key"])
def test_only_a_person_who_may_curate_adopts_a_curve(
    project: Project, fit: CurveFit, kind: str
) -> None:
    actor = (
        make_person(project, Role.REVIEWER)
        if kind == "reviewer"
        else key_actor(key_id="k", name="ci", project_id=project.pk, scopes=["admin"])
    )
    with pytest.raises(Forbidden):
        adopt_curve(
            project_id=project.pk, actor=actor, item_type=ItemType.UI_FIX, digest=fit.digest,
            reason="x",
        )  # fmt: skip
    assert not CurveAdoption.objects.exists()


def test_a_record_is_pruned_by_the_curve_that_is_in_use(
    project: Project, client: Client, fit: CurveFit
) -> None:
    CurveFit.objects.update(item_type="cosmetic_tip", base_days=4_000, beta=0.05)
    fit.refresh_from_db()
    digest = fit.digest.hex()
    post(client, project, "adopt", digest=digest, item_type="cosmetic_tip")
    tell_runs(project)
    consolidate(project)
    # By default it would be: see test_consolidation.
    assert Record.objects.get(text="Nurses call it the push").standing == "live"


def test_the_chart_keeps_every_curve_and_hit_inside() -> None:
    curves = [Drawn(TABLE[item], item.value, "curve") for item in ItemType]
    seen = [Seen(0.0, 1.0, 10), Seen(400.0, 0.0, 500)]
    svg = str(draw_curves(curves, seen))
    xs = [float(x) for x in re.findall(r"[ML]([\d.]+) ", svg)]
    assert min(xs) >= LEFT
    assert max(xs) <= 720 - RIGHT
    assert svg.count("<circle") == 2
    words = [float(y) for y in re.findall(rf'<text x="{720 - RIGHT + 8}[^"]*" y="([\d.]+)"', svg)]
    assert all(later - earlier >= 12.9 for earlier, later in pairwise(sorted(words)))
    assert str(draw_curves(curves[:1], [])).startswith("<svg")

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.make import make_project, make_user
from tests.verdicts.make import make_cases, make_suite
from verdicts.models import Suite
from verdicts.rotation_page import RotationPage, read_rotation_page
from verdicts.rotations import rotate_suite, tend
from verdicts.suites import add_reserve, record_result
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def read(project: Project) -> RotationPage:
    return read_rotation_page(project=project, actor=SYSTEM)


def tell(suite: Suite, passed: int, holdout_passed: int) -> None:
    record_result(
        suite_id=suite.pk,
        actor=SYSTEM,
        passed=passed,
        total=50,
        holdout_passed=holdout_passed,
        holdout_total=20,
    )


def test_it_says_when_the_task_ran_last_and_what_is_due_next(project: Project) -> None:
    suite = make_suite(project)
    assert (read(project).last_watch, read(project).late) == (None, True)
    tend()
    page = read(project)
    assert (page.late, page.next_due) == (False, suite.rotate_at)
    Suite.objects.update(watched_at=timezone.now() - timedelta(hours=2))
    assert read(project).late, "a worker that died is not passed over in silence"


def test_a_rotation_stands_with_what_it_retired_and_minted_and_why(project: Project) -> None:
    suite = make_suite(project)
    Suite.objects.update(rotate_at=timezone.now() - timedelta(1))
    tend()
    [one] = read(project).rotations
    assert (one.minted, one.cases, one.who, one.reason) == (2, 10, "Verel", "30 days have passed")
    assert one.before_href == f"/suites/{suite.pk}/"
    tend()
    assert len(read(project).rotations) == 1


def test_the_gap_is_drawn_and_a_trip_waits_in_sight_until_people_mint(
    client: Client, project: Project
) -> None:
    suite = make_suite(project, reserve=0)
    tell(suite, 45, 18)
    quiet = read(project)
    assert quiet.shown is not None
    assert quiet.shown.canary.word == "Quiet"
    assert "suite 90\N{NO-BREAK SPACE}%; hold-out 90\N{NO-BREAK SPACE}%" in str(
        quiet.shown.canary.drawing
    )
    tell(suite, 50, 4)
    tend()
    page = read(project)
    assert page.shown is not None
    assert (page.shown.canary.word, page.shown.canary.finding) == (
        "Tripped", "The suite goes 40 points better than the hold-out",
    )  # fmt: skip
    assert "curve fail" in str(page.shown.canary.drawing)
    [trip] = page.open_trips
    assert "95 of 100 cases pass" in trip.evidence
    assert trip.wanting == 2
    client.force_login(make_user(project))
    text = client.get(f"/p/{project.slug}/gate/rotations/").content.decode()
    assert "nobody but people can mint" in text
    add_reserve(suite_id=suite.pk, actor=SYSTEM, cases=make_cases(2, "fresh"))
    tend()
    answered = read(project)
    assert (answered.open_trips, len(answered.trips), len(answered.rotations)) == ((), 1, 1)


def test_another_suite_is_drawn_when_asked_for_and_a_wrong_one_is_not_there(
    client: Client, project: Project
) -> None:
    first, second = make_suite(project), make_suite(project, grader="lint", name="style")
    client.force_login(make_user(project))
    address = f"/p/{project.slug}/gate/rotations/"
    for suite in (first, second):
        text = client.get(address, {"suite": str(suite.pk)}).content.decode()
        assert f'href="?suite={suite.pk}" aria-current="true"' in text
    assert client.get(address, {"suite": str(uuid4())}).status_code == 404
    assert client.get(address, {"suite": "x"}).status_code == 400
    client.force_login(make_user(make_project()))
    assert client.get(address).status_code == 404


def test_it_asks_the_same_queries_however_many_suites_and_results(
    client: Client, project: Project
) -> None:
    client.force_login(make_user(project))

    def count() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(f"/p/{project.slug}/gate/rotations/").status_code == 200
        return len(asked)

    tell(rotate_suite(suite_id=make_suite(project).pk, actor=SYSTEM, reason="due"), 40, 15)
    few = count()
    for number in range(4):
        suite = make_suite(project, name=f"more {number}", cases=make_cases(4 + number, "other"))
        for _ in range(3):
            tell(suite, 50, 1)
    tend()
    assert count() == few

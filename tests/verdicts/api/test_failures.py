from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from tests import make
from tests.verdicts.make import grow, make_issue, push
from verdicts.known_bugs import cluster_due, cluster_project
from verdicts.models import Failure, KnownBug
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    """Nine failures that say the same in nine files, of which one is resolved, and a lint error."""
    project = make.make_project()
    _, trunk = make.make_run(project)
    many = [make_issue(locator=f"{n}.py", message=f"assert {n} == 4") for n in range(9)]
    push(trunk, issues=many)
    push(grow(trunk), issues=many[1:])
    push(trunk, "lint", [make_issue(kind="lint", source="lint", message="line too long")])
    return project


def get(client: Client, path: str, **query: Any) -> Any:
    answer = client.get(f"/api/v1/{path}", query)
    return answer.json() | {"status": answer.status_code}


@pytest.fixture
def reader(client: Client, project: Project) -> Client:
    client.force_login(make.make_user(project))
    return client


def test_every_failure_is_read_once_by_its_cursor(reader: Client) -> None:
    seen, after = [], ""
    while True:
        page = get(reader, "failures", limit=4, after=after)
        seen += [row["failure"] for row in page["results"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 10


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"state": "open"}, 9),
        ({"state": "resolved"}, 1),
        ({"state": "quarantined"}, 0),
        ({"state": "returned"}, 0),
        ({"kind": "lint"}, 1),
        ({"source": "test"}, 9),
        ({"q": "TOO LONG"}, 1),
        ({"q": "3.py"}, 1),
        ({"q": "nowhere"}, 0),
        ({"q": "assert", "state": "resolved"}, 1),
    ],
)
def test_filters_narrow_the_list(reader: Client, query: dict[str, str], count: int) -> None:
    assert len(get(reader, "failures", **query)["results"]) == count


@pytest.mark.parametrize(
    "query",
    [{"state": "shut"}, {"kind": "x"}, {"source": "x"}, {"after": "x"}, {"after": "1" * 30 + "-"},
     {"limit": "0"}, {"q": "x" * 201}, {"q": "\0"}],
)  # fmt: skip
def test_a_query_that_is_none_is_refused_with_its_name(
    reader: Client, query: dict[str, str]
) -> None:
    page = get(reader, "failures", **query)
    assert page["status"] == 400


def test_a_fingerprint_is_looked_up_and_tells_its_history(reader: Client) -> None:
    failure = Failure.objects.get(open=False)
    [row] = get(reader, "failures", q=failure.fingerprint)["results"]
    assert (row["open"], row["sightings"], row["scrubbed"]) == (False, 1, "assert <num> == <num>")
    assert row["resolved"]["head"]["seq"] == 2
    history = get(reader, f"failures/{failure.pk}/history")["results"]
    assert [entry["turn"] for entry in history] == ["opened", "resolved"]
    assert history[1]["answers"] == history[0]["entry"]
    assert get(reader, f"failures/{failure.pk}")["open_on"] == []


def test_a_list_costs_the_same_however_long(
    reader: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(8):
        get(reader, "failures")


def test_a_curator_quarantines_and_lifts_with_a_reason_and_others_may_not(
    client: Client, project: Project
) -> None:
    failure = Failure.objects.filter(open=True).first()
    assert failure is not None
    path = f"/api/v1/failures/{failure.pk}"

    def post(act: str, reason: str) -> Any:
        body = {"reason": reason}
        answer = client.post(f"{path}/{act}", body, content_type="application/json")
        return answer.status_code, answer.json()

    client.force_login(make.make_user(project))
    assert post("quarantine", "flaky")[0] == 403
    client.force_login(make.make_user(project, role=Role.CURATOR))
    assert post("quarantine", "")[0] == 400
    status, told = post("quarantine", "the clock of the test")
    assert (status, told["quarantine"]["reason"]) == (200, "the clock of the test")
    assert post("quarantine", "again")[0] == 409
    assert post("lift", "mended")[1]["quarantine"] is None
    assert post("lift", "again")[0] == 409


def test_nights_group_what_says_the_same_and_groups_lead_to_their_failures(
    reader: Client, project: Project
) -> None:
    assert cluster_due()
    assert not cluster_due(), "once a night"
    page = get(reader, "known-bugs")
    [bug] = page["results"]
    assert (bug["failures"], bug["open_failures"], bug["kind"]) == (9, 8, "test_failure")
    assert page["clustered_at"] == bug["clustered_at"]
    assert len(get(reader, "failures", bug=bug["bug"])["results"]) == 9
    # A group that is none any more goes with the next night.
    Failure.objects.filter(bug=bug["bug"]).update(bug="f" * 16)
    cluster_project(project_id=project.pk)
    assert KnownBug.objects.get().bug == "f" * 16


def test_the_page_lists_searches_and_shows_one_with_links_into_the_tree(reader: Client) -> None:
    failure = Failure.objects.get(open=False)
    project = failure.project
    page = f"/p/{project.slug}/gate/ledger/"
    html = reader.get(page, {"q": "1.py"}).content.decode()
    assert "1 report in 1 run" not in html
    html = reader.get(page, {"failure": str(failure.pk)}).content.decode()
    assert failure.fingerprint in html
    assert "1 report in 1 run" in html
    assert f"/runs/{failure.last_report.branch.run_id}/?branch=" in html
    assert "A curator of the project may put it into quarantine." in html
    assert "No failure matches" in reader.get(page, {"q": "nowhere"}).content.decode()
    assert reader.get(page, {"failure": "x"}).status_code == 400
    cluster_project(project_id=project.pk)
    html = reader.get(page, {"view": "bugs"}).content.decode()
    assert "No two failures say the same" not in html


def test_the_page_costs_the_same_however_much_the_ledger_holds(
    reader: Client, project: Project
) -> None:
    failure = Failure.objects.filter(open=True).first()
    assert failure is not None
    here = f"/p/{project.slug}/gate/ledger/"

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            reader.get(here, {"failure": str(failure.pk)})
        return len(queries)

    before = count()
    _, more = make.make_run(project)
    push(grow(more), issues=[make_issue(locator=f"more/{n}.py") for n in range(60)])
    assert count() == before


def test_the_forms_work_without_javascript_and_say_what_is_refused(
    client: Client, project: Project
) -> None:
    client.force_login(make.make_user(project, role=Role.CURATOR))
    failure = Failure.objects.filter(open=True).first()
    assert failure is not None
    refused = client.post(f"/failures/{failure.pk}/quarantine/", {"reason": ""})
    assert refused.status_code == 422
    assert "Quarantine needs a reason" in refused.content.decode()
    done = client.post(
        f"/failures/{failure.pk}/quarantine/", {"reason": "a <b>race</b>"}, follow=True
    )
    html = done.content.decode()
    assert "Lift the quarantine" in html
    assert "<b>race</b>" not in html
    again = client.post(f"/failures/{failure.pk}/lift/", {"reason": "mended"}, follow=True)
    assert "Put into quarantine" in again.content.decode()

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.make import append, make_message, make_project, make_run, make_user
from tests.verdicts.make import make_cases, make_runner, make_suite, push_proven
from verdicts.models import Suite, SuiteCase
from verdicts.rotations import rotate_suite
from verdicts.suite_page import read_suite_page, read_suites_page
from verdicts.suites import record_result
from verdicts.views.suites import MAX_FILE_BYTES
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db

SECRET = "the answer is forty-two"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def curator(client: Client, project: Project) -> Client:
    client.force_login(make_user(project, Role.CURATOR, first_name="Ada", last_name="Brandt"))
    return client


def make_file(told: Any) -> SimpleUploadedFile:
    raw = told if isinstance(told, bytes) else json.dumps(told).encode()
    return SimpleUploadedFile("cases.json", raw)


def make_form(told: Any = None, **changed: str) -> dict[str, Any]:
    told = [{"name": "one", "body": SECRET}] if told is None else told
    form = {"name": "unit", "grader": "test", "rotate_days": "30", "reason": "a first set"}
    return form | {"cases": make_file(told)} | changed


def grade(suite: Suite, project: Project) -> None:
    branch = make_run(project)[1]
    append(branch, make_message("assistant", "done"))
    push_proven(make_runner(project, name=str(branch.pk)), branch, suite_digest=suite.digest)


def test_a_curator_makes_freezes_and_retires_a_suite_by_plain_forms_with_reasons(
    curator: Client, project: Project
) -> None:
    told = {"cases": make_cases(5), "holdout": make_cases(2, "held"), "reserve": make_cases(1, "f")}
    landed = curator.post(f"/p/{project.slug}/gate/suites/", make_form(told))
    suite = Suite.objects.get()
    assert landed.url == f"/suites/{suite.pk}/"  # type: ignore[attr-defined]
    assert (suite.owner, suite.frozen_at, suite.rotate_days) == ("Ada Brandt", None, 30)
    for act, reason in (("freeze", "agreed with Ines"), ("retire", "too easy")):
        assert curator.post(f"/suites/{suite.pk}/{act}/", {"reason": " "}).status_code == 422
        assert curator.post(f"/suites/{suite.pk}/{act}/", {"reason": reason}).status_code == 302
    acts = AuditEntry.objects.filter(subject=f"suite:{suite.pk}").order_by("number")
    assert [(act.action, act.reason, act.actor_name) for act in acts] == [
        ("suite.create", "a first set", "Ada Brandt"),
        ("suite.freeze", "agreed with Ines", "Ada Brandt"),
        ("suite.retire", "too easy", "Ada Brandt"),
    ]
    page = curator.get(f"/suites/{suite.pk}/").content.decode()
    assert all(reason in page for reason in ("a first set", "agreed with Ines", "too easy"))


def test_a_suite_that_is_kept_elsewhere_is_frozen_by_its_digest(
    curator: Client, project: Project
) -> None:
    form = {"name": "far", "grader": "lint", "digest": "AB" * 32, "reason": "theirs"}
    assert curator.post(f"/p/{project.slug}/gate/suites/", form).status_code == 302
    suite = Suite.objects.get()
    assert (suite.digest, suite.frozen_at is not None, suite.token) == ("ab" * 32, True, "")
    assert "kept elsewhere" in curator.get(f"/suites/{suite.pk}/").content.decode()


def test_no_page_shows_a_case_or_the_canary_to_anyone(client: Client, project: Project) -> None:
    parts = [[{"name": f"{part} {SECRET}", "body": SECRET}] for part in ("case", "held", "fresh")]
    suite = make_suite(project, cases=parts[0], holdout=parts[1], **{"reserve": 0})
    for role in Role:
        client.force_login(make_user(project, role))
        for address in (
            f"/p/{project.slug}/gate/suites/",
            f"/p/{project.slug}/gate/rotations/",
            f"/suites/{suite.pk}/",
        ):
            text = client.get(address).content.decode()
            assert SECRET not in text
            assert suite.token not in text


@pytest.mark.parametrize(
    ("told", "changed", "words"),
    [
        (b"{", {}, "not well-formed"),
        ([], {}, "A suite has a case"),
        ({"cases": [], "rubric": []}, {}, "a JSON list of cases"),
        ([{"name": "x" * 201, "body": SECRET}], {}, "At /cases/0/name"),
        ([{"name": SECRET, "body": 1, "hint": SECRET}], {}, "At /cases/0"),
        (b" " * (MAX_FILE_BYTES + 1), {}, "at most 16 MB"),
        (None, {"cases": ""}, "Choose a file"),
        (None, {"rotate_days": "0"}, "From 1 to 3650 days"),
        (None, {"rotate_days": "soon"}, "From 1 to 3650 days"),
        (None, {"name": " "}, "1 to 120 letters"),
        (None, {"grader": "oracle"}, "no grader"),
        (None, {"digest": "zz"}, "64 lower-case hex digits"),
    ],
)
def test_what_is_no_suite_is_said_in_words_and_no_case_is_repeated(
    curator: Client, project: Project, told: Any, changed: dict[str, str], words: str
) -> None:
    form = make_form(told, **{"name": "<b>unit</b>"} | changed)
    answer = curator.post(f"/p/{project.slug}/gate/suites/", form)
    text = answer.content.decode()
    assert answer.status_code in (400, 422)
    assert words in text
    assert SECRET not in text
    assert "<b>unit" not in text
    assert not Suite.objects.exists()


def test_fresh_cases_are_added_and_a_rotation_leads_to_the_version_that_follows(
    curator: Client, project: Project
) -> None:
    suite = make_suite(project, reserve=0)
    refused = curator.post(f"/suites/{suite.pk}/rotate/", {"reason": "now"})
    assert (refused.status_code, "Add fresh cases" in refused.content.decode()) == (409, True)
    fresh = {"cases": make_file(make_cases(2, "fresh")), "reason": "minted by hand"}
    assert curator.post(f"/suites/{suite.pk}/reserve/", fresh).status_code == 302
    landed = curator.post(f"/suites/{suite.pk}/rotate/", {"reason": "now"})
    new = Suite.objects.get(follows=suite)
    assert landed.url == f"/suites/{new.pk}/"  # type: ignore[attr-defined]
    page = read_suite_page(actor=SYSTEM, suite_id=new.pk)
    assert [(line.number, line.minted, line.cases) for line in page.versions] == [
        (1, 0, 10), (2, 2, 10),
    ]  # fmt: skip
    assert (page.share, page.versions[0].reason) == (20, "now")


def test_who_may_not_curate_sees_counts_and_can_change_nothing(
    client: Client, project: Project
) -> None:
    suite = make_suite(project)
    client.force_login(make_user(project, Role.REVIEWER))
    page = client.get(f"/suites/{suite.pk}/").content.decode()
    assert "<form" not in page.split("</header>", 1)[1].split('id="key-map"', 1)[0]
    assert client.post(f"/p/{project.slug}/gate/suites/", make_form()).status_code == 403
    for act in ("freeze", "retire", "rotate"):
        assert client.post(f"/suites/{suite.pk}/{act}/", {"reason": "x"}).status_code == 403
    fresh = {"cases": make_file(make_cases(1, "fresh"))}
    assert client.post(f"/suites/{suite.pk}/reserve/", fresh).status_code == 403
    suite.refresh_from_db()
    assert (suite.retired_at, SuiteCase.objects.filter(name="fresh 9").count()) == (None, 0)


def test_a_stranger_s_suite_is_not_there(client: Client, project: Project) -> None:
    suite = make_suite(project)
    client.force_login(make_user(make_project(), Role.ADMIN))
    assert client.get(f"/suites/{suite.pk}/").status_code == 404
    assert client.get(f"/p/{project.slug}/gate/suites/").status_code == 404
    assert client.post(f"/suites/{suite.pk}/retire/", {"reason": "x"}).status_code == 404


def test_reports_are_counted_by_the_suite_that_their_receipts_claim(project: Project) -> None:
    used, idle = make_suite(project), make_suite(project, name="idle", cases=make_cases(4))
    for _ in range(2):
        grade(used, project)
    page = read_suites_page(project=project, actor=SYSTEM)
    assert {row.name: row.reports for row in page.live} == {"unit": 2, "idle": 0}
    one = read_suite_page(actor=SYSTEM, suite_id=used.pk)
    assert [(row.verdict, row.receipt) for row in one.reports] == [("pass", "Valid")] * 2
    assert one.verdicts == (("pass", 2),)
    assert read_suite_page(actor=SYSTEM, suite_id=idle.pk).reports == ()


def test_the_pages_ask_the_same_queries_however_much_there_is(
    curator: Client, project: Project
) -> None:
    suite = make_suite(project)

    def count() -> list[int]:
        counts = []
        for address in (f"/p/{project.slug}/gate/suites/", f"/suites/{suite.pk}/"):
            with CaptureQueriesContext(connection) as asked:
                assert curator.get(address).status_code == 200
            counts.append(len(asked))
        return counts

    grade(suite, project)
    few = count()
    for number in range(4):
        record_result(suite_id=suite.pk, actor=SYSTEM, passed=number, total=9, holdout_total=3)
        grade(suite, project)
        make_suite(project, name=f"more {number}", cases=make_cases(3 + number, "other"))
    suite = rotate_suite(suite_id=suite.pk, actor=SYSTEM, reason="due")
    grade(suite, project)
    assert count() == few

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from branches.models import Branch
from tests.make import append, make_message, make_person, make_project, make_run, make_user
from tests.verdicts.make import SUITE, make_issue, push, require
from verdicts.models import Policy
from verdicts.policies import change_policy
from verdicts.policy_page import Preview, Proposal, read_policy_page
from verdicts.suites import freeze_suite
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def make_graded(project: Project, grader: str = "test", *issues: Any) -> Branch:
    branch = make_run(project)[1]
    append(branch, make_message("assistant", "done"))
    push(branch, grader, issues)
    return branch


def preview(project: Project, *required: str, **rules: Any) -> Preview:
    proposal = Proposal(
        required=tuple({"grader": grader, "suite": None} for grader in required),
        receipts_required=rules.get("receipts_required", False),
        warn_may_merge=rules.get("warn_may_merge", True),
        advisory_window=1,
    )
    page = read_policy_page(
        project=project, actor=make_person(project, Role.ADMIN), proposal=proposal
    )
    assert page.preview is not None
    return page.preview


def test_a_preview_names_the_gates_that_would_shut_and_why() -> None:
    project = make_project()
    make_graded(project, "test")
    linted = make_graded(project, "lint")
    told = preview(project, "lint")
    assert (told.opens, told.shuts, told.same) == (0, 1, 1)
    assert told.turns[0].why == "lint: required, and it has not reported on this head"
    assert str(linted.pk) not in told.turns[0].href


def test_a_preview_names_the_gates_that_would_open() -> None:
    project = make_project()
    make_graded(project, "test")
    require(project, "security")
    told = preview(project)
    assert [(turn.opens, turn.before, turn.after) for turn in told.turns] == [
        (True, "fail", "pass")
    ]


def test_whether_a_warning_merges_turns_only_gates_that_warn() -> None:
    project = make_project()
    make_graded(project, "test", make_issue("warning"))
    make_graded(project, "test")
    told = preview(project, warn_may_merge=False)
    assert (told.shuts, told.looked) == (1, 2)


def test_trying_changes_nothing_and_making_it_needs_an_admin_and_a_reason(client: Client) -> None:
    project = make_project()
    make_graded(project)
    form = {"required": ["test", "lint"], "receipts_required": "1", "advisory_window": "3"}
    client.force_login(make_user(project, Role.CURATOR))
    address = f"/p/{project.slug}/gate/"
    assert client.get(address, form | {"try": "1"}).status_code == 200
    assert client.post(address, form | {"reason": "let me"}).status_code == 403
    client.force_login(make_user(project, Role.ADMIN))
    refused = client.post(address, form)
    assert refused.status_code == 422
    assert "needs a reason" in refused.content.decode()
    assert not Policy.objects.exists()
    assert client.post(address, form | {"reason": "lint is quiet"}).status_code == 302
    policy = Policy.objects.get()
    assert [row["grader"] for row in policy.required] == ["test", "lint"]
    assert (policy.version, policy.advisory_window, policy.warn_may_merge) == (1, 3, False)
    assert AuditEntry.objects.get(action="policy.change").reason == "lint is quiet"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"advisory_window": "many"}, "a number"),
        ({"advisory_window": "0"}, "from 1 to 99"),
        ({"advisory_window": "1", "epsilon": "nan"}, "from 0.01 to 1000"),
        ({"advisory_window": "1", "flat": "some"}, "flat is a number"),
        ({"advisory_window": "1", "ladder": " , "}, "1 to 8 models"),
        ({"advisory_window": "1", "required": "astrology"}, "no grader"),
        ({"advisory_window": "1", "required": "test", "suite_test": "ab"}, "no frozen suite"),
    ],
)
def test_what_is_no_policy_is_said_in_words(
    client: Client, form: dict[str, str], words: str
) -> None:
    project = make_project()
    client.force_login(make_user(project, Role.ADMIN))
    tried = client.get(f"/p/{project.slug}/gate/", form | {"try": "1"})
    assert (tried.status_code, words in tried.content.decode()) == (200, True)
    made = client.post(f"/p/{project.slug}/gate/", form | {"reason": "why not"})
    assert (made.status_code, words in made.content.decode()) == (422, True)
    assert not Policy.objects.exists()


def test_what_a_loop_is_allowed_is_changed_like_the_rest_and_stands_with_its_version(
    client: Client,
) -> None:
    project = make_project()
    client.force_login(make_user(project, Role.ADMIN))
    address = f"/p/{project.slug}/gate/"
    rules = {"advisory_window": "1", "window": "6", "epsilon": "0.5", "ladder": "small, <b>big</b>"}
    assert client.post(address, rules | {"reason": "slow tests"}).status_code == 302
    assert client.post(address, {"advisory_window": "2", "reason": "vote"}).status_code == 302
    first, second = Policy.objects.order_by("version")
    assert first.limits == second.limits, "a form that names no limit leaves them"
    assert (first.limits["window"], first.limits["epsilon"]) == (6, 0.5)
    assert first.limits["ladder"] == ["small", "<b>big</b>"]
    page = client.get(address).content.decode()
    assert 'name="window" min="2" max="50" step="1" value="6"' in page
    assert "small to &lt;b&gt;big&lt;/b&gt;" in page
    refused = client.post(address, rules | {"window": "1", "reason": "never"})
    assert (refused.status_code, "from 2 to 50" in refused.content.decode()) == (422, True)


def test_model_families_are_named_one_a_line(client: Client) -> None:
    project = make_project()
    client.force_login(make_user(project, Role.ADMIN))
    address = f"/p/{project.slug}/gate/"
    page = client.get(address).content.decode()
    assert "anthropic: claude, haiku, sonnet, opus\ncohere" in page
    rules = {"advisory_window": "1", "reason": "our own judge"}
    told = " ours : Homebrew, <b>brew</b> \r\n\r\nopenai: gpt"
    assert client.post(address, rules | {"families": told}).status_code == 302
    limits = Policy.objects.get().limits
    assert limits["families"] == {"openai": ["gpt"], "ours": ["homebrew", "<b>brew</b>"]}
    page = client.get(address).content.decode()
    assert "openai: gpt\nours: homebrew, &lt;b&gt;brew&lt;/b&gt;</textarea>" in page
    for wrong in ("gpt", "a: b\na: c", "a:"):
        refused = client.post(address, rules | {"families": wrong})
        assert refused.status_code == 422


def test_a_named_suite_is_offered_and_kept(client: Client) -> None:
    project = make_project()
    freeze_suite(project_id=project.pk, actor=SYSTEM, grader="test", name="units", digest=SUITE)
    client.force_login(make_user(project, Role.ADMIN))
    client.post(
        f"/p/{project.slug}/gate/",
        {"required": "test", "suite_test": SUITE, "advisory_window": "1", "reason": "units only"},
    )
    assert Policy.objects.get().required == [{"grader": "test", "suite": SUITE}]
    page = client.get(f"/p/{project.slug}/gate/").content.decode()
    assert f'<option value="{SUITE}" selected>' in page


def test_a_preview_asks_the_same_queries_for_one_branch_and_for_many(client: Client) -> None:
    project = make_project()
    client.force_login(make_user(project, Role.ADMIN))
    change_policy(project_id=project.pk, actor=SYSTEM, required=[])

    def count() -> int:
        asked = {"try": "1", "required": "security", "advisory_window": "1"}
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/p/{project.slug}/gate/", asked).status_code == 200
        return len(queries)

    make_graded(project)
    few = count()
    for _ in range(6):
        make_graded(project)
    assert count() == few


def test_a_strangers_policy_is_not_found(client: Client) -> None:
    project = make_project()
    client.force_login(make_user(make_project(), Role.ADMIN))
    assert client.get(f"/p/{project.slug}/gate/").status_code == 404

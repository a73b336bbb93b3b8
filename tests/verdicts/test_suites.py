from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from tests.make import (
    append,
    make_draft,
    make_key,
    make_message,
    make_person,
    make_project,
    make_run,
    make_user,
)
from tests.verdicts.make import (
    make_cases,
    make_issue,
    make_runner,
    make_suite,
    push,
    push_proven,
    require,
)
from verdicts import rotations, suites
from verdicts.admission import read_gate
from verdicts.domain.terms import Part
from verdicts.models import Policy, Report, Suite, SuiteCase, SuiteResult
from verdicts.policies import BadPolicy, change_policy, current_policy
from verdicts.rotations import NoFreshCases, rotate_suite, tend
from verdicts.suites import (
    BadSuite,
    SuiteExists,
    SuiteNotLive,
    add_reserve,
    create_suite,
    freeze_draft,
    freeze_suite,
    read_cases,
    record_result,
    retire_suite,
)
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.keys import ScopesRefused, read_key
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import Forbidden, NotFound

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def curator(project: Project) -> Actor:
    return make_person(project, Role.CURATOR)


def key_of(project: Project, *scopes: str) -> Actor:
    found = read_key(make_key(project, *scopes))
    assert found is not None
    return found[1]


def names(suite: Suite, part: Part = Part.CASE) -> list[str]:
    rows = SuiteCase.objects.filter(suite=suite, part=part).order_by("position")
    return list(rows.values_list("name", flat=True))


def acts(*actions: str) -> list[str]:
    return list(
        AuditEntry.objects.filter(action__in=actions)
        .order_by("pk")
        .values_list("action", flat=True)
    )


def test_a_suite_is_made_frozen_and_retired_by_a_person_and_each_is_audited(
    project: Project, curator: Actor
) -> None:
    suite = create_suite(
        project_id=project.pk, actor=curator, grader="test", name="unit", cases=make_cases(2)
    )
    assert (suite.frozen_at, suite.owner) == (None, curator.name)
    frozen = freeze_draft(suite_id=suite.pk, actor=curator, reason="agreed")
    again = freeze_draft(suite_id=suite.pk, actor=curator, reason="agreed")
    assert again.frozen_at == frozen.frozen_at
    assert frozen.digest == suite.digest
    assert frozen.rotate_at is not None
    assert timedelta(29) < frozen.rotate_at - timezone.now() <= timedelta(30)
    retire_suite(suite_id=suite.pk, actor=curator, reason="old")
    retire_suite(suite_id=suite.pk, actor=curator, reason="again")
    with pytest.raises(SuiteNotLive):
        freeze_draft(suite_id=suite.pk, actor=curator, reason="after all")
    assert acts("suite.create", "suite.freeze", "suite.retire") == [
        "suite.create", "suite.freeze", "suite.retire",
    ]  # fmt: skip


def test_a_draft_can_not_be_named_by_a_policy_until_it_is_frozen(project: Project) -> None:
    suite = create_suite(
        project_id=project.pk, actor=SYSTEM, grader="test", name="unit", cases=make_cases(2)
    )
    named = {"grader": "test", "suite": suite.digest}
    with pytest.raises(BadPolicy):
        change_policy(project_id=project.pk, actor=SYSTEM, required=[named])
    freeze_draft(suite_id=suite.pk, actor=SYSTEM)
    change_policy(project_id=project.pk, actor=SYSTEM, required=[named])


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"cases": []}, "/cases"),
        ({"cases": ["a"]}, "/cases/0"),
        ({"cases": [{"name": "a"}]}, "/cases/0"),
        ({"cases": [{"name": "", "body": 1}]}, "/cases/0/name"),
        ({"holdout": [{"name": "a", "body": 1, "x": 2}]}, "/holdout/0"),
        ({"holdout": [{"name": "a", "body": "x" * 300_000}]}, "/holdout/0/body"),
        ({"grader": "oracle"}, "/grader"),
        ({"name": " "}, "/name"),
    ],
)
def test_a_faulty_suite_is_refused_with_a_pointer(
    change: dict[str, Any], pointer: str, project: Project
) -> None:
    with pytest.raises(BadSuite) as refused:
        make_suite(project, **change)
    assert refused.value.pointer == pointer
    assert not Suite.objects.exists()


def test_the_same_cases_are_one_suite(project: Project) -> None:
    make_suite(project)
    with pytest.raises(SuiteExists):
        make_suite(project, name="other", reserve=9)
    assert make_suite(project, grader="lint").pk


@pytest.mark.parametrize(
    ("who", "refusal"),
    [
        ("key suites:run", None),
        ("curator", None),
        ("admin", None),
        ("reviewer", Forbidden),
        ("viewer", Forbidden),
        ("key admin", Forbidden),
        ("key reports:write", Forbidden),
        ("key events:write", Forbidden),
        ("key branches:run", Forbidden),
        ("key context:read", Forbidden),
        ("key memory:propose", Forbidden),
        ("key exports:read", Forbidden),
        ("key of another project", NotFound),
    ],
)
def test_cases_are_read_by_a_runner_s_key_and_by_owners_alone(
    who: str, refusal: type[Exception] | None, project: Project
) -> None:
    suite = make_suite(project)
    if who == "key of another project":
        actor = key_of(make_project(), "suites:run")
    elif who.startswith("key "):
        actor = key_of(project, who.removeprefix("key "))
    else:
        actor = make_person(project, Role(who))
    if refusal is not None:
        with pytest.raises(refusal):
            read_cases(suite_id=suite.pk, actor=actor)
        return
    _, rows = read_cases(suite_id=suite.pk, actor=actor)
    assert [row.part for row in rows] == ["case"] * 10 + ["holdout"] * 3
    assert len(acts("suite.read_cases")) == (actor.kind == "person")


@pytest.mark.parametrize("scope", ["events:write", "branches:run"])
def test_a_key_that_runs_an_agent_can_not_run_suites_too(scope: str, project: Project) -> None:
    with pytest.raises(ScopesRefused):
        make_key(project, "suites:run", scope)


@pytest.mark.parametrize("act", ["create", "freeze", "retire", "rotate", "reserve"])
@pytest.mark.parametrize("who", ["key admin", "key suites:run", "reviewer"])
def test_suites_are_owned_by_people(act: str, who: str, project: Project) -> None:
    suite = make_suite(project)
    actor = (
        key_of(project, who.removeprefix("key "))
        if who.startswith("key")
        else make_person(project, Role.REVIEWER)
    )
    before = Suite.objects.count(), SuiteCase.objects.count(), suite.retired_at
    one: dict[str, Any] = {"suite_id": suite.pk, "actor": actor}
    doing: dict[str, Any] = {
        "create": lambda: create_suite(
            project_id=project.pk, actor=actor, grader="lint", name="x", cases=make_cases(1)
        ),
        "freeze": lambda: freeze_draft(**one),
        "retire": lambda: retire_suite(**one, reason="x"),
        "rotate": lambda: rotate_suite(**one, reason="x"),
        "reserve": lambda: add_reserve(**one, cases=make_cases(1)),
    }
    with pytest.raises(Forbidden):
        doing[act]()
    suite.refresh_from_db()
    assert (Suite.objects.count(), SuiteCase.objects.count(), suite.retired_at) == before


def test_a_rotation_replaces_the_fifth_in_use_longest_and_keeps_the_rest(project: Project) -> None:
    suite = make_suite(project)
    old = timezone.now() - timedelta(90)
    SuiteCase.objects.filter(suite=suite, name__in=["case 4", "case 7"]).update(since=old)
    new = rotate_suite(suite_id=suite.pk, actor=SYSTEM, reason="due")
    assert set(names(suite)) - set(names(new)) == {"case 4", "case 7"}
    assert set(names(new)) - set(names(suite)) == {"fresh 0", "fresh 1"}
    assert names(new, Part.HOLDOUT) == names(suite, Part.HOLDOUT)
    assert names(new, Part.RESERVE) == ["fresh 2", "fresh 3", "fresh 4"]
    suite.refresh_from_db()
    assert suite.retired_at is not None
    assert (new.follows_id, new.owner, new.retired_at) == (suite.pk, suite.owner, None)
    assert new.digest != suite.digest
    assert new.token != suite.token
    with pytest.raises(SuiteNotLive):
        rotate_suite(suite_id=suite.pk, actor=SYSTEM, reason="again")


def test_what_is_due_is_rotated_once_and_what_is_not_is_left(project: Project) -> None:
    due, later = make_suite(project), make_suite(project, grader="lint")
    Suite.objects.filter(pk=due.pk).update(rotate_at=timezone.now() - timedelta(1))
    assert (tend().rotated, tend().rotated) == (1, 0)
    new = Suite.objects.get(follows=due)
    assert new.rotate_at is not None
    assert new.rotate_at > timezone.now() + timedelta(29)
    later.refresh_from_db()
    assert later.retired_at is None
    assert acts("suite.rotate") == ["suite.rotate"]
    entry = AuditEntry.objects.get(action="suite.rotate")
    assert (entry.actor_name, entry.reason) == ("Verel", "30 days have passed")


def test_a_suite_without_fresh_cases_waits_for_people(project: Project, curator: Actor) -> None:
    suite = make_suite(project, reserve=0)
    Suite.objects.update(rotate_at=timezone.now() - timedelta(1))
    assert tend().rotated == 0
    with pytest.raises(NoFreshCases):
        rotate_suite(suite_id=suite.pk, actor=curator, reason="now")
    suite.refresh_from_db()
    assert suite.retired_at is None, "it is still what the gate asks for"
    add_reserve(suite_id=suite.pk, actor=curator, cases=make_cases(1, "late"))
    assert tend().rotated == 1, "as many as there are"
    assert "late 0" in names(Suite.objects.get(follows=suite))


def test_a_rotation_shuts_what_the_old_suite_proved_and_moves_the_policy(project: Project) -> None:
    suite = make_suite(project)
    named: list[dict[str, Any]] = [
        {"grader": "test", "suite": suite.digest},
        {"grader": "lint", "suite": None},
    ]
    change_policy(project_id=project.pk, actor=SYSTEM, required=named)
    branch = make_run(project)[1]
    signer = make_runner(project)
    push_proven(signer, branch, "lint", suite_digest="")
    push_proven(signer, branch, suite_digest=suite.digest)
    assert read_gate(branch).open
    new = rotate_suite(suite_id=suite.pk, actor=SYSTEM, reason="due")
    policy = current_policy(project_id=project.pk)
    assert policy.version == 2
    assert policy.required == [
        {"grader": "test", "suite": new.digest}, {"grader": "lint", "suite": None},
    ]  # fmt: skip
    assert read_gate(branch).texts == ("test: it ran another suite than the frozen one",)
    push_proven(signer, branch, suite_digest=new.digest)
    assert read_gate(branch).open


def test_a_policy_that_names_no_suite_stays_as_it_is(project: Project) -> None:
    suite = make_suite(project)
    require(project, "test")
    rotate_suite(suite_id=suite.pk, actor=SYSTEM, reason="due")
    assert Policy.objects.count() == 1


def test_whoever_asked_hears_of_a_retired_suite_inside_its_transaction(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[UUID, str, str]] = []
    monkeypatch.setattr(suites, "_retirement_hooks", {})
    suites.register_retirement_hook("memory", lambda *told: heard.append(told))
    suites.register_retirement_hook("memory", lambda *told: heard.append(told))
    suite = make_suite(project)
    new = rotate_suite(suite_id=suite.pk, actor=SYSTEM, reason="due")
    assert heard == [(project.pk, "test", suite.digest)]

    def refuse(*told: object) -> None:
        raise RuntimeError("no")

    suites.register_retirement_hook("memory", refuse)
    with pytest.raises(RuntimeError):
        retire_suite(suite_id=new.pk, actor=SYSTEM, reason="x")
    new.refresh_from_db()
    assert new.retired_at is None, "nothing half done"


def tell(suite: Suite, passed: int, holdout_passed: int) -> None:
    record_result(
        suite_id=suite.pk,
        actor=SYSTEM,
        passed=passed,
        total=50,
        holdout_passed=holdout_passed,
        holdout_total=20,
    )


def test_a_gap_to_the_hold_out_trips_the_canary_and_rotates(project: Project) -> None:
    suite = make_suite(project)
    tell(suite, 45, 18)
    assert (tend().tripped, tend().rotated) == (0, 0)
    tell(suite, 50, 4)
    told = tend()
    assert (told.tripped, told.rotated) == (1, 1)
    suite.refresh_from_db()
    assert suite.tripped_reason == (
        "95 of 100 cases pass, and of the hold-out that nobody has seen 22 of 40"
    )
    assert acts("suite.canary", "suite.rotate") == ["suite.canary", "suite.rotate"]
    assert AuditEntry.objects.get(action="suite.rotate").reason == suite.tripped_reason
    again = tend()
    assert (again.tripped, again.rotated) == (0, 0), "the new suite has no results yet"


def test_results_come_from_runners_about_live_suites(project: Project) -> None:
    suite = make_suite(project)
    with pytest.raises(Forbidden):
        record_result(suite_id=suite.pk, actor=key_of(project, "reports:write"), passed=1, total=1)
    with pytest.raises(BadSuite):
        record_result(suite_id=suite.pk, actor=SYSTEM, passed=2, total=1)
    record_result(suite_id=suite.pk, actor=key_of(project, "suites:run"), passed=1, total=1)
    retire_suite(suite_id=suite.pk, actor=SYSTEM, reason="x")
    with pytest.raises(SuiteNotLive):
        record_result(suite_id=suite.pk, actor=SYSTEM, passed=1, total=1)
    assert SuiteResult.objects.count() == 1


@pytest.mark.parametrize("where", ["message", "tool result", "issue", "memory"])
def test_a_canary_that_stands_where_it_must_not_trips(
    where: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotations, "_searches", {})
    suite = make_suite(project)
    branch = make_run(project)[1]
    leak = f"The answer to {suite.token} is 4"
    append(branch, make_message("user", "verel-canary- is a word"))
    assert tend().tripped == 0
    if where == "message":
        append(branch, make_message("assistant", leak))
    elif where == "tool result":
        append(branch, make_draft("data.tool.result", {"id": "1", "content": {"deep": [leak]}}))
    elif where == "issue":
        push(branch, issues=[make_issue(message=leak)])
        Report.objects.update(received_at=timezone.now() - timedelta(minutes=5))
    else:
        rotations.register_search("memory", lambda _, token: "fact 7" if token in leak else "")
    told = tend()
    assert (told.tripped, told.rotated) == (1, 1)
    suite.refresh_from_db()
    assert suite.tripped_reason.startswith("Its canary stands in ")


def test_a_scan_goes_on_where_it_stopped_and_reads_nothing_twice(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotations, "SCAN_ROWS", 3)
    suite = make_suite(project)
    branch = make_run(project)[1]
    append(branch, *(make_message("user", str(index)) for index in range(6)))
    append(branch, make_message("assistant", suite.token))
    seen = []
    for _ in range(5):
        told = tend()
        suite.refresh_from_db()
        seen.append((told.more, told.tripped, suite.scanned_position))
        if told.tripped:
            break
    assert [more for more, *_ in seen] == [True, True, False]
    positions = [position for *_, position in seen[:2]]
    assert positions == sorted(set(positions))


def test_a_leak_before_the_token_was_made_and_in_another_project_are_none(
    project: Project,
) -> None:
    suite = make_suite(project)
    append(make_run(make_project())[1], make_message("assistant", suite.token))
    assert tend().tripped == 0


def test_a_suite_kept_elsewhere_is_left_alone(project: Project) -> None:
    suite = freeze_suite(
        project_id=project.pk, actor=SYSTEM, grader="test", name="x", digest="ab" * 32
    )
    assert (tend().tripped, tend().rotated) == (0, 0)
    with pytest.raises(SuiteNotLive):
        rotate_suite(suite_id=suite.pk, actor=SYSTEM, reason="x")


def test_the_admin_shows_staff_that_a_case_is_there_and_nothing_of_it(project: Project) -> None:
    suite = make_suite(project)
    staff = Client()
    staff.force_login(make_user(is_staff=True, is_superuser=True))
    case = SuiteCase.objects.filter(suite=suite).first()
    assert case is not None
    paths = ["suitecase/", f"suitecase/{case.pk}/change/", f"suite/{suite.pk}/change/"]
    for path in paths:
        answer = staff.get(f"/admin/verdicts/{path}", follow=True)
        assert answer.status_code == 200
        text = answer.content.decode()
        assert "case 0?" not in text
        assert suite.token not in text

from typing import Any

import pytest

from tests.make import make_person, make_project
from tests.verdicts.make import SUITE, require
from verdicts.policies import BadPolicy, PolicyReasonMissing, change_policy, current_policy
from verdicts.suites import freeze_suite
from verel_site.access.actors import SYSTEM
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import Forbidden, NotFound

pytestmark = pytest.mark.django_db


def test_a_project_begins_under_version_0() -> None:
    policy = current_policy(project_id=make_project().pk)
    assert (policy.version, policy.required) == (0, [])
    assert policy.pk is None


def test_each_change_is_a_new_version_and_audited() -> None:
    project = make_project()
    require(project, "test")
    require(project, "test", "lint", reason="lint is quiet now")
    assert current_policy(project_id=project.pk).version == 2
    entry = AuditEntry.objects.filter(action="policy.change").order_by("-number")[0]
    assert (entry.subject, entry.reason) == ("policy:2", "lint is quiet now")


def test_policies_of_two_projects_count_apart() -> None:
    one, two = make_project(), make_project()
    require(one, "test")
    assert require(two, "lint").version == 1


def test_only_an_admin_changes_a_policy() -> None:
    project = make_project()
    for role in (Role.VIEWER, Role.REVIEWER, Role.CURATOR):
        with pytest.raises(Forbidden):
            change_policy(
                project_id=project.pk, actor=make_person(project, role), required=["test"]
            )
    with pytest.raises(NotFound):
        change_policy(
            project_id=project.pk, actor=make_person(make_project(), Role.ADMIN), required=[]
        )
    admin = make_person(project, Role.ADMIN)
    with pytest.raises(PolicyReasonMissing):
        change_policy(project_id=project.pk, actor=admin, required=["test"])
    changed = change_policy(project_id=project.pk, actor=admin, required=["test"], reason="tests")
    assert changed.version == 1


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"required": ["oracle"]}, "/required/0/grader"),
        ({"required": ["test", {"suite": None}]}, "/required/1/grader"),
        ({"required": ["test", "test"]}, "/required/1"),
        ({"required": [{"grader": "test", "suite": SUITE}]}, "/required/0/suite"),
        ({"required": [{"grader": "test", "suite": 7}]}, "/required/0/suite"),
        ({"required": [], "advisory_window": 0}, "/advisory_window"),
        ({"required": [], "limits": {"window": 1}}, "/limits/window"),
        ({"required": [], "limits": {"window": True}}, "/limits/window"),
        ({"required": [], "limits": {"reruns": 2.5}}, "/limits/reruns"),
        ({"required": [], "limits": {"cycle": "3"}}, "/limits/cycle"),
        ({"required": [], "limits": {"epsilon": float("nan")}}, "/limits/epsilon"),
        ({"required": [], "limits": {"flat": 0}}, "/limits/flat"),
        ({"required": [], "limits": {"ladder": []}}, "/limits/ladder"),
        ({"required": [], "limits": {"ladder": "opus"}}, "/limits/ladder"),
        ({"required": [], "limits": {"ladder": ["a", " "]}}, "/limits/ladder/1"),
        ({"required": [], "limits": {"ladder": ["a", "A"]}}, "/limits/ladder"),
        ({"required": [], "limits": {"families": ["gpt"]}}, "/limits/families"),
        ({"required": [], "limits": {"families": {" ": ["gpt"]}}}, "/limits/families"),
        ({"required": [], "limits": {"families": {"a/b": []}}}, "/limits/families/a~1b"),
        ({"required": [], "limits": {"families": {"a": ["b", ""]}}}, "/limits/families/a/1"),
        ({"required": [], "limits": {"families": {"a": ["b"], "A": ["c"]}}}, "/limits/families"),
        ({"required": [], "limits": {"patience": 3}}, "/limits"),
    ],
)
def test_a_bad_policy_is_refused_with_a_pointer(wrong: dict[str, Any], pointer: str) -> None:
    project = make_project()
    with pytest.raises(BadPolicy) as refused:
        change_policy(project_id=project.pk, actor=SYSTEM, **wrong)
    assert refused.value.pointer == pointer
    assert current_policy(project_id=project.pk).version == 0


def test_a_policy_may_name_a_frozen_suite() -> None:
    project = make_project()
    freeze_suite(project_id=project.pk, actor=SYSTEM, grader="test", name="unit", digest=SUITE)
    named = {"grader": "test", "suite": SUITE}
    policy = change_policy(project_id=project.pk, actor=SYSTEM, required=[named])
    assert policy.required == [named]
    with pytest.raises(BadPolicy):
        change_policy(
            project_id=project.pk, actor=SYSTEM, required=[{"grader": "lint", "suite": SUITE}]
        )

import pytest

from branches.domain.terms import Status
from branches.models import Approval, Branch, Event, Run, Triplet
from tests.sound import faults_of
from verdicts.admission import read_gate
from verdicts.models import Comparison
from verel_site.audit.models import AuditEntry
from verel_site.demo.load import load_demo

pytestmark = pytest.mark.django_db


def test_the_demo_has_a_branch_in_every_status_and_something_to_decide() -> None:
    project = load_demo()
    statuses = set(Branch.objects.filter(project=project).values_list("status", flat=True))
    assert statuses == {status.value for status in Status}
    assert Approval.objects.filter(project=project, answered_at=None).count() == 1
    assert Comparison.objects.filter(project=project).exists()
    assert Triplet.objects.filter(project=project).count() == 1
    assert faults_of(project.pk) == []


def test_the_shortcut_is_shut_out_and_the_fork_is_let_in() -> None:
    load_demo()
    better = Branch.objects.get(name="No test edits")
    assert better.parent is not None
    assert read_gate(better).open
    shut = read_gate(better.parent)
    assert not shut.open
    assert any("tests/test_clamp.py" in text for text in shut.texts)


def test_loading_twice_changes_nothing() -> None:
    load_demo()
    before = [model.objects.count() for model in (Run, Branch, Event, AuditEntry)]
    load_demo()
    assert [model.objects.count() for model in (Run, Branch, Event, AuditEntry)] == before

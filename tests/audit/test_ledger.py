import pytest
from django.db import connection

from tests.make import make_project
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.audit.ledger import find_faults, record_act
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = make_project()
    for number in range(4):
        record_act(project_id=project.pk, actor=SYSTEM, action="test", subject=f"s:{number}")
    return project


def test_numbers_are_gapless_and_the_chain_is_whole(project: Project) -> None:
    numbers = AuditEntry.objects.filter(project=project).values_list("number", flat=True)
    assert sorted(numbers) == [1, 2, 3, 4]
    assert find_faults(project_id=project.pk) == []


def test_a_changed_byte_is_found_and_named(project: Project) -> None:
    entry = AuditEntry.objects.get(project=project, number=2)
    AuditEntry.objects.filter(pk=entry.pk).update(body=bytes(entry.body).replace(b"s:1", b"s:9"))
    assert "audit entry 2 does not match its seal" in find_faults(project_id=project.pk)


def test_a_missing_entry_is_found_and_named(project: Project) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_auditentry WHERE number = 3")
    assert "audit entry 3 is missing" in find_faults(project_id=project.pk)

import pytest

from tests.make import make_project
from tests.sound import faults_of
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.audit.ledger import record_act
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
    assert faults_of(project.pk) == []

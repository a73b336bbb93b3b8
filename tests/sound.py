"""What `manage.py verify` would say, as values."""

from collections import Counter
from uuid import UUID

from verel_site.kit.faults import Fault
from verel_site.soundness import find_faults


def faults_of(project_id: UUID) -> list[Fault]:
    """Every fault of a project's stored rows."""
    return list(find_faults(project_id=project_id, counts=Counter()))

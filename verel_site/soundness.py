"""Every check of a project's stored rows, one app after the other."""

from collections import Counter
from collections.abc import Iterator, Sequence
from uuid import UUID

import branches.soundness
import verdicts.soundness
import verel_site.audit.soundness
import verel_site.outbox.soundness
from branches.domain.chains import Mark
from verel_site.kit.faults import Fault


def find_faults(
    *, project_id: UUID, counts: Counter[str], marks: Sequence[Mark] = ()
) -> Iterator[Fault]:
    """The faults in the order in which they are found; `counts` is told what was looked at, and
    `marks`, ascending, every branch's head as of their positions."""
    yield from branches.soundness.find_faults(project_id=project_id, counts=counts, marks=marks)
    yield from verdicts.soundness.find_faults(project_id=project_id, counts=counts)
    yield from verel_site.outbox.soundness.find_faults(project_id=project_id, counts=counts)
    yield from verel_site.audit.soundness.find_faults(project_id=project_id, counts=counts)

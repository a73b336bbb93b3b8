"""Whether what a project has stored still is what was written: its branches, merges, datasets.

Nothing here writes. Rows are read in streams, run by run, each run as of one moment, so that
memory does not grow with what is stored, and a live database gives no false alarm.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from uuid import UUID

from branches.domain.chains import Mark
from branches.soundness.acts import check_acts, check_approvals
from branches.soundness.merges import check_merges, check_triplets
from branches.soundness.runs import check_runs
from branches.soundness.stores import check_blobs, check_datasets
from verel_site.kit.faults import Fault
from verel_site.kit.snapshots import one_moment


def find_faults(
    *, project_id: UUID, counts: Counter[str], marks: Sequence[Mark] = ()
) -> Iterator[Fault]:
    """Every fault of a project; `counts` is told how many rows of each kind were looked at.

    `marks`, ascending, are told every branch's head as of their positions.
    """
    yield from check_runs(project_id, counts, marks)
    for check in (
        check_merges, check_triplets, check_approvals, check_acts, check_datasets, check_blobs,
    ):  # fmt: skip
        with one_moment():
            yield from check(project_id, counts)

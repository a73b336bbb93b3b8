"""A step's whole payload for one who judges: found by its seal, so that no address names an event."""

from typing import Final
from uuid import UUID

from django.utils.crypto import constant_time_compare

from branches.domain.terms import OVERRIDE
from branches.querysets import read_lineage_rows
from branches.selectors.compare import Cut, read_parting
from branches.selectors.events import read_event
from branches.storage.payloads import payload_bytes
from verdicts.sealing import seal_step
from verdicts.selectors import read_comparison
from verel_site.access.actors import Actor
from verel_site.kit.refusals import NotFound

_COLUMNS: Final = ("e.event_id", "e.type")


def read_sealed_payload(*, actor: Actor, comparison_id: UUID, seal: str) -> bytes:
    """Raises NotFound for what is no step of this reviewer's pair, or an override."""
    comparison = read_comparison(actor=actor, comparison_id=comparison_id)
    cuts = (
        Cut(comparison.first, comparison.first_seq),
        Cut(comparison.second, comparison.second_seq),
    )
    after = read_parting(*cuts).point.step
    for cut in cuts:
        rows = read_lineage_rows(cut.branch, upto=cut.upto, after_step=after, columns=_COLUMNS)
        for _, told, kind in rows:
            event = UUID(str(told))
            ours = seal_step(comparison=comparison.pk, reviewer=actor.user_id or 0, event=event)
            if kind != OVERRIDE and constant_time_compare(ours, seal):
                return payload_bytes(read_event(actor=actor, event_id=event))
    raise NotFound("There is no such step in this pair.")

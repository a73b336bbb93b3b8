"""Training a compression dictionary on stored events, and telling what it would save.

A dictionary holds pieces of what it was trained on, in the clear: train one that leaves this
installation on events that may leave it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import zstandard

from branches.models import Event
from branches.storage.codec import LEVEL, NEWEST, shipped_dictionary
from branches.storage.payloads import BOUND_COLUMNS, payload_bytes
from verel_site.kit.refusals import Refusal

DICTIONARY_BYTES: Final = 16 * 1024
SAMPLES: Final = 8000
MIN_SAMPLES: Final = 100
# One sample in so many is kept out of the training, to measure with.
HELD_OUT: Final = 10
BATCH: Final = 1000


class TooFewEvents(Refusal):
    code = "too_few_events"
    title = "There is too little to train on"


@dataclass(frozen=True)
class Trained:
    """Stored bytes by payload byte, over samples that were not trained on: by zstd alone, with the
    dictionary that is in use, and with this one."""

    data: bytes
    samples: int
    alone: float
    present: float
    trained: float


def read_samples(project_id: UUID, *, limit: int = SAMPLES) -> list[bytes]:
    """Payloads spread evenly over a project's events, by position; the same for the same events."""
    rows = Event.objects.filter(project_id=project_id).order_by("position")
    positions = list(rows.values_list("position", flat=True))
    step = max(1, -(-len(positions) // limit))
    chosen = positions[::step]
    payloads: list[bytes] = []
    for start in range(0, len(chosen), BATCH):
        some = rows.filter(position__in=chosen[start : start + BATCH]).only(*BOUND_COLUMNS)
        payloads += [payload_bytes(row) for row in some]
    return payloads


def train_dictionary(
    samples: Sequence[bytes], *, dictionary_id: int, size: int = DICTIONARY_BYTES
) -> Trained:
    """The same samples give the same dictionary. Raises TooFewEvents."""
    held = list(samples[::HELD_OUT])
    kept: list[bytes | bytearray | memoryview[int]] = [
        sample for number, sample in enumerate(samples) if number % HELD_OUT
    ]
    if len(kept) < MIN_SAMPLES:
        raise TooFewEvents(f"{len(samples)} events; {MIN_SAMPLES} and a tenth more are needed.")
    try:
        made = zstandard.train_dictionary(size, kept, dict_id=dictionary_id, level=LEVEL, threads=1)
    except zstandard.ZstdError as error:
        raise TooFewEvents(f"They do not make a dictionary of {size} bytes: {error}.") from error
    return Trained(
        data=made.as_bytes(),
        samples=len(kept),
        alone=_ratio(held, None),
        present=_ratio(held, shipped_dictionary(NEWEST)),
        trained=_ratio(held, made),
    )


def _ratio(samples: Sequence[bytes], dictionary: zstandard.ZstdCompressionDict | None) -> float:
    compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary)
    # What compression does not make shorter is stored as it is.
    stored = sum(min(len(compressor.compress(sample)), len(sample)) for sample in samples)
    return stored / max(1, sum(map(len, samples)))

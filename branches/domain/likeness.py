"""Prompts that repeat or resemble an earlier one, found in one pass with bounded cost.

A prompt's text is cut into shingles of SHINGLE_WORDS words; each is hashed once, and the lowest
hash in each of BINS classes is kept (one permutation MinHash; Li, Owen, Zhang 2012). The share of
classes in which two prompts agree estimates the Jaccard similarity of their shingles, with a
standard error of 0.05 at 0.8. Candidates share a band of BAND classes (locality-sensitive
hashing): of pairs that are 0.8 alike, 999 in 1,000 are compared.

System messages are left out: they are the same for every run of an agent and would make all
prompts alike. Time is linear in the text, of which the first and last HALF_TEXT characters count;
memory is bounded: MAX_EXACT prompts are remembered by digest and MAX_NEAR by their classes, the
oldest forgotten first, and PER_BAND of those that agree in one band, which stand for the others.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from branches.domain.formats.pair import calls_in
from branches.domain.wire import Json

SHINGLE_WORDS: Final = 4
BINS: Final = 64
BAND: Final = 4
NEAR: Final = 0.8
HALF_TEXT: Final = 100_000
MAX_EXACT: Final = 200_000
MAX_NEAR: Final = 20_000
PER_BAND: Final = 16
_EMPTY: Final = -1

type Signature = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Likeness:
    """An earlier prompt that is the same (`similarity` 1.0, `exact`) or nearly so, and whether
    one of the two is held out and the other is not."""

    number: int
    similarity: float
    exact: bool
    across: bool

    def as_json(self) -> Json:
        return {
            "same_prompt_as" if self.exact else "near_prompt_of": self.number,
            "similarity": round(self.similarity, 3),
            "across_splits": self.across,
        }


@dataclass(frozen=True, slots=True)
class _Seen:
    number: int
    held_out: bool
    signature: Signature


class Prompts:
    """The prompts seen so far. `see` tells the most alike of them, and remembers the new one."""

    def __init__(self, *, max_exact: int = MAX_EXACT, max_near: int = MAX_NEAR) -> None:
        self.forgot = False
        self._max_exact, self._max_near = max_exact, max_near
        self._exact: OrderedDict[str, tuple[int, bool]] = OrderedDict()
        self._near: OrderedDict[int, _Seen] = OrderedDict()
        self._bands: dict[tuple[int, Signature], list[int]] = {}

    def see(
        self, prompt: Sequence[Json], *, digest: str, number: int, held_out: bool
    ) -> Likeness | None:
        """`digest` names the prompt's exact content, `number` its triplet. Across a split, a
        prompt of the other side is told before one of its own."""
        same = self._exact.get(digest)
        if same is not None:
            return Likeness(same[0], 1.0, True, same[1] != held_out)
        seen = _Seen(number, held_out, sign(_text(prompt)))
        found = max(self._alike(seen), key=_weight, default=None)
        self._remember(digest, seen)
        return found

    def _alike(self, new: _Seen) -> Iterator[Likeness]:
        candidates = {
            number for band in _bands(new.signature) for number in self._bands.get(band, ())
        }
        for number in sorted(candidates):
            old = self._near[number]
            similarity = _similarity(old.signature, new.signature)
            if similarity >= NEAR:
                yield Likeness(number, similarity, False, old.held_out != new.held_out)

    def _remember(self, digest: str, seen: _Seen) -> None:
        self._exact[digest] = (seen.number, seen.held_out)
        self._near[seen.number] = seen
        for band in _bands(seen.signature):
            alike = self._bands.setdefault(band, [])
            if len(alike) < PER_BAND:
                alike.append(seen.number)
        if len(self._exact) > self._max_exact:
            self._exact.popitem(last=False)
            self.forgot = True
        if len(self._near) > self._max_near:
            self._forget(self._near.popitem(last=False)[1])

    def _forget(self, seen: _Seen) -> None:
        self.forgot = True
        for band in _bands(seen.signature):
            alike = self._bands[band]
            if seen.number in alike:
                alike.remove(seen.number)
            if not alike:
                del self._bands[band]


def _weight(likeness: Likeness) -> tuple[bool, float]:
    return likeness.across, likeness.similarity


def sign(text: str) -> Signature:
    """The lowest hash of the text's shingles in each class."""
    lowest = [_EMPTY] * BINS
    for shingle in _shingles(text):
        value = int.from_bytes(
            blake2b(shingle.encode(errors="surrogatepass"), digest_size=8).digest()
        )
        place, value = value % BINS, value // BINS
        if lowest[place] == _EMPTY or value < lowest[place]:
            lowest[place] = value
    return tuple(lowest)


def _shingles(text: str) -> Iterator[str]:
    if len(text) > 2 * HALF_TEXT:
        text = f"{text[:HALF_TEXT]} {text[-HALF_TEXT:]}"
    words = text.casefold().split()
    for start in range(max(1, len(words) - SHINGLE_WORDS + 1)):
        yield " ".join(words[start : start + SHINGLE_WORDS])


def _similarity(left: Signature, right: Signature) -> float:
    """Over the classes that either filled: a class empty in both says nothing."""
    told = [(a, b) for a, b in zip(left, right, strict=True) if a != _EMPTY or b != _EMPTY]
    return sum(a == b for a, b in told) / len(told) if told else 1.0


def _bands(signature: Signature) -> Iterator[tuple[int, Signature]]:
    """Bands with no filled class bring no candidates; short texts leave most classes empty."""
    for start in range(0, BINS, BAND):
        band = signature[start : start + BAND]
        if any(value != _EMPTY for value in band):
            yield start, band


def _text(prompt: Iterable[Json]) -> str:
    return "\n".join(_message_text(message) for message in prompt if message["role"] != "system")


def _message_text(message: Json) -> str:
    calls = [
        f"{call['function']['name']} {call['function']['arguments']}" for call in calls_in(message)
    ]
    return " ".join([message["role"], _content_text(message.get("content")), *calls])


def _content_text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", part["type"])) for part in content)
    return str(content or "")

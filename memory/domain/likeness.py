"""Whether two texts say the same: near-duplicates are support, and never a second record.

Words are compared as sets (Jaccard). Numbers, negations and names in code must be the same ones:
"45 mg" and "50 mg" are near each other as texts and say opposite things, so they stay apart.
"""

import hashlib
import math
import re
import unicodedata
from typing import Final

from memory.domain.readings import strip_hidden

NEAR: Final = 0.8
# A value of so many words is compared like a sentence; a shorter one is a name or a quantity.
SENTENCE: Final = 4
# Between a number and its unit a space is a matter of taste.
_LOOSE: Final = re.compile(r"(?<=\d) (?=\D)|(?<=\D) (?=\d)")
_AROUND: Final = " \"'`()[]{}\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
_BEHIND: Final = ".,;:!?"
_WORD: Final = re.compile(r"[/~.#$\-]?[^\W_]+(?:[._/\-:][^\W_]+)*|_+\w*")
_NUMBER: Final = re.compile(r"\d")
# fmt: off
_NEGATIONS: Final = frozenset({
    "no", "not", "never", "without", "none", "nor", "cannot", "can't", "don't", "won't", "isn't",
    "aren't", "doesn't", "mustn't", "shouldn't", "unless", "except", "neither", "nothing",
})
_LITTLE: Final = frozenset({
    "a", "an", "the", "is", "are", "was", "were", "be", "been", "to", "of", "for", "in", "on",
    "at", "by", "and", "or", "it", "its", "this", "that", "with", "as",
})
# fmt: on


def words_of(text: str) -> frozenset[str]:
    """The words that carry meaning, folded; plural s and little words do not count."""
    folded = (
        unicodedata.normalize("NFKC", text)
        .casefold()
        .replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    )
    told = {_stem(word) for word in _WORD.findall(folded)} - _LITTLE
    return frozenset(told | {word for word in folded.split() if word in _NEGATIONS})


def _stem(word: str) -> str:
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural and word not in _NEGATIONS else word


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: shared words by all words; two empty texts are the same."""
    shared = len(one & other)
    union = len(one) + len(other) - shared
    return shared / union if union else 1.0


def says_the_same(one: str, other: str) -> bool:
    left, right = words_of(one), words_of(other)
    return decisive(left) == decisive(right) and similarity(left, right) >= NEAR


def same_value(one: str, other: str) -> bool:
    """Whether two objects are one value: case, spaces, marks around it and characters that nobody
    sees do not count, nor does the wording of one that is a sentence."""
    left, right = bare(one), bare(other)
    told = min(len(words_of(left)), len(words_of(right)))
    return left == right or (told >= SENTENCE and says_the_same(left, right))


def bare(text: str) -> str:
    """A value without what may be written either way: "45 mg", "45mg" and "'45 MG'." are one."""
    folded = strip_hidden(unicodedata.normalize("NFKC", text)).casefold()
    return _LOOSE.sub("", " ".join(folded.split())).strip(_AROUND).rstrip(_BEHIND).strip(_AROUND)


def signs_of(text: str, *, about: tuple[str, ...] = ()) -> frozenset[str]:
    """Two texts that say the same share a sign, so that near-duplicates are found by equality.

    Of two sets that are NEAR alike, the first words in any common order overlap: it is enough to
    keep |words| − ⌈NEAR·|words|⌉ + 1 of them (prefix filtering). Long words come first, since they
    are rarer. What must be equal anyway goes into every sign: `about`, folded, and what is decisive.
    """
    words = words_of(text)
    must = "\n".join(
        [*(" ".join(part.casefold().split()) for part in about), *sorted(decisive(words))]
    )
    order = sorted(words, key=lambda word: (-len(word), word))
    kept = order[: len(words) - math.ceil(NEAR * len(words)) + 1] or [""]
    return frozenset(
        hashlib.sha256(f"{must}\0{word}".encode(errors="replace")).hexdigest()[:32] for word in kept
    )


def decisive(words: frozenset[str]) -> frozenset[str]:
    """The words of which one alone turns a statement: numbers, negations, names in code."""
    return frozenset(
        word
        for word in words
        if word in _NEGATIONS
        or _NUMBER.search(word)
        or word[0] == "-"
        or any(sign in word for sign in "._/:~#$")
    )

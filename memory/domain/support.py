"""How far the words of one text support another: a score that any machine gives alike.

It is the share of the hypothesis's words that one sentence of the premise holds. Words show what is
spoken of, not what is said about it; therefore a sentence of other negations, or one that lacks a
number or a name of the hypothesis, supports nothing, and scores below what is kept.
"""

import re
from typing import Final

from memory.domain.likeness import decisive, words_of

MAX_SENTENCES: Final = 64
# Beneath `entailment.LEAST_ENTAILMENT`, whatever else agrees.
MISSED: Final = 0.3
_ENDS: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_DETAIL: Final = re.compile(r"\d|[._/:~#$-]")


def sentences_of(text: str) -> list[str]:
    return [part.strip() for part in _ENDS.split(text) if part.strip()]


def may_support(sentence: str, hypothesis: str) -> bool:
    """Whether the sentence has the same negations, and every number and name of the hypothesis."""
    there, wanted = decisive(words_of(sentence)), decisive(words_of(hypothesis))
    negated = {word for word in wanted ^ there if not _DETAIL.search(word)}
    return wanted <= there and not negated


def overlap(premise: str, hypothesis: str) -> float:
    """From 0 to 1; the best of the premise's first MAX_SENTENCES sentences counts."""
    wanted = words_of(hypothesis)
    if not wanted:
        return 0.0
    best = 0.0
    for sentence in sentences_of(premise)[:MAX_SENTENCES]:
        share = len(wanted & words_of(sentence)) / len(wanted)
        best = max(best, share if may_support(sentence, hypothesis) else min(share, MISSED))
    return best

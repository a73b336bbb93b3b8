"""Who says how far a premise supports a hypothesis. VEREL_ENTAILMENT chooses; none decides alone."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from memory.domain.support import MAX_SENTENCES, MISSED, may_support, overlap, sentences_of
from memory.ports.embedders import Embedder, current_embedder
from memory.ports.judge import Judge
from memory.ports.openai import OpenAIServer

SCORERS: Final = ("lexical", "embedding", "judge", "pushed")


class Scorer(Protocol):
    @property
    def name(self) -> str: ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """A number from 0 to 1 for each (premise, hypothesis). Raises PortFailed."""
        ...


class Lexical:
    """Shared words, and nothing more: the same on every machine, and no understanding."""

    name = "lexical"

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [overlap(premise, hypothesis) for premise, hypothesis in pairs]


class Embedded:
    """The cosine of the nearest sentence. Nearness is not support: "45 mg" and "50 mg" lie close,
    so a sentence of other numbers, negations or names counts for little, however near it is."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name = f"embedding:{embedder.name}"[:80]

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [self._score(premise, hypothesis) for premise, hypothesis in pairs]

    def _score(self, premise: str, hypothesis: str) -> float:
        told = sentences_of(premise)[:MAX_SENTENCES]
        if not told or not hypothesis.strip():
            return 0.0
        rows = self._embedder.embed([hypothesis, *told])
        best = 0.0
        for sentence, cosine in zip(told, rows[1:] @ rows[0], strict=True):
            value = min(1.0, max(0.0, float(cosine)))
            best = max(best, value if may_support(sentence, hypothesis) else min(value, MISSED))
        return best


class Unscored:
    """What nobody scored is not supported."""

    name = "unscored"

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [0.0] * len(pairs)


def current_scorer() -> Scorer:
    """Raises ImproperlyConfigured where the chosen one lacks what it takes."""
    match settings.VEREL_ENTAILMENT:
        case "lexical":
            return Lexical()
        case "embedding":
            embedder = current_embedder()
            if embedder is None:
                raise ImproperlyConfigured(
                    "VEREL_ENTAILMENT=embedding takes an embedder: set VEREL_EMBEDDER to local "
                    "(with the extra `ml`) or openai."
                )
            return Embedded(embedder)
        case "judge":
            url, model = settings.VEREL_JUDGE_URL, settings.VEREL_JUDGE_MODEL
            if not url or not model:
                raise ImproperlyConfigured(
                    "VEREL_ENTAILMENT=judge takes VEREL_JUDGE_URL and VEREL_JUDGE_MODEL."
                )
            return _judge(url, model, settings.VEREL_JUDGE_KEY)
        case _:
            return Unscored()


@lru_cache(maxsize=2)
def _judge(url: str, model: str, key: str) -> Judge:
    return Judge(OpenAIServer(base_url=url, api_key=key), model)

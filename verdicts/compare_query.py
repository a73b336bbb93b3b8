"""How a reader asks for a pair, and what they have filled in and not yet given."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

from django.http import QueryDict

from branches.domain.terms import Granularity
from branches.selectors.compare import Mode
from verdicts.domain.rubric import RUBRIC

CHUNK: Final = 200
MAX_ROWS: Final = 5_000
MODES: Final[Mapping[Mode, str]] = {"read": "Read", "diff": "Diff", "final": "Final only"}

# A score is relative to the sides as the reviewer saw them: A better, equal, B better.
SCORES: Final = {"a": -1, "equal": 0, "b": 1}
SWAPPED: Final = {"left": "right", "right": "left", "a": "b", "b": "a"}


@dataclass(frozen=True, slots=True)
class CompareQuery:
    """How the reader wants to see the pair; unknown values fall back to the first choice."""

    mode: Mode = "read"
    rows: int = CHUNK
    shared: bool = False
    granularity: Granularity = Granularity.DECISION

    @classmethod
    def read(cls, query: QueryDict) -> "CompareQuery":
        named = query.get("mode")
        mode: Mode = next((mode for mode in MODES if mode == named), "read")
        rows = query.get("rows", "")
        asked = int(rows) if rows.isdecimal() and len(rows) < 7 else CHUNK
        grain = query.get("granularity")
        return cls(
            mode=mode,
            rows=min(max(asked, CHUNK), MAX_ROWS),
            shared=query.get("shared") == "1",
            granularity=next((g for g in Granularity if g == grain), Granularity.DECISION),
        )

    def href(self, base: str) -> str:
        """The address of this view, without what is the default."""
        pairs = {
            "mode": self.mode if self.mode != "read" else "",
            "rows": self.rows if self.rows != CHUNK else "",
            "shared": "1" if self.shared else "",
            "granularity": self.granularity.value
            if self.granularity != Granularity.DECISION
            else "",
        }
        given = {name: value for name, value in pairs.items() if value}
        return f"{base}?{urlencode(given)}" if given else base


@dataclass(frozen=True, slots=True)
class Draft:
    """What the reviewer has filled in and not yet given."""

    choice: str = ""
    scores: Mapping[str, str] = field(default_factory=dict)
    rationale: str = ""
    note: str = ""
    bypass_reason: str = ""
    strength: str = ""
    corrected: str = ""
    corrected_of: str = ""

    @classmethod
    def read(cls, form: QueryDict) -> "Draft":
        return cls(
            choice=form.get("choice", ""),
            scores={
                name: score
                for name, _, _ in RUBRIC
                if (score := str(form.get(f"score-{name}", ""))) in SCORES
            },
            rationale=form.get("rationale", ""),
            note=form.get("note", ""),
            bypass_reason=form.get("bypass_reason", ""),
            strength=form.get("strength", ""),
            corrected=form.get("corrected", ""),
            corrected_of=form.get("corrected_of", ""),
        )

    def numbers(self) -> dict[str, int]:
        return {name: SCORES[score] for name, score in self.scores.items()}

    def swapped(self) -> "Draft":
        """The same judgement with the sides changed over."""
        return replace(
            self,
            choice=SWAPPED.get(self.choice, self.choice),
            scores={name: SWAPPED.get(score, score) for name, score in self.scores.items()},
            corrected_of=SWAPPED.get(self.corrected_of, self.corrected_of),
        )

"""Preference data as trainers load it: one module a format, each from one triplet to its rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from branches.domain.formats import (
    axolotl_messages,
    llamafactory_sharegpt,
    openai_preference,
    trl_dpo,
    trl_kto,
)
from branches.domain.formats.pair import Pair
from branches.domain.wire import Json


@dataclass(frozen=True, slots=True)
class Format:
    """`rows` gives a triplet's rows, or raises Unfit with the reason. `array` says that a file is
    one JSON array, and not JSON lines. `loading` are lines for the card: how a trainer reads it.
    """

    key: str
    title: str
    rows: Callable[[Pair], list[Json]]
    loading: str
    array: bool = False

    @property
    def ending(self) -> Literal["json", "jsonl"]:
        return "json" if self.array else "jsonl"


_ALL: Final = (
    Format("trl", "TRL, DPO", trl_dpo.rows, trl_dpo.LOADING),
    Format("kto", "TRL, KTO", trl_kto.rows, trl_kto.LOADING),
    Format("openai", "OpenAI preference", openai_preference.rows, openai_preference.LOADING),
    Format("axolotl", "Axolotl", axolotl_messages.rows, axolotl_messages.LOADING),
    Format(
        "llamafactory",
        "LLaMA-Factory",
        llamafactory_sharegpt.rows,
        llamafactory_sharegpt.LOADING,
        array=True,
    ),
)

FORMATS: Final[Mapping[str, Format]] = {format.key: format for format in _ALL}

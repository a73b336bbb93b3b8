"""What makes a proposed record suspicious: it is held for a person, and never counts by itself.

Screening is a tripwire, not a proof: what passes is still unverified, and enters no context
before independent runs or a person vouch for it.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_GAP: Final = r"\W{1,4}(?:\w+\W{1,4}){0,4}?"
_COMMANDS: Final = tuple(
    (name, re.compile(pattern.replace("~", _GAP), re.IGNORECASE))
    for name, pattern in (
        (
            "tells the reader to drop its instructions",
            r"\b(?:ignore|disregard|forget|override|bypass)~(?:instructions?|rules?|prompts?"
            r"|guidelines|policy|policies|above|previous|prior)\b",
        ),
        (
            "speaks as the system or as another role",
            r"(?:<\|?/?(?:im_start|im_end|system|assistant|user|tool)\b|\[/?INST\]"
            r"|^\s*(?:system|assistant|developer)\s*:)",
        ),
        ("gives the reader a new role", r"\byou are (?:now|no longer|from now on)\b"),
        (
            "asks for silence or for secrets",
            r"\b(?:do not|don't|never)~(?:tell|mention|reveal|report)~(?:user|reviewer|anyone"
            r"|human|person)\b|\b(?:reveal|print|send|leak|exfiltrate)~(?:system prompt|secrets?"
            r"|api keys?|passwords?|tokens?|credentials?)\b",
        ),
        (
            "claims that a grader or a person approved it",
            r"\b(?:mark|treat|consider)~(?:as )?(?:verified|approved|trusted|passed)\b",
        ),
    )
)
# Characters that no reader sees, or that turn the order of what is seen.
_HIDDEN: Final = frozenset({"Cf", "Cc", "Co", "Cs"})
_PLAIN_CONTROLS: Final = frozenset("\n\t\r\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why a record is held: a stable code, and a sentence for the person who looks."""

    code: str
    says: str


def screen(texts: Iterable[str], *, canaries: Iterable[str] = ()) -> tuple[Suspicion, ...]:
    """What is suspicious about a record's texts; `canaries` stand nowhere but in secret cases."""
    whole = "\n".join(texts)
    folded = strip_hidden(unicodedata.normalize("NFKC", whole))
    found = [
        Suspicion("instruction", f"It {name}.") for name, sign in _COMMANDS if _hit(sign, folded)
    ]
    compact = re.sub(r"\s+", "", folded).casefold()
    if any(token.casefold() in compact for token in canaries if token):
        found.append(Suspicion("canary", "It holds a token that only a secret case holds."))
    if any(_is_hidden(c) for c in whole):
        found.append(Suspicion("hidden", "It holds characters that no reader sees."))
    return tuple(found)


def _hit(sign: re.Pattern[str], text: str) -> bool:
    return any(sign.search(line) for line in (*text.splitlines(), " ".join(text.split())))


def strip_hidden(text: str) -> str:
    """The text as its reader sees it."""
    return "".join(char for char in text if not _is_hidden(char))


def _is_hidden(char: str) -> bool:
    return char not in _PLAIN_CONTROLS and unicodedata.category(char) in _HIDDEN

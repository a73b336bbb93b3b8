"""What a check of stored rows finds wrong."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, as a person is told it.

    `kind` is stable and what a script may switch on; `row` names the row in words, with the id
    under which the database keeps it; `detail` is one sentence.
    """

    kind: str
    row: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "row": self.row, "detail": self.detail}

    def __str__(self) -> str:
        return f"{self.kind}: {self.row}: {self.detail}"

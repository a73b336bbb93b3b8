"""What a merge is let in by: the gate's word on one branch head, as `branches` may know it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Admission:
    """Made by the verdict bus for one head; `branches.merges` takes it and never makes one.

    `open` is the gate's word alone. `bypass_reason` is set only where a person with the right to
    do so went past a shut gate, and then it is kept for ever on the merge and its triplets.
    `judgements` are reviewers' labels that chose the branch, each over the one it was compared with.
    `correction` says whose correction the branch is, if it is one.
    """

    branch: UUID
    head_digest: bytes
    verdict: str
    open: bool
    policy_version: int
    reasons: tuple[str, ...] = ()
    bypass_reason: str | None = None
    reports: tuple[dict[str, Any], ...] = ()
    judgements: tuple[dict[str, Any], ...] = ()
    correction: dict[str, Any] | None = None

    @property
    def admits(self) -> bool:
        return self.open or bool(self.bypass_reason)

    def as_json(self) -> dict[str, Any]:
        return {
            "branch": str(self.branch),
            "head_digest": self.head_digest.hex(),
            "verdict": self.verdict,
            "open": self.open,
            "policy_version": self.policy_version,
            "reasons": list(self.reasons),
            "bypass_reason": self.bypass_reason,
            "reports": list(self.reports),
            "judgements": list(self.judgements),
            **({"correction": self.correction} if self.correction else {}),
        }

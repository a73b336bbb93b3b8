"""What a grader printed, as values: the shape that every format is read into.

All text in a grader's output is hostile: it quotes pages, tests and messages that an agent wrote.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from verdicts.domain.terms import GATING_SEVERITY, Confidence, Grader, IssueKind, Severity, Verdict
from verel_site.kit.refusals import BadInput, Unprocessable

MAX_KEPT: Final = 4_999
MAX_TEXT: Final = 4_000
MAX_PLACE: Final = 1_000
MAX_WORD: Final = 120
MAX_ELAPSED_MS: Final = 2**53
# Colours and window titles. `#x1B` is how pytest writes ESC where XML can not hold it.
_ANSI: Final = re.compile(
    r"(?:\x1b|#x1B)\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]"
)
# Controls, surrogates, and the marks that make text read in another order than it is written.
_UNSHOWN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class MalformedOutput(BadInput):
    code = "malformed_output"
    title = "This is not well-formed"


class UnreadableOutput(Unprocessable):
    code = "unreadable_output"
    title = "This is not what the format says"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the importer says beside the output itself.

    `root`: the directory that absolute paths are made relative to. `tool`: a name in place of the
    one in the output; two shards of one suite need two. `grader`: for formats that do not say
    which kind of grader spoke. `senses`: those that AgentVision ran, where it does not say.
    `covers`: files and folders that the tool was pointed at, for output that does not name them.
    """

    root: str = ""
    tool: str = ""
    grader: Grader | None = None
    senses: tuple[Grader, ...] = ()
    covers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrintedIssue:
    """One finding. `locator` never holds a line number that identity would hang on."""

    kind: IssueKind
    severity: Severity
    message: str
    locator: str = ""
    locator_precise: bool = False
    confidence: Confidence = Confidence.HIGH
    source: Grader | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "kind": self.kind.value,
            "severity": self.severity.value,
            "message": self.message,
            "locator": self.locator,
            "locator_precise": self.locator_precise,
            "confidence": self.confidence.value,
            "detail": self.detail,
        }
        return told if self.source is None else told | {"source": self.source.value}


@dataclass(frozen=True, slots=True)
class PrintedReport:
    """What one tool says. `cost_usd` and `elapsed_ms` are None where it does not say.

    `ran` names the tests that reached a verdict, `files` what was read or looked through; None
    where the output does not list them.
    """

    grader: Grader
    tool: str
    summary: str
    issues: Sequence[PrintedIssue] = ()
    verdict: Verdict | None = None
    errored: bool = False
    capabilities: tuple[str, ...] = ()
    model: str = ""
    cost_usd: float | None = None
    elapsed_ms: int | None = None
    artifacts: dict[str, str] = field(default_factory=dict)
    trace: dict[str, Any] = field(default_factory=dict)
    ran: frozenset[str] | None = None
    files: frozenset[str] | None = None

    def as_json(self, head_digest: str) -> dict[str, Any]:
        """The body of `POST branches/{b}/reports`."""
        told: dict[str, Any] = {
            "grader": self.grader.value,
            "tool": self.tool,
            "head_digest": head_digest,
            "summary": self.summary,
            "issues": [issue.as_json() for issue in keep_worst(self.issues, self.grader)],
            "errored": self.errored,
            "capabilities": list(self.capabilities),
            "model": self.model,
            "cost_usd": self.cost_usd,
            "elapsed_ms": self.elapsed_ms,
            "artifacts": self.artifacts,
            "trace": self.trace,
        }
        covered = {"tests": self.ran, "files": self.files}
        named = {name: sorted(told) for name, told in covered.items() if told is not None}
        if named:
            told["covered"] = named
        return told if self.verdict is None else told | {"verdict": self.verdict.value}


@dataclass(frozen=True, slots=True)
class Percept:
    """What a sense perceived. `image` is a reference; `signature` the set that it was told as."""

    sense: str
    viewport: dict[str, Any]
    image: str
    signature: list[list[str]]
    ssim: float | None = None
    changed_ratio: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "sense": self.sense,
            "viewport": self.viewport,
            "image": self.image,
            "signature": self.signature,
            "ssim": self.ssim,
            "changed_ratio": self.changed_ratio,
        }


@dataclass(frozen=True, slots=True)
class Printed:
    """Everything that one body of output says."""

    reports: tuple[PrintedReport, ...]
    percepts: tuple[Percept, ...] = ()


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """The text without terminal control, and cut to its limit; what can not be shown is U+FFFD."""
    if len(text) <= limit and text.isprintable() and "#x1B" not in text:
        return text.strip()
    plain = _ANSI.sub("", text[: 4 * limit]).replace("\r\n", "\n")
    plain = _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", plain).strip()
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def clean_word(text: str | None) -> str:
    """A name on one line."""
    return " ".join(clean(text or "", MAX_WORD).split())


def keep_worst(issues: Sequence[PrintedIssue], grader: Grader) -> list[PrintedIssue]:
    """All, or the worst MAX_KEPT and one issue that names how many more there were.

    That one is as severe as the worst that was left out, so the gate says what it would have said
    of all of them.
    """
    if len(issues) <= MAX_KEPT:
        return list(issues)
    ranked = sorted(issues, key=lambda issue: -issue.severity.rank)
    kept, left = ranked[:MAX_KEPT], ranked[MAX_KEPT:]
    # Behind the sort of Python, which keeps the order of equals: the same output, the same cut.
    more = name_fault(
        grader,
        "truncated",
        f"{len(left)} more findings were printed than are kept",
        severity=left[0].severity,
    )
    return [*kept, more]


def name_fault(
    grader: Grader, name: str, message: str, *, severity: Severity = GATING_SEVERITY, at: str = ""
) -> PrintedIssue:
    """A finding about the output itself: it is hollow, or does not add up."""
    rule = f"verel/{name}"
    return PrintedIssue(
        kind=IssueKind.OTHER,
        severity=severity,
        message=message,
        locator=at,
        detail={"rule_id": rule, "rule_code": rule, "test_id": rule, "cwe": rule},
        source=grader,
    )


def missing(grader: Grader, word: str, told: int, listed: int) -> list[PrintedIssue]:
    """A fault if an output counts more of something than it lists; a list may be cut, or doctored."""
    if told <= listed:
        return []
    message = f"It counts {told} {word} and lists {listed}"
    return [name_fault(grader, f"miscounted-{word.split()[0]}", message)]


def hollow(grader: Grader, tool: str, why: str, **more: Any) -> PrintedReport:
    """The report of a grader that did not grade: errored, and shut until one that ran follows."""
    fault = name_fault(grader, "did-not-grade", f"It did not grade: {why}")
    issues = [fault, *more.pop("issues", ())]
    return PrintedReport(grader, tool, f"Did not grade: {why}", issues, errored=True, **more)


def count_words(counts: Iterable[tuple[int, str]]) -> str:
    """`3 passed, 1 failed`, without what there is none of."""
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing"


def milliseconds(seconds: float | None) -> int | None:
    if seconds is None or not 0 <= seconds * 1000 <= MAX_ELAPSED_MS:
        return None
    return round(seconds * 1000)

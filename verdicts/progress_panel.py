"""What a loop on a branch is told, for the person who looks at it: the step, why, and its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from verdicts.domain.corroboration import Advised
from verdicts.domain.flakiness import Flaky
from verdicts.domain.progress import Advice, Step
from verdicts.panels import GRADER_WORDS, short_digest
from verdicts.progress import Progress

SHOWN_FLAKY: Final = 8
SHOWN_ADVISED: Final = 5
# The tone of each answer, as a verdict's glyph: a loop at work is no fault, a person's turn is.
TONES: Final = {
    Step.CONTINUE: "pending",
    Step.PROBE: "warn",
    Step.UPGRADE: "warn",
    Step.ESCALATE: "fail",
    Step.STOP: "pass",
}


@dataclass(frozen=True, slots=True)
class Rung:
    """A model of the ladder. `place` is done, now, next or ahead."""

    name: str
    place: str
    word: str


@dataclass(frozen=True, slots=True)
class FlakyLine:
    """A print that one tool found in some of its runs on each of `heads` heads, the last named."""

    fingerprint: str
    where: str
    found: int
    runs: int
    heads: int
    last: str


@dataclass(frozen=True, slots=True)
class ProgressPanel:
    """`circle` says in words that it goes round; `regressed` are prints that failed newly."""

    step: str
    word: str
    tone: str
    why: str
    curve: str
    ladder: tuple[Rung, ...]
    circle: str
    flaky: tuple[FlakyLine, ...]
    more_flaky: int
    regressed: tuple[str, ...]
    advised: tuple[Advised, ...]
    more_advised: int
    policy_version: int
    allowed: str


def progress_panel(progress: Progress) -> ProgressPanel | None:
    """None where nothing was graded."""
    if not progress.heads:
        return None
    advice, limits = progress.advice, progress.limits
    flaky = _flaky_lines(advice.flaky)
    return ProgressPanel(
        step=advice.step.value,
        word=_tell_step(advice),
        tone=TONES[advice.step],
        why=advice.why,
        curve=", ".join(map(str, advice.curve[-12:])),
        ladder=_ladder(advice),
        circle=_tell_circle(advice),
        flaky=tuple(flaky[:SHOWN_FLAKY]),
        more_flaky=max(0, len(flaky) - SHOWN_FLAKY),
        regressed=advice.regressed,
        advised=advice.advised[:SHOWN_ADVISED],
        more_advised=max(0, len(advice.advised) - SHOWN_ADVISED),
        policy_version=progress.policy_version,
        allowed=(
            f"{limits.window} iterations without progress, circles of up to {limits.cycle}, "
            f"{limits.reruns} runs of a test on one head, {limits.flat} iterations that cost "
            f"and fix less than {limits.epsilon:g} each"
        ),
    )


def _tell_step(advice: Advice) -> str:
    words = {
        Step.CONTINUE: "Go on",
        Step.PROBE: f"Probe test {advice.target[:8]}",
        Step.UPGRADE: f"Upgrade to {advice.target}",
        Step.ESCALATE: "Ask a person",
        Step.STOP: "Stop, and ask the gate",
    }
    return words[advice.step]


def _ladder(advice: Advice) -> tuple[Rung, ...]:
    after = advice.rung + 1 if advice.step == Step.UPGRADE else len(advice.ladder)
    return tuple(_rung(name, index, advice.rung, after) for index, name in enumerate(advice.ladder))


def _rung(name: str, index: int, now: int, after: int) -> Rung:
    if index == now:
        return Rung(name, "now", "at work")
    if index == after:
        return Rung(name, "next", "its turn")
    return Rung(name, "done", "was tried") if index < now else Rung(name, "ahead", "")


def _tell_circle(advice: Advice) -> str:
    if not advice.cycle:
        return ""
    return f"the last {2 * advice.cycle} heads go round in a circle of {advice.cycle}"


def _flaky_lines(proofs: Sequence[Flaky]) -> list[FlakyLine]:
    """One for each print and tool, those seen last first."""
    told: dict[tuple[str, str, str], list[Flaky]] = {}
    for one in reversed(proofs):
        told.setdefault((one.fingerprint, one.grader, one.tool), []).append(one)
    return [
        FlakyLine(
            fingerprint=group[0].fingerprint[:8],
            where=GRADER_WORDS[group[0].grader] + (f" ({group[0].tool})" if group[0].tool else ""),
            found=sum(one.found for one in group),
            runs=sum(one.runs for one in group),
            heads=len(group),
            last=short_digest(group[0].head),
        )
        for group in told.values()
    ]

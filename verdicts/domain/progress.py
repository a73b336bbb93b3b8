"""Whether a loop of fixing and grading gets anywhere, and what it should do next.

One pure function over the branch's stored reports, so that it can be asked again at any time, after
any crash, and answers the same. The order of its questions is binding: a test that fails only
sometimes is found out before anything is called stuck, and a stuck loop takes the next model before
it takes a person's time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from verdicts.domain.corroboration import DEFAULT_FAMILIES, Advised, Families, find_advised
from verdicts.domain.facts import IssueFacts, ReportFacts
from verdicts.domain.flakiness import (
    ANY_RUN,
    Counting,
    Flaky,
    failing_in,
    find_unprobed,
    prove_flaky,
)
from verdicts.domain.gate import effective_severity, tell_narrowed
from verdicts.domain.terms import GATING_SEVERITY, PRECISE, Confidence, Grader

DEFAULT_LADDER: Final = ("haiku", "sonnet", "opus")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a loop is allowed before somebody looks. `ladder` names models, the cheapest first.

    `window` iterations may pass without the failing set rising; `reruns` on one head tell a flaky
    test; a cycle of up to `cycle` heads is an oscillation; less than `epsilon` failures fewer for
    `flat` iterations, while cost grows, is not worth its money. `families` tell two judges apart.
    """

    window: int = 4
    reruns: int = 3
    cycle: int = 3
    epsilon: float = 1.0
    flat: int = 3
    ladder: tuple[str, ...] = DEFAULT_LADDER
    families: Families = DEFAULT_FAMILIES


# What a project may choose, both ends included. One run of a test on a head proves nothing about
# flakiness, and one iteration is no window.
LIMIT_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "window": (2, 50),
    "reruns": (2, 20),
    "cycle": (2, 20),
    "epsilon": (0.01, 1_000),
    "flat": (1, 50),
}
MAX_RUNGS: Final = 8
MAX_RUNG_NAME: Final = 120
MAX_FAMILIES: Final = 40
MAX_FAMILY_WORDS: Final = 40


@dataclass(frozen=True, slots=True)
class Iteration:
    """All reports on one graded head, in order of arrival. `model` is the agent's rung, or empty;
    `cost` counts from the branch's beginning, None where nobody told it."""

    head: str
    reports: tuple[ReportFacts, ...]
    model: str = ""
    cost: float | None = None


class Step(StrEnum):
    CONTINUE = "continue"
    UPGRADE = "upgrade"
    PROBE = "probe"
    ESCALATE = "escalate"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next and why. `target` is the model to take or the fingerprint to probe, or empty.

    `curve` has the size of the failing set by iteration; `rung` is the place on the ladder.
    `cycle` is the length of the circle that the last iterations went round in, 0 for none;
    `disagreement` is what precise graders differ about, in words.
    `quarantined` fingerprints came and went on one head, which `flaky` proves, or the ledger holds
    them: they warn, and do not fail. `unconfirmed` are an advisory grader's word alone, and remain warnings until
    corroborated; `advised` says of each finding of advice who confirms it, or what it lacks.
    `confirmed` are those that a second model family's judge confirms and calls an error, where
    nothing precise fails: they wait for a person.
    """

    step: Step
    target: str
    why: str
    curve: tuple[int, ...]
    progressed: bool
    regressed: tuple[str, ...]
    stuck: bool
    cycle: int
    disagreement: str
    quarantined: tuple[str, ...]
    flaky: tuple[Flaky, ...]
    unconfirmed: tuple[str, ...]
    advised: tuple[Advised, ...]
    confirmed: tuple[str, ...]
    rung: int
    ladder: tuple[str, ...]


def gating_failures(reports: Sequence[ReportFacts]) -> frozenset[str]:
    """Fingerprints at or above error after clamping, in the latest word of each grader's tool."""
    return frozenset().union(*map(failing_in, _latest(reports)))


def _gates(issue: IssueFacts, grader: Grader) -> bool:
    return effective_severity(issue, grader).rank >= GATING_SEVERITY.rank


def _latest(reports: Sequence[ReportFacts]) -> list[ReportFacts]:
    latest: dict[tuple[Grader, str], ReportFacts] = {}
    for report in sorted(reports, key=lambda one: one.order):
        if not report.errored:
            latest[report.grader, report.tool] = report
    return list(latest.values())


def has_progressed(before: frozenset[str], after: frozenset[str]) -> bool:
    """A strict subset: swaps of equal size and growth are none."""
    return after < before


def find_disagreement(reports: Sequence[ReportFacts]) -> str:
    """Precise graders on two sides of the gate about one kind at one place, in words; or ""."""
    sides: dict[tuple[str, str], dict[Grader, bool]] = {}
    for report in _latest(reports):
        for issue in report.issues:
            if not issue.locator or issue.confidence == Confidence.LOW:
                continue
            if report.grader in PRECISE and issue.source in PRECISE:
                place = sides.setdefault((issue.kind, issue.locator), {})
                gates = _gates(issue, report.grader)
                place[report.grader] = place.get(report.grader, False) or gates
    for (kind, locator), said in sorted(sides.items()):
        if len(set(said.values())) > 1:
            return f"{' and '.join(sorted(said))} disagree on {kind} at {locator}"
    return ""


def find_cycle(sets: Sequence[frozenset[str]], longest: int) -> int:
    """The length of a cycle that the last signatures make, told twice over; 0 for none."""
    for length in range(2, longest + 1):
        tail = sets[-2 * length :]
        if len(tail) == 2 * length and tail[:length] == tail[length:] and len(set(tail)) > 1:
            return length
    return 0


def find_proofs(
    history: Sequence[Iteration], limits: Limits = Limits(), counting: Counting = ANY_RUN
) -> tuple[Flaky, ...]:
    """What is flaky by each head's own runs."""
    return tuple(
        proof
        for one in history
        for proof in prove_flaky(
            one.reports, reruns=limits.reruns, head=one.head, counting=counting
        )
    )


def advise(
    history: Sequence[Iteration],
    limits: Limits = Limits(),
    held: frozenset[str] = frozenset(),
    counting: Counting = ANY_RUN,
) -> Advice:
    """What a loop should do after its last iteration; total, and of stored rows alone. `held` are
    the fingerprints that the ledger holds in quarantine, `counting` says which runs of a probe
    count."""
    proofs = find_proofs(history, limits, counting)
    failing = [gating_failures(one.reports) for one in history]
    flaky = (held & frozenset().union(*failing)) | {proof.fingerprint for proof in proofs}
    sets = [one - flaky for one in failing]
    now = sets[-1] if sets else frozenset()
    before = sets[-2] if len(sets) > 1 else None
    latest = history[-1].reports if history else ()
    rung = _rung(history, limits.ladder)
    stuck = _why_stuck(sets, history, limits)
    unprobed = find_unprobed(latest, reruns=limits.reruns, counting=counting)
    unprobed = tuple(key for key in unprobed if key not in flaky)
    advised = find_advised(latest, limits.families)
    heavy = () if now else tuple(one for one in advised if one.weighty)
    step, target, why = _decide(_State(latest, now, stuck, rung, unprobed, heavy), limits)
    return Advice(
        step=step,
        target=target,
        why=why,
        curve=tuple(len(one) for one in sets),
        progressed=before is not None and has_progressed(before, now),
        regressed=tuple(sorted(now - before)) if before is not None else (),
        stuck=bool(stuck),
        cycle=find_cycle(sets[_rung_start(history) :], limits.cycle),
        disagreement=find_disagreement(latest),
        quarantined=tuple(sorted(flaky)),
        flaky=proofs,
        unconfirmed=tuple(one.fingerprint for one in advised if not one.confirmed),
        advised=advised,
        confirmed=tuple(one.fingerprint for one in heavy),
        rung=rung,
        ladder=limits.ladder,
    )


@dataclass(frozen=True, slots=True)
class _State:
    """What the last iteration came to. `heavy` is confirmed advice where nothing else fails."""

    latest: Sequence[ReportFacts]
    failing: frozenset[str]
    stuck: str
    rung: int
    unprobed: Sequence[str]
    heavy: Sequence[Advised]


type _Answer = tuple[Step, str, str]


def _decide(state: _State, limits: Limits) -> _Answer:
    if not any(not report.errored for report in state.latest):
        return Step.CONTINUE, "", "nothing has graded this head yet"
    disagreement = find_disagreement(state.latest)
    if disagreement:
        return Step.ESCALATE, "", f"{disagreement}: a person must look"
    if state.unprobed and (state.stuck or not state.failing):
        # Passed at last, and failed before, on one head: green by luck is no green.
        why = state.stuck or "it failed in another run on this head"
        told = f"{why}; run the tests {limits.reruns} times on this head first"
        return Step.PROBE, state.unprobed[0], told
    return _decide_failing(state, limits) if state.failing else _decide_green(state)


def _decide_failing(state: _State, limits: Limits) -> _Answer:
    if not state.stuck:
        return Step.CONTINUE, "", _count(len(state.failing)) + " left, and it is not stuck"
    if state.rung + 1 < len(limits.ladder):
        name = limits.ladder[state.rung + 1]
        return Step.UPGRADE, name, f"{state.stuck}; {name} is the next model"
    return Step.ESCALATE, "", f"{state.stuck}, with the last model of the ladder"


def _decide_green(state: _State) -> _Answer:
    if state.heavy:
        first = state.heavy[0]
        told = f"nothing precise fails, and {first.why}: {first.message}"
        return Step.ESCALATE, "", f"{told}: a person must look"
    narrowed = tell_narrowed(state.latest)
    if narrowed:
        return Step.CONTINUE, "", f"nothing that was looked at fails, but {narrowed[0]}"
    return Step.STOP, "", "nothing fails any more; ask the gate"


def _why_stuck(sets: Sequence[frozenset[str]], history: Sequence[Iteration], limits: Limits) -> str:
    """Why the loop gets nowhere, in words; empty while it does."""
    # A new model is judged by its own iterations.
    start = _rung_start(history)
    own = list(sets[start:])
    if not own or not own[-1]:
        return ""
    cycle = find_cycle(own, limits.cycle)
    if cycle:
        return f"the last {2 * cycle} iterations go round in a circle of {cycle}"
    recent = own[-limits.window :]
    if len(recent) == limits.window and not _any_progress(recent):
        return f"no progress in {limits.window} iterations"
    if len(recent) == limits.window and len(recent[-1]) > len(recent[0]):
        return f"more fails than {limits.window - 1} iterations ago"
    return _why_flat(own, history[start:], limits)


def _any_progress(sets: Sequence[frozenset[str]]) -> bool:
    return any(has_progressed(before, after) for before, after in pairwise(sets))


def _why_flat(sets: Sequence[frozenset[str]], history: Sequence[Iteration], limits: Limits) -> str:
    count = limits.flat + 1
    if len(sets) < count:
        return ""
    sizes = [len(one) for one in sets[-count:]]
    costs = [one.cost for one in history[-count:]]
    known = [cost for cost in costs if cost is not None]
    if len(known) < count or known[-1] <= known[0]:
        return ""
    if all(before - after < limits.epsilon for before, after in pairwise(sizes)):
        return f"{limits.flat} iterations cost money and fixed less than {limits.epsilon:g} each"
    return ""


def name_rung(model: str, ladder: Sequence[str]) -> str:
    """The ladder's name for a model as an agent calls it, or empty: the longest that the model's
    own name holds, so that `pro-mini` is not taken for `pro`."""
    told = model.lower()
    return max((name for name in ladder if name.lower() in told), key=len, default="")


def _rung(history: Sequence[Iteration], ladder: Sequence[str]) -> int:
    """The highest rung that an iteration was told to stand on; 0 where none says."""
    places: Mapping[str, int] = {name: at for at, name in enumerate(ladder)}
    return max((places.get(one.model, 0) for one in history), default=0)


def _rung_start(history: Sequence[Iteration]) -> int:
    """The first iteration of the model that is at work now."""
    start = len(history)
    while start and history[start - 1].model == history[-1].model:
        start -= 1
    return start


def _count(number: int) -> str:
    return f"{number:,} failure{'' if number == 1 else 's'}"

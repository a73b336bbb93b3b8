"""The page of a contest as one value: sealed while it is open, told round by round at its end."""

from dataclasses import dataclass
from uuid import UUID

from branches.models import Branch
from branches.selectors.run_lines import read_lines
from verdicts.admission import read_gate
from verdicts.contests import live_contenders, play_contest, read_contest
from verdicts.domain.contest import Neutral, Round
from verdicts.models import Contender, Contest
from verdicts.pages import Notice
from verdicts.panels import GatePanel, gate_panel
from verel_site.access.actors import Actor
from verel_site.access.rights import Right

NEUTRAL_WORDS = {
    Neutral.EQUAL: "equal, the champion stays",
    Neutral.BOTH_BAD: "both bad, the champion stays to be beaten",
}


@dataclass(frozen=True, slots=True)
class Side:
    branch: Branch
    lane: int


@dataclass(frozen=True, slots=True)
class ShownRound:
    number: int
    champion: Side
    challenger: Side
    won: Side | None
    words: str


@dataclass(frozen=True, slots=True)
class ContestPage:
    """`templates/verdicts/contest.html`. While the contest is open `rounds`, `order` and `winner` are
    empty: who judges the next round must not know who won the last."""

    contest: Contest
    heading: str
    size: int
    decided: int
    rounds: tuple[ShownRound, ...] = ()
    order: tuple[Side, ...] = ()
    winner: Side | None = None
    gate: GatePanel | None = None
    may_judge: bool = False
    may_merge: bool = False
    may_bypass: bool = False
    blocked: str = ""
    note: str = ""
    bypass_reason: str = ""
    notice: Notice | None = None

    screen: str = "compare"
    nav: str = "runs"
    title: str = "Contest"


def read_contest_page(
    *,
    actor: Actor,
    contest_id: UUID,
    notice: Notice | None = None,
    note: str = "",
    bypass_reason: str = "",
) -> ContestPage:
    """Raises NotFound. The number of queries does not depend on the rounds."""
    contest = read_contest(actor=actor, contest_id=contest_id)
    contenders = _shown_contenders(contest)
    course = play_contest(contest, contenders)
    size, decided = len(contenders), len(course.rounds)
    if contest.state == Contest.State.OPEN:
        return ContestPage(
            contest=contest,
            heading=f"Round {decided + 1} of {size - 1}",
            size=size,
            decided=decided,
            may_judge=actor.may(contest.project_id, Right.LABEL),
            notice=notice,
        )
    lanes = read_lines(contest.run).lanes
    sides = {row.branch_id: Side(row.branch, lanes.get(row.branch_id, 0)) for row in contenders}
    winner = sides.get(contest.winner_id) if contest.winner_id else None
    gate = gate_panel(read_gate(winner.branch)) if winner is not None else None
    may_merge = winner is not None and not contest.merge_id
    return ContestPage(
        contest=contest,
        heading=f"{winner.branch.label} won" if winner else "Nobody won",
        size=size,
        decided=decided,
        rounds=tuple(_shown(n, one, sides) for n, one in enumerate(course.rounds, start=1)),
        order=tuple(sides.values()),
        winner=winner,
        gate=gate,
        may_merge=may_merge and actor.may(contest.project_id, Right.MERGE),
        may_bypass=actor.may(contest.project_id, Right.BYPASS_GATE),
        blocked="" if gate is None or gate.open else f"The gate is shut: {gate.shut_by[0]}",
        notice=notice,
        note=note,
        bypass_reason=bypass_reason,
    )


def _shown_contenders(contest: Contest) -> list[Contender]:
    """All of them where the contest was merged, which ended them; else those that are as judged."""
    if contest.merge_id:
        return list(contest.contenders.select_related("branch").order_by("position"))
    return live_contenders(contest)


def _shown(number: int, one: Round[UUID], sides: dict[UUID, Side]) -> ShownRound:
    champion, challenger = sides[one.champion], sides[one.challenger]
    if isinstance(one.won, Neutral):
        return ShownRound(number, champion, challenger, None, NEUTRAL_WORDS[one.won])
    won = sides[one.won]
    return ShownRound(number, champion, challenger, won, f"{won.branch.label} is better")

"""What a chart says, in one sentence: titles of the overview, from the data alone."""

from collections.abc import Sequence
from dataclasses import dataclass

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Stretch:
    """What agents sent and people decided in one stretch of time; `word` names it."""

    word: str
    events: int
    decisions: int


def tell_pace(stretches: Sequence[Stretch]) -> str:
    """How people keep up with agents."""
    events = sum(one.events for one in stretches)
    decisions = sum(one.decisions for one in stretches)
    if not events and not decisions:
        return "Nothing happened in this time"
    if not decisions:
        return f"Agents sent {count(events, 'event')}, and nobody decided anything"
    if not events:
        return f"People took {count(decisions, 'decision')} while agents were quiet"
    busiest = max(stretches, key=lambda one: one.events)
    return f"{_ratio(events, decisions)}; agents were busiest around {busiest.word}"


def _ratio(events: int, decisions: int) -> str:
    each = round(events / decisions)
    return f"One decision for every {each:,} events" if each > 1 else "A decision for every event"


def tell_waits(ages: Sequence[float]) -> str:
    """`ages` in seconds, of everything that waits for a person."""
    if not ages:
        return "Nothing waits for a person"
    if len(ages) == 1:
        return f"One item waits, for {duration(ages[0])}"
    return f"{len(ages):,} items wait, the oldest for {duration(max(ages))}"


def tell_people(counts: Sequence[tuple[str, int]]) -> str:
    """Who decides how much; `counts` by name, the largest first."""
    if not counts:
        return "Nobody decided anything in this time"
    name, most = counts[0]
    if len(counts) == 1:
        return f"{name} took every decision"
    share = round(100 * most / sum(number for _, number in counts))
    return f"{name} took {share}\N{NO-BREAK SPACE}% of the decisions of {len(counts):,} people"


def tell_spent(*, tokens: int, dollars: float, graded: int) -> str:
    """What agents and graders used."""
    if not tokens and not graded:
        return "Nothing was told of what work costs"
    cost = f"graders told ${dollars:,.2f}" if graded else "no grader told its cost"
    return f"Agents wrote {count(tokens, 'token')}, {cost}"


def tell_budget(*, used: int, limit: int, ends: str | None) -> str:
    """`ends` is the day on which the budget is used up at this pace, if it is."""
    if used > limit:
        return f"The budget is passed by {count(used - limit, 'token')}"
    if ends is None:
        return f"The budget lasts the month: {100 * used / limit:.0f}\N{NO-BREAK SPACE}% is used"
    return f"At this pace the budget ends on {ends}"


def tell_triplets(*, standing: int, withdrawn: int) -> str:
    if not standing and not withdrawn:
        return "No triplet has come of a merge yet"
    told = f"{count(standing, 'triplet')} stand{'s' if standing == 1 else ''}"
    return f"{told}, {withdrawn:,} withdrawn" if withdrawn else told


def count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A length of time in its largest fitting unit, rounded down; a figure and a unit."""
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size:
            return f"{int(seconds // size):,}\N{NO-BREAK SPACE}{unit}"
    return f"{max(0, int(seconds))}\N{NO-BREAK SPACE}s"


def median(values: Sequence[float]) -> float | None:
    """The middle value, or the mean of the two middle ones; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def tell_change(now: int, before: int, span: str) -> str:
    """How a count stands against the one of the span before; `span` as in "7 days"."""
    if now == before:
        return f"as many as in the {span} before"
    more = "more" if now > before else "fewer"
    return f"{abs(now - before):,} {more} than in the {span} before"

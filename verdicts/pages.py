"""The compare page as one value. What is sealed from a reader is left out here, not in CSS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from branches.domain.terms import ENDED, Status
from branches.models import Branch, Merge
from branches.selectors.compare import (
    Cut,
    PairRow,
    Turn,
    payload_address,
    read_parting,
    read_rows,
    read_tail,
    tell_ending,
)
from branches.selectors.run_lines import read_lines
from verdicts.admission import GateView, read_gate
from verdicts.compare_query import CHUNK, MODES, CompareQuery, Draft
from verdicts.comparisons import Side, Sides, draw_sides
from verdicts.disagreements import Word, standing_words
from verdicts.domain.labels import Choice
from verdicts.domain.rubric import RUBRIC
from verdicts.models import Comparison, Label
from verdicts.panels import (
    GRANULARITY_WORDS,
    GatePanel,
    Judgement,
    TripletPanel,
    gate_panel,
    short_digest,
    side_verdict,
    tell_agreement,
    tell_label,
    tell_word,
    triplet_panel,
)
from verdicts.reversal import merges_on_label
from verdicts.sealing import seal_step
from verdicts.selectors import read_comparison, read_labels
from verel_site.access.actors import Actor
from verel_site.access.rights import Right


@dataclass(frozen=True, slots=True)
class Notice:
    """What stands above the pair. `href` and `act` are a link to the way on, or empty."""

    title: str
    text: str
    verdict: str = "warn"
    href: str = ""
    act: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    word: str
    href: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class SideHead:
    """A side as far as the reader may know it: while judging only the letter and its steps. `head`
    is its digest, and a seal that stands for it until then."""

    letter: str
    name: str
    steps: int
    stopped: int
    head: str
    lane: int | None = None
    by: str = ""
    verdict: str = ""
    status: str = ""
    tokens: int | None = None

    @property
    def short_head(self) -> str:
        return short_digest(self.head)


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str
    word: str
    on: bool


@dataclass(frozen=True, slots=True)
class RubricRow:
    key: int
    field: str
    name: str
    help: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class ChoiceButton:
    value: str
    word: str
    key: str
    on: bool


@dataclass(frozen=True, slots=True)
class Correction:
    """What the reader wrote in place of a side's answer: its branch, how its gate stands, and the
    comparison with what it corrects. `may_merge` says that it can win over both sides now."""

    branch: Branch
    head: str
    verdict: str
    compare: str
    may_merge: bool
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class MergePanel:
    """Everything that the one who merges must see. `blocked` says why it cannot be done now;
    `rests` counts the merges that would be reverted with the reader's own judgement."""

    winner: str = ""
    gate: GatePanel | None = None
    triplet: TripletPanel | None = None
    grains: tuple[Link, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    may_merge: bool = False
    may_judge_again: bool = False
    may_bypass: bool = False
    blocked: str = ""
    merge: Merge | None = None
    neutral: str = ""
    correction: Correction | None = None
    correction_waits: bool = False
    rests: int = 0
    open_sides: tuple[tuple[str, Branch], ...] = ()


@dataclass(frozen=True, slots=True)
class ComparePage:
    """`templates/verdicts/compare.html`. `judging` while this reviewer has not yet submitted."""

    comparison: Comparison
    base: str
    judging: bool
    heading: str
    agreement: str
    step: int
    event: UUID
    digest: str
    told: str
    tail: tuple[Turn, ...]
    tail_link: Link
    modes: tuple[Link, ...]
    view: CompareQuery
    sides: tuple[SideHead, SideHead]
    rows: tuple[PairRow, ...]
    more: Link | None
    draft: Draft
    notice: Notice | None
    rubric: tuple[RubricRow, ...] = ()
    choices: tuple[ChoiceButton, ...] = ()
    panel: MergePanel | None = None

    screen: str = "compare"
    nav: str = "runs"

    @property
    def title(self) -> str:
        return f"Compare at {self.step:,}"

    @property
    def stage(self) -> str:
        return "judge" if self.judging else "merge"


def read_compare_page(
    *,
    actor: Actor,
    comparison_id: UUID,
    query: CompareQuery,
    draft: Draft | None = None,
    notice: Notice | None = None,
    seen: Mapping[UUID, int] | None = None,
) -> ComparePage:
    """Raises NotFound. A reviewer's sides are drawn on the first look, and kept."""
    comparison = read_comparison(actor=actor, comparison_id=comparison_id)
    reviews = actor.user_id is not None and actor.may(comparison.project_id, Right.LABEL)
    sides = _sides_of(comparison, actor if reviews else None)
    labels = read_labels(actor=actor, comparison=comparison)
    mine = next((label for label in labels if label.reviewer_id == actor.user_id), None)
    word = standing_words([comparison.pk]).get(comparison.pk)
    judging = reviews and mine is None and (word is None or word.reviewer_id != actor.user_id)
    cuts = [Cut(side.branch, side.head_seq) for side in (sides.left, sides.right)]
    parting = read_parting(*cuts)
    aligned = read_rows(
        parting,
        *cuts,
        mode=query.mode,
        sealed=judging,
        limit=query.rows,
        seen=seen,
        whole=partial(_sealed_address, comparison.pk, actor) if judging else payload_address,
    )
    tail = read_tail(parting)
    draft = draft or Draft()
    base = reverse("comparison", args=[comparison.pk])
    page = ComparePage(
        comparison=comparison,
        base=base,
        judging=judging,
        heading="Which continuation is better?",
        agreement="",
        step=parting.point.step,
        event=parting.event,
        digest=short_digest(parting.digest),
        told=tell_ending(tail),
        tail=tail if query.shared else (),
        tail_link=Link("", replace(query, shared=not query.shared).href(base), query.shared),
        modes=tuple(
            Link(word, replace(query, mode=mode, rows=CHUNK).href(base), mode == query.mode)
            for mode, word in MODES.items()
        ),
        view=query,
        sides=_heads(sides, (aligned.left_steps, aligned.right_steps), sealed=judging),
        rows=aligned.rows,
        more=_more(query, aligned.total, base),
        draft=draft,
        notice=notice or _moved_notice(comparison, sides),
    )
    if judging:
        return replace(page, rubric=_rubric(draft), choices=_choices(draft))
    return _unsealed(page, actor, sides, _Said(tuple(labels), mine, word))


def _sides_of(comparison: Comparison, reviewer: Actor | None) -> Sides:
    if reviewer is not None:
        return draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
    return Sides(
        Side(comparison.first, bytes(comparison.first_digest), comparison.first_seq),
        Side(comparison.second, bytes(comparison.second_digest), comparison.second_seq),
    )


def _sealed_address(comparison: UUID, reviewer: Actor, event: UUID) -> str:
    assert reviewer.user_id is not None
    seal = seal_step(comparison=comparison, reviewer=reviewer.user_id, event=event)
    return reverse("comparison-step", args=[comparison, seal])


def _heads(sides: Sides, steps: tuple[int, int], *, sealed: bool) -> tuple[SideHead, SideHead]:
    heads = [side.head_digest.hex() for side in (sides.left, sides.right)]
    left, right = (
        SideHead(
            letter=letter,
            name=f"Continuation {letter}",
            steps=count,
            stopped=side.branch.base + side.head_seq,
            head=head,
        )
        for letter, side, head, count in zip(
            "AB", (sides.left, sides.right), sides.seals if sealed else heads, steps, strict=True
        )
    )
    return left, right


def _more(query: CompareQuery, total: int, base: str) -> Link | None:
    if total <= query.rows:
        return None
    left = total - query.rows
    more = replace(query, rows=query.rows + CHUNK)
    return Link(f"Load {min(CHUNK, left)} more of {left:,}", f"{more.href(base)}#row-{query.rows}")


def moved_sides(sides: Sides) -> list[tuple[str, int]]:
    """The letters of the sides that have grown since they were compared, and by how much."""
    return [
        (letter, side.branch.head_seq - side.head_seq)
        for letter, side in zip("AB", (sides.left, sides.right), strict=True)
        if bytes(side.branch.head_digest) != side.head_digest
    ]


def tell_moved(moved: Sequence[tuple[str, int]]) -> str:
    return " and ".join(
        f"{letter} has {count:,} new event{'s' if count != 1 else ''}" for letter, count in moved
    )


def _moved_notice(comparison: Comparison, sides: Sides) -> Notice | None:
    moved = moved_sides(sides)
    if not moved:
        return None
    return Notice(
        "A side has moved on",
        f"{tell_moved(moved)} since this pair was opened. Below is what it was then.",
        href=f"{reverse('comparison', args=[comparison.pk])}?fresh=1",
        act="Compare the present heads",
    )


def _rubric(draft: Draft) -> tuple[RubricRow, ...]:
    options = (("a", "A", "A is better"), ("equal", "=", "Equal"), ("b", "B", "B is better"))
    return tuple(
        RubricRow(
            key,
            f"score-{name}",
            word,
            said,
            tuple(
                Option(value, label, told, draft.scores.get(name) == value)
                for value, label, told in options
            ),
        )
        for key, (name, word, said) in enumerate(RUBRIC, start=1)
    )


def _choices(draft: Draft) -> tuple[ChoiceButton, ...]:
    words = {
        Choice.LEFT: ("A is better", "a"),
        Choice.RIGHT: ("B is better", "b"),
        Choice.EQUAL: ("Equal", "e"),
        Choice.BOTH_BAD: ("Both bad", "x"),
    }
    return tuple(
        ChoiceButton(choice.value, word, key, draft.choice == choice.value)
        for choice, (word, key) in words.items()
    )


# After the label


@dataclass(frozen=True, slots=True)
class _Said:
    """The labels that stand, the reader's own, and what an adjudicator decided."""

    labels: tuple[Label, ...]
    mine: Label | None
    word: Word | None

    @property
    def winner(self) -> UUID | None:
        if self.word is not None:
            return self.word.chosen
        return self.mine.chosen_id if self.mine else _agreed(self.labels)

    @property
    def neutral(self) -> str:
        if self.word is not None:
            return _NEUTRAL.get(self.word.answer, "")
        return _NEUTRAL.get(self.mine.choice, "") if self.mine else ""


def _unsealed(page: ComparePage, actor: Actor, sides: Sides, said: _Said) -> ComparePage:
    gates = (read_gate(sides.left.branch), read_gate(sides.right.branch))
    panel = _panel(page, actor, sides, gates, said)
    lanes = read_lines(page.comparison.run).lanes
    left, right = (
        replace(
            head,
            name=side.branch.label,
            lane=lanes.get(side.branch.pk, 0),
            by=side.branch.forked_by,
            verdict=side_verdict(gate),
            status=side.branch.status,
            tokens=side.branch.tokens,
        )
        for head, side, gate in zip(page.sides, (sides.left, sides.right), gates, strict=True)
    )
    return replace(
        page,
        sides=(left, right),
        panel=panel,
        agreement="Adjudicated" if said.word else tell_agreement(said.labels),
        heading=_heading(panel, said.labels, said.winner, sides),
    )


def _agreed(labels: Sequence[Label]) -> UUID | None:
    picked = {label.chosen_id for label in labels}
    return picked.pop() if len(picked) == 1 else None


def _heading(panel: MergePanel, labels: Sequence[Label], winner: UUID | None, sides: Sides) -> str:
    if panel.merge is not None:
        return f"{'A' if panel.merge.winner_id == sides.left.branch.pk else 'B'} was merged"
    if winner is not None:
        letter = "A" if winner == sides.left.branch.pk else "B"
        return f"{letter} is better. Merge it?" if panel.may_merge else f"{letter} is better"
    if panel.neutral:
        return panel.neutral
    return "The reviewers disagree" if labels else "Nobody has judged this pair yet"


_NEUTRAL: Final = {
    Choice.EQUAL.value: "Both are equally good",
    Choice.BOTH_BAD.value: "Both are bad",
}


def _panel(
    page: ComparePage,
    actor: Actor,
    sides: Sides,
    gates: tuple[GateView, GateView],
    said: _Said,
) -> MergePanel:
    mine = said.mine
    project_id = page.comparison.project_id
    merge = _standing_merge(sides)
    resting = merges_on_label(mine) if mine is not None else []
    panel = MergePanel(
        judgements=_judgements(said, sides, actor),
        may_merge=(mine is not None or said.word is not None)
        and actor.may(project_id, Right.MERGE),
        may_judge_again=mine is not None and (merge is None or bool(resting)),
        rests=len(resting),
        correction=_correction(page, actor, sides, mine),
        correction_waits=mine is not None
        and mine.corrected_side_id is not None
        and mine.correction_id is None,
        merge=merge,
        neutral=said.neutral,
        open_sides=tuple(
            (letter, side.branch)
            for letter, side in zip("AB", (sides.left, sides.right), strict=True)
            if Status(side.branch.status) not in ENDED
        ),
    )
    winner_id = said.winner
    if winner_id is None:
        return panel
    left_won = winner_id == sides.left.branch.pk
    won, lost = (sides.left, sides.right) if left_won else (sides.right, sides.left)
    gate = gates[0] if left_won else gates[1]
    blocked, bypassable = _blocked(sides, gate)
    ended = panel.merge is not None or len(panel.open_sides) < 2
    return replace(
        panel,
        winner="A" if left_won else "B",
        gate=gate_panel(gate),
        triplet=None
        if ended
        else triplet_panel(winner=won.branch, loser=lost.branch, granularity=page.view.granularity),
        grains=_grains(page.view, page.base),
        blocked=blocked,
        may_bypass=bypassable and actor.may(project_id, Right.BYPASS_GATE),
    )


def _judgements(said: _Said, sides: Sides, actor: Actor) -> tuple[Judgement, ...]:
    """Every reviewer's, and last the adjudicator's."""
    left = sides.left.branch.pk
    told = [tell_label(label, left=left, reader=actor.user_id) for label in said.labels]
    if said.word is not None:
        told.append(tell_word(said.word, left=left, reader=actor.user_id))
    return tuple(told)


def _correction(
    page: ComparePage, actor: Actor, sides: Sides, mine: Label | None
) -> Correction | None:
    branch = mine.correction if mine is not None else None
    if mine is None or branch is None:
        return None
    gate = read_gate(branch)
    of = mine.chosen_id or sides.left.branch.pk
    query = urlencode({"left": branch.pk, "right": of})
    ended = [s.branch for s in (sides.left, sides.right) if Status(s.branch.status) in ENDED]
    open_now = Status(branch.status) not in ENDED and not ended
    return Correction(
        branch=branch,
        head=bytes(branch.head_digest).hex(),
        verdict=side_verdict(gate),
        compare=f"{reverse('compare-open', args=[page.comparison.run_id])}?{query}",
        may_merge=open_now and gate.open and actor.may(branch.project_id, Right.MERGE),
        blocked="" if gate.open else f"The gate is shut to it: {gate_panel(gate).shut_by[0]}",
    )


def _grains(query: CompareQuery, base: str) -> tuple[Link, ...]:
    return tuple(
        Link(word, replace(query, granularity=grain).href(base), grain == query.granularity)
        for grain, word in GRANULARITY_WORDS.items()
    )


def _blocked(sides: Sides, gate: GateView) -> tuple[str, bool]:
    """Why there is no merge now, and whether a right to bypass would help."""
    ended = [s.branch for s in (sides.left, sides.right) if Status(s.branch.status) in ENDED]
    if ended:
        return f"{' and '.join(f'{b.label} is {b.status}' for b in ended)} already.", False
    moved = moved_sides(sides)
    if moved:
        return f"{tell_moved(moved)} since it was judged.", False
    if not gate.open:
        reasons = gate_panel(gate).shut_by
        rest = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return f"The gate is shut: {reasons[0]}{rest}", True
    return "", False


def _standing_merge(sides: Sides) -> Merge | None:
    pair = [sides.left.branch, sides.right.branch]
    found = Merge.objects.filter(reverted_at=None, winner__in=pair, losers__branch__in=pair)
    return found.order_by("-created_at").first()

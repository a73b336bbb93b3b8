"""Comparisons: a pair of heads, a blind order of sides for each reviewer, and one label each."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from branches.models import Branch
from verdicts.contests import follow_contests
from verdicts.corrections import check_correction, drop_correction, make_corrections
from verdicts.disagreements import post_disagreement
from verdicts.domain.labels import Choice, pick_sides
from verdicts.models import Comparison, Label, SideOrder
from verdicts.pairs import COMPARISON, heads_json
from verdicts.pairs import PairRefused as PairRefused
from verdicts.pairs import open_comparison as open_comparison
from verdicts.pairs import post_comparison as post_comparison
from verdicts.reversal import merges_on_label, revert_resting
from verdicts.sealing import seal_head
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.inbox.decisions import record_decision, withdraw_decision
from verel_site.kit import strict_json
from verel_site.kit.refusals import Forbidden, NotFound, Refusal, Unprocessable

MAX_STRENGTH: Final = 5
MAX_TEXT: Final = 200_000
MAX_SCORES: Final = 100


class HeadMoved(Refusal):
    code = "head_moved"
    title = "A side has moved on since you looked"


class SidesNotDrawn(Refusal):
    code = "sides_not_drawn"
    title = "Look at the comparison first"


class AlreadyLabelled(Refusal):
    code = "already_labelled"
    title = "You have labelled this comparison"


class BadLabel(Unprocessable):
    code = "bad_label"
    title = "The label is not well-formed"


class LabelWithdrawn(Refusal):
    code = "label_withdrawn"
    title = "The label was withdrawn already"


@dataclass(frozen=True, slots=True)
class Side:
    """A branch and the head of it that is compared."""

    branch: Branch
    head_digest: bytes
    head_seq: int


@dataclass(frozen=True, slots=True)
class Sides:
    """What one reviewer sees on the left and on the right. `seals` stand for the two heads until
    the reviewer has judged; without a reviewer there are none."""

    left: Side
    right: Side
    seals: tuple[str, str] = ("", "")


def _reviewer(actor: Actor, project_id: UUID) -> int:
    actor.demand(project_id, Right.LABEL)
    if actor.user_id is None:
        raise Forbidden("A label needs a person behind it.")
    return actor.user_id


def _sides(comparison: Comparison, drawn: SideOrder) -> Sides:
    first = Side(comparison.first, bytes(comparison.first_digest), comparison.first_seq)
    second = Side(comparison.second, bytes(comparison.second_digest), comparison.second_seq)
    left, right = (second, first) if drawn.swapped else (first, second)
    seals = (
        seal_head(
            comparison=comparison.pk,
            reviewer=drawn.reviewer_id,
            side=name,
            digest=side.head_digest,
        )
        for name, side in (("left", left), ("right", right))
    )
    return Sides(left, right, (next(seals), next(seals)))


@transaction.atomic
def draw_sides(*, comparison_id: UUID, reviewer: Actor) -> Sides:
    """The reviewer's own order of sides: drawn at random the first time, and kept."""
    comparison = _find(comparison_id, reviewer)
    user_id = _reviewer(reviewer, comparison.project_id)
    order, _ = SideOrder.objects.get_or_create(
        comparison=comparison,
        reviewer_id=user_id,
        defaults={"swapped": bool(secrets.randbits(1))},
    )
    return _sides(comparison, order)


def _find(comparison_id: UUID, actor: Actor) -> Comparison:
    visible = Comparison.objects.visible_to(actor).select_related("first", "second")
    comparison = visible.filter(pk=comparison_id).first()
    if comparison is None:
        raise NotFound(f"There is no comparison {comparison_id} that you may see.")
    return comparison


@transaction.atomic
def label_comparison(
    *,
    comparison_id: UUID,
    actor: Actor,
    choice: str,
    strength: int | None = None,
    scores: Mapping[str, Any] | None = None,
    rationale: str = "",
    corrected: str = "",
    corrected_of: str = "",
    seen_heads: Mapping[str, str] | None = None,
    claim: UUID | None = None,
) -> Label:
    """One reviewer's judgement, `choice` naming the side as this reviewer saw it.

    `strength` is from 1 to 5; `scores` maps a rubric's names to numbers; `seen_heads` may give what
    the reviewer looked at, as `{"left": …, "right": …}`: the seals of the two heads, or their
    digests (hex). Refused: HeadMoved
    when a branch has grown, NothingCorrected, AlreadyLabelled for the second label that stands, SidesNotDrawn when
    the reviewer never saw the pair, BadLabel with a pointer. A `corrected` output becomes a branch,
    once nobody is asked about the pair any more (see `corrections`), of the side `corrected_of`: unnamed, the better one, or of two equals the
    left one. With a `claim` of the pair's item in
    the inbox the label needs that claim's seat (ClaimLost).
    """
    comparison = _find(comparison_id, actor)
    user_id = _reviewer(actor, comparison.project_id)
    picked = _read_choice(choice)
    fields = _read_fields(strength, scores, rationale, corrected)
    drawn = SideOrder.objects.filter(comparison=comparison, reviewer_id=user_id).first()
    if drawn is None:
        raise SidesNotDrawn("Open it, and choose between the sides that it shows you.")
    sides = _sides(comparison, drawn)
    _check_heads(sides, seen_heads)
    won = pick_sides(picked, left=sides.left.branch, right=sides.right.branch)
    side = _corrected_side(_read_corrected_of(corrected_of), sides, won)
    if corrected.strip():
        check_correction(comparison=comparison, side=side, text=corrected)
        fields["corrected_side"] = side
    try:
        with transaction.atomic():
            label = Label.objects.create(
                project_id=comparison.project_id,
                comparison=comparison,
                reviewer_id=user_id,
                choice=picked.value,
                chosen=won[0] if won else None,
                rejected=won[1] if won else None,
                **fields,
            )
    except IntegrityError as error:
        raise AlreadyLabelled("Withdraw your label before you give another.") from error
    _record_label(comparison, label, actor)
    record_decision(
        project_id=comparison.project_id,
        kind=COMPARISON,
        subject_id=comparison.pk,
        actor=actor,
        answer=label.choice,
        result={"label": str(label.pk)},
        reason=label.rationale,
        claim=claim,
    )
    post_disagreement(comparison)
    follow_contests(comparison)
    if make_corrections(comparison):
        label.refresh_from_db(fields=["correction"])
    return label


def _corrected_side(named: Choice, sides: Sides, won: tuple[Branch, Branch] | None) -> Branch:
    pair = pick_sides(named, left=sides.left.branch, right=sides.right.branch) or won
    return pair[0] if pair else sides.left.branch


def _record_label(comparison: Comparison, label: Label, actor: Actor) -> None:
    record_act(
        project_id=comparison.project_id,
        actor=actor,
        action="comparison.label",
        subject=f"comparison:{comparison.pk}",
        after={
            "label": str(label.pk),
            "choice": label.choice,
            "chosen": str(label.chosen_id) if label.chosen_id else None,
            "heads": heads_json(comparison),
        },
        reason=label.rationale,
    )


def _read_choice(choice: str) -> Choice:
    for known in Choice:
        if known.value == choice:
            return known
    raise BadLabel(f"choice is one of {', '.join(Choice)}.", pointer="/choice")


def _read_corrected_of(named: object) -> Choice:
    """The side that was named; a choice of no side where none was."""
    if named in ("", None):
        return Choice.EQUAL
    for side in (Choice.LEFT, Choice.RIGHT):
        if named == side.value:
            return side
    raise BadLabel("corrected_of is left or right.", pointer="/corrected_of")


def _read_fields(
    strength: object, scores: object, rationale: object, corrected: object
) -> dict[str, Any]:
    for name, text in (("rationale", rationale), ("corrected", corrected)):
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise BadLabel(f"{name} is text of at most {MAX_TEXT} characters.", pointer=f"/{name}")
        strict_json.check(text, at=f"/{name}")
    if strength is not None and (
        not isinstance(strength, int)
        or isinstance(strength, bool)
        or not 1 <= strength <= MAX_STRENGTH
    ):
        raise BadLabel(f"strength is from 1 to {MAX_STRENGTH}.", pointer="/strength")
    return {
        "strength": strength,
        "scores": _read_scores(scores),
        "rationale": rationale,
        "corrected": corrected,
    }


def _read_scores(scores: object) -> dict[str, float]:
    if scores is None:
        return {}
    if not isinstance(scores, Mapping) or len(scores) > MAX_SCORES:
        raise BadLabel("scores maps names to numbers.", pointer="/scores")
    for name, score in scores.items():
        strict_json.check(name, at="/scores")
        if (
            isinstance(score, bool)
            or not isinstance(score, int | float)
            or not math.isfinite(score)
        ):
            pointer = f"/scores/{strict_json.escape_pointer(str(name))}"
            raise BadLabel("A score is a number.", pointer=pointer)
    return dict(scores)


def _check_heads(sides: Sides, seen_heads: Mapping[str, str] | None) -> None:
    """Both branches still end with what is compared, and that is what the reviewer saw."""
    shown = {"left": (sides.left, sides.seals[0]), "right": (sides.right, sides.seals[1])}
    # The rows are locked, so that a side cannot grow between this look and the label.
    locked = (
        Branch.objects.order_by("pk")
        .select_for_update(of=("self",), no_key=True)
        .in_bulk(sorted((side.branch.pk for side, _ in shown.values()), key=str))
    )
    seen = seen_heads or {}
    moved = []
    for name, (side, seal) in shown.items():
        now = locked[side.branch.pk]
        told = seen.get(name, seal)
        same = told in (seal, side.head_digest.hex())
        if bytes(now.head_digest) != side.head_digest or not same:
            # No digest: whoever is told this has not judged yet.
            new_events = now.head_seq - side.head_seq
            moved.append({"side": name, "seen_head": told, "new_events": new_events})
    if moved:
        what = " and ".join(f"{row['side']} has {row['new_events']} new events" for row in moved)
        raise HeadMoved(f"Look again: {what}.", moved=moved)


@transaction.atomic
def withdraw_label(*, label_id: UUID, actor: Actor, reason: str = "") -> Label:
    """Takes a label back: the reviewer's own, or anyone's by an admin with a reason. It stays in
    the table, and the reviewer may label again. A merge that rests on it is reverted with it, which
    needs a reason (ReasonMissing), and its correction is abandoned."""
    label = (
        Label.objects.visible_to(actor)
        .select_related("correction", "comparison")
        .filter(pk=label_id)
        .first()
    )
    if label is None:
        raise NotFound(f"There is no label {label_id} that you may see.")
    actor.demand(label.project_id, Right.LABEL)
    if label.reviewer_id != actor.user_id:
        actor.demand(label.project_id, Right.ADMINISTER)
        if not reason.strip():
            raise BadLabel("Say why you withdraw another person's label.", pointer="/reason")
    resting = merges_on_label(label) if label.withdrawn_at is None else []
    correction = [label.correction_id] if label.correction_id else []
    revert_resting(merges=resting, also=correction, actor=actor, reason=reason)
    standing = Label.objects.standing().filter(pk=label_id)
    if standing.update(withdrawn_at=timezone.now(), withdrawn_reason=reason) != 1:
        raise LabelWithdrawn("There is nothing left to withdraw.")
    label.refresh_from_db()
    drop_correction(label=label, actor=actor, reason=reason)
    record_act(
        project_id=label.project_id,
        actor=actor,
        action="comparison.withdraw",
        subject=f"comparison:{label.comparison_id}",
        before={"label": str(label.pk), "choice": label.choice},
        after={"merges_reverted": [str(merge.pk) for merge in resting]} if resting else None,
        reason=reason,
    )
    withdraw_decision(
        project_id=label.project_id,
        kind=COMPARISON,
        subject_id=label.comparison_id,
        reviewer_id=label.reviewer_id,
        actor=actor,
        reason=reason,
    )
    post_disagreement(label.comparison)
    follow_contests(label.comparison)
    return label

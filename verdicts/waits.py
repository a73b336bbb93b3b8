"""How pairs, disagreements and escalations stand in the inbox, and how they are answered there."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.urls import reverse

from branches.domain.terms import ENDED, Status
from verdicts.adjudication import adjudicate, read_disagreement, reverse_adjudication
from verdicts.compare_query import SCORES, CompareQuery
from verdicts.comparisons import (
    label_comparison,
    post_comparison,
    withdraw_label,
)
from verdicts.contests import advance_waiting
from verdicts.corrections import make_waiting_corrections
from verdicts.disagreements import ADJUDICATION
from verdicts.domain.rubric import RUBRIC
from verdicts.escalations import ESCALATION, resolve, settled_escalations, weigh_waiting
from verdicts.models import Comparison, Label
from verdicts.pages import read_compare_page
from verdicts.pairs import COMPARISON
from verdicts.proposals import propose_finished
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.inbox.kinds import Answer, Given, Kind, Showing
from verel_site.inbox.models import Decision, Item

ROWS_SHOWN: Final = 40
CHOICE_WORDS: Final = {
    "left": "A is better",
    "right": "B is better",
    "equal": "Equal",
    "both_bad": "Both bad",
}
CHOICES: Final = (
    Answer("left", "A is better", "a"),
    Answer("right", "B is better", "b"),
    Answer("equal", "Equal", "e"),
    Answer("both_bad", "Both bad", "x"),
)
ESCALATION_ANSWERS: Final = (
    Answer("resolve", "Resolved", "a", icon="check", tone="primary"),
    Answer(
        "respond",
        "Resolve with a note",
        "r",
        needs="text",
        needs_word="What you found",
        hint="others read it in the audit log",
        submit_word="Resolve",
    ),
    Answer("dismiss", "No action", "d", icon="ban", tone="danger"),
)


def _show_comparison(item: Item, actor: Actor, draft: Mapping[str, Any]) -> Showing:
    page = read_compare_page(
        actor=actor, comparison_id=item.subject, query=CompareQuery(rows=ROWS_SHOWN)
    )
    return Showing(
        context={"compare": page, "draft": draft},
        answers=CHOICES if page.judging else (),
        heading=f"Fork at {page.step:,}",
        href=page.base,
        href_word="Open the whole pair",
        blocked="" if page.judging else "You have judged this pair.",
    )


def _decide_comparison(given: Given) -> Mapping[str, Any]:
    heads = {
        side: given.fields[f"{side}_head"]
        for side in ("left", "right")
        if given.fields.get(f"{side}_head")
    }
    label = label_comparison(
        comparison_id=given.item.subject,
        actor=given.actor,
        choice=given.answer,
        strength=_read_strength(given.fields.get("strength")),
        scores=given.fields.get("scores") or _read_scores(given.fields),
        rationale=given.fields.get("rationale", ""),
        corrected=given.fields.get("corrected", ""),
        corrected_of=given.fields.get("corrected_of", ""),
        seen_heads=heads,
        claim=given.claim,
    )
    return {"label": str(label.pk)}


def _read_strength(value: object) -> Any:
    """A form sends a number as text; anything else is left to the label's own check."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value or None


def _read_scores(fields: Mapping[str, Any]) -> dict[str, int]:
    """The rubric as a form sends it: one field a row, by the sides as they were seen."""
    named = ((name, SCORES.get(str(fields.get(f"score-{name}")))) for name, _, _ in RUBRIC)
    return {name: score for name, score in named if score is not None}


def _undo_comparison(decision: Decision, actor: Actor, reason: str) -> None:
    label = Label.objects.standing().filter(
        comparison_id=decision.item.subject, reviewer_id=decision.reviewer_id
    )
    label_id = label.values_list("pk", flat=True).first()
    if label_id is not None:
        withdraw_label(label_id=label_id, actor=actor, reason=reason)


def _settled_comparisons(items: Sequence[Item]) -> Mapping[UUID, str]:
    rows = Comparison.objects.select_related("first", "second").in_bulk(
        [item.subject for item in items]
    )
    return {item.pk: because for item in items if (because := _why_settled(rows.get(item.subject)))}


def _why_settled(pair: Comparison | None) -> str:
    if pair is None:
        return "The pair is not there any more."
    sides = ((pair.first, pair.first_digest), (pair.second, pair.second_digest))
    for branch, digest in sides:
        if bytes(branch.head_digest) != bytes(digest):
            return f"{branch.label} has moved on since."
    ended = [branch.label for branch, _ in sides if Status(branch.status) in ENDED]
    return f"{' and '.join(ended)} ended." if ended else ""


def _find_comparisons(limit: int) -> int:
    posted = Item.objects.filter(kind=COMPARISON, subject=OuterRef("pk"))
    judged = Label.objects.standing().filter(comparison=OuterRef("pk"))
    rows = Comparison.objects.filter(~Exists(posted), ~Exists(judged))
    open_states = [status for status in Status if status not in ENDED]
    rows = rows.filter(first__status__in=open_states, second__status__in=open_states)
    found = list(rows.select_related("run", "first", "second").order_by("created_at")[:limit])
    for comparison in found:
        post_comparison(comparison)
    return (
        len(found)
        + propose_finished(limit)
        + advance_waiting(limit)
        + make_waiting_corrections(limit)
    )


def _show_adjudication(item: Item, actor: Actor, draft: Mapping[str, Any]) -> Showing:
    told = read_disagreement(comparison_id=item.subject, actor=actor)
    page = read_compare_page(
        actor=actor, comparison_id=item.subject, query=CompareQuery(rows=ROWS_SHOWN)
    )
    return Showing(
        context={"compare": page, "voices": told, "draft": draft},
        answers=CHOICES if told else (),
        heading=f"Fork at {page.step:,}",
        href=page.base,
        href_word="Open the whole pair",
        blocked="" if told else "The reviewers agree by now.",
    )


def _decide_adjudication(given: Given) -> Mapping[str, Any]:
    return adjudicate(
        comparison_id=given.item.subject,
        actor=given.actor,
        choice=given.answer,
        rationale=given.fields.get("rationale", ""),
        claim=given.claim,
    )


def _undo_record(decision: Decision, actor: Actor, reason: str) -> None:
    """Nothing followed from it but its record, which the inbox itself takes back."""


def _undo_adjudication(decision: Decision, actor: Actor, reason: str) -> None:
    reverse_adjudication(decision=decision, actor=actor, reason=reason)


def _settled_adjudications(items: Sequence[Item]) -> Mapping[UUID, str]:
    labels = Label.objects.standing().filter(comparison__in=[item.subject for item in items])
    outcomes: dict[UUID, set[UUID | str | None]] = {}
    for comparison, choice, chosen in labels.values_list("comparison_id", "choice", "chosen_id"):
        outcomes.setdefault(comparison, set()).add(chosen or choice)
    return {
        item.pk: "The reviewers agree by now."
        for item in items
        if len(outcomes.get(item.subject, ())) < 2
    }


def _show_escalation(item: Item, actor: Actor, draft: Mapping[str, Any]) -> Showing:
    branch = item.body.get("branch")
    run = item.body.get("run")
    href = f"{reverse('run', args=[run])}?branch={branch}" if run and branch else ""
    return Showing(
        context={"escalation": item.body, "draft": draft},
        answers=ESCALATION_ANSWERS,
        heading=item.flag,
        href=item.body.get("href") or href,
        href_word="Look at it" if item.body.get("href") else "Open run" if href else "",
    )


def _decide_escalation(given: Given) -> Mapping[str, Any]:
    return resolve(
        item=given.item,
        actor=given.actor,
        answer=given.answer,
        text=given.fields.get("text", ""),
    )


KINDS: Final = (
    Kind(
        name=ESCALATION,
        word="Escalations",
        one="Escalation",
        group="Graders ask for a person",
        icon="triangle-alert",
        right=Right.LABEL,
        template="verdicts/_inbox_escalation.html",
        show=_show_escalation,
        decide=_decide_escalation,
        answers=ESCALATION_ANSWERS,
        answer_words={"resolve": "Resolved", "respond": "Resolved", "dismiss": "No action"},
        marks={"dismiss": "skip"},
        rank=20,
        note="what no rule can settle",
        undo=_undo_record,
        bulk=frozenset(["resolve", "dismiss"]),
        settled=settled_escalations,
        find_waits=weigh_waiting,
    ),
    Kind(
        name=COMPARISON,
        word="Comparisons",
        one="Comparison",
        group="Compare forks",
        icon="git-compare-arrows",
        right=Right.LABEL,
        template="verdicts/_inbox_comparison.html",
        show=_show_comparison,
        decide=_decide_comparison,
        answers=CHOICES,
        answer_words=CHOICE_WORDS,
        marks={"equal": "skip", "both_bad": "fail"},
        rank=30,
        note="blind",
        blind=True,
        wide=True,
        undo=_undo_comparison,
        settled=_settled_comparisons,
        find_waits=_find_comparisons,
    ),
    Kind(
        name=ADJUDICATION,
        word="Adjudications",
        one="Adjudication",
        group="Adjudicate",
        icon="scale",
        right=Right.LABEL,
        template="verdicts/_inbox_adjudication.html",
        show=_show_adjudication,
        decide=_decide_adjudication,
        answers=CHOICES,
        answer_words=CHOICE_WORDS,
        marks={"equal": "skip", "both_bad": "fail"},
        rank=40,
        note="reviewers disagree",
        wide=True,
        undo=_undo_adjudication,
        settled=_settled_adjudications,
    ),
)

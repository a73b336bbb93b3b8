"""The third step: what its own episode does not bear out goes no further."""

import time
from collections import Counter
from collections.abc import Iterable
from itertools import batched, takewhile
from typing import Any, Final
from uuid import UUID

from memory.consolidation.observations import holding_episode
from memory.consolidation.windows import OVER, Stage, Window
from memory.consolidation_models import Candidate, Consolidation
from memory.domain.consolidation import CLUSTER, Fate
from memory.domain.entailment import Corroborator, Entailed, class_of
from memory.domain.terms import Kind
from memory.entailment import Score, score_pairs
from memory.querysets import CandidateQuerySet
from memory.storage.candidate_rows import save_candidates
from verdicts.models import Report

# A model reads both texts of each, and may be a server far away: so many are asked about at a time,
# and no more once so long has passed. A window ends while its worker still holds the job.
GATED: Final = 128
ASKED: Final = 8
ASKING_SECONDS: Final = 20.0
LONE: Final = "It was seen in one episode alone, and a rule takes two."
UNBORNE: Final = "Its own episode does not bear it out."


def _waiting(job: Consolidation) -> CandidateQuerySet:
    rows = Candidate.objects.filter(consolidation=job, fate=Fate.EXTRACTED.value)
    return rows.filter(pk__gt=job.cursor)


def look(job: Consolidation) -> Window:
    rows = list(_waiting(job).order_by("pk")[:GATED])
    if not rows:
        return OVER
    scores = _ask(job, [row for row in rows if row.kind == Kind.FACT.value])
    # What there was no time to ask about is for the next window, and what comes after it too.
    rows = list(takewhile(lambda row: row.kind != Kind.FACT.value or _pair(row) in scores, rows))
    facts = [row for row in rows if row.kind == Kind.FACT.value]
    reports = _reports(facts, scores.values())
    for row in rows:
        if row.kind == Kind.FACT.value:
            _gate_fact(row, scores[_pair(row)], reports)
        else:
            _gate_rule(row)

    def write() -> Counter[str]:
        save_candidates(rows, ("fate", "why", "score", "scorer", "precise", "sources"))
        return Counter()

    passed = sum(row.fate == Fate.ENTAILED.value for row in rows)
    precise = sum(row.precise for row in rows)
    lone = sum(row.why == LONE for row in rows)
    counts = Counter(entailed=passed, precise=precise, dropped=len(rows) - passed - lone)
    return Window(rows[-1].pk, len(rows), write, counts)


def _pair(row: Candidate) -> tuple[str, str]:
    return row.premise, row.text


def _ask(job: Consolidation, facts: Iterable[Candidate]) -> dict[tuple[str, str], Score]:
    pairs = list(dict.fromkeys(map(_pair, facts)))
    until = time.monotonic() + ASKING_SECONDS
    found: dict[tuple[str, str], Score] = {}
    for some in batched(pairs, ASKED):
        found |= zip(some, score_pairs(job.project, some), strict=True)
        if time.monotonic() >= until:
            break
    return found


def _reports(facts: Iterable[Candidate], scores: Iterable[Score]) -> dict[UUID, Report]:
    """What the claims' episodes found, and what was pushed with scores; each with the event of the
    episode that holds it."""
    named = {UUID(one["report"]) for row in facts for one in row.sources if one["report"]}
    named |= {score.report for score in scores if score.report}
    rows = Report.objects.only("branch_id", "grader", "verdict", "head_seq", "errored")
    return rows.annotate(episode=holding_episode()).in_bulk(named) if named else {}


def _gate_fact(row: Candidate, score: Score, reports: dict[UUID, Report]) -> None:
    """The scorer never decides alone: precision takes the episode's own precise grader too."""
    source = row.sources[0] | {"score": score.value}
    row.score, row.scorer = score.value, score.source[:80]
    own, pushed = _own(source, reports), _pushed(source, score, reports)
    told = [one for one in (own, pushed) if one is not None]
    found = class_of(score.value, episode=source["event"], corroborators=told)
    row.precise = found is Entailed.PRECISE
    if not row.precise:
        # Cited beside another episode's score, the report would make precise what neither is.
        source |= {"report": None, "sees": ""}
    elif own is None and score.report:
        # What is written cites the report that makes it precise.
        source |= {"report": str(score.report), "sees": reports[score.report].verdict}
    row.sources = [source]
    row.fate = (Fate.DROPPED if found is Entailed.DROPPED else Fate.ENTAILED).value
    row.why = UNBORNE if found is Entailed.DROPPED else ""


def _own(source: dict[str, Any], reports: dict[UUID, Report]) -> Corroborator | None:
    """The precise report that was found beside the claim."""
    report = reports.get(UUID(source["report"])) if source["report"] else None
    if report is None:
        return None
    return Corroborator(report.grader, source["event"], report.verdict == source["sees"])


def _pushed(
    source: dict[str, Any], score: Score, reports: dict[UUID, Report]
) -> Corroborator | None:
    """The precise report that a score was pushed with, where it looked at this very episode. All
    claims tell of what went wrong: a report that passes speaks against them."""
    report = reports.get(score.report) if score.report else None
    if report is None or str(getattr(report, "episode", "")) != source["event"]:
        return None
    return Corroborator(report.grader, source["event"], report.verdict != "pass")


def _gate_rule(row: Candidate) -> None:
    """Each episode of a cluster is an instance of the rule; that it holds elsewhere is inferred,
    and so it has no score."""
    enough = row.episodes >= CLUSTER
    row.fate = (Fate.ENTAILED if enough else Fate.DROPPED).value
    row.why = "" if enough else LONE


STAGE: Final = Stage(look, lambda job: _waiting(job).count())

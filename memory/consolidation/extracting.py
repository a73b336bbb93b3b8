"""The second step, in its two halves: claims of single episodes, and rules across them."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from memory.consolidation.observations import Observed, count_kept, kept_episodes, observe
from memory.consolidation.windows import MAX_SOURCES, OVER, WINDOW, Stage, Window
from memory.consolidation_models import Candidate, Consolidation
from memory.domain.consolidation import (
    CLUSTER,
    Claim,
    Cluster,
    claim_cluster,
    claim_fault,
    claim_issue,
    cluster_of,
    speak_of_one,
)
from memory.domain.content import make_key
from memory.domain.terms import PRECISE_SOURCES
from memory.storage.candidate_rows import save_candidates
from verdicts.models import Issue, Report

type Source = dict[str, Any]

# A window of episodes holds more claims than it has rows.
EXTRACTED: Final = WINDOW // 2


def extract(job: Consolidation) -> Window:
    episodes = kept_episodes(job, EXTRACTED)
    if not episodes:
        return OVER
    found = [row for one in observe(episodes) for row in _claims_of(job, one)]

    def write() -> Counter[str]:
        Candidate.objects.bulk_create(found)
        return Counter()

    counts = Counter(candidates=len(found))
    return Window(episodes[-1].position, len(episodes), write, counts)


def _claims_of(job: Consolidation, told: Observed) -> Iterator[Candidate]:
    episode = told.episode
    if episode.signature:
        claim = claim_fault(tool=episode.tool, says=episode.says, signature=episode.signature)
        if claim is not None:
            yield _candidate(job, f"e{episode.position}", claim, _source_of_fault(told))
    seen: set[str] = set()
    for report in told.reports:
        for issue in told.issues.get(report.pk, ()):
            claim = claim_issue(
                kind=issue.kind,
                message=issue.message,
                locator=issue.locator,
                mark=issue.fingerprint,
                source=issue.source,
            )
            # Graders that found one thing are one claim of the episode.
            if claim is None or claim.group in seen:
                continue
            seen.add(claim.group)
            source = _source(told, claim.text, _precise_with(told, issue))
            yield _candidate(job, f"i{issue.pk}", claim, source)


def _candidate(job: Consolidation, origin: str, claim: Claim, source: Source) -> Candidate:
    return Candidate(
        consolidation=job,
        origin=origin,
        kind=claim.kind,
        group=claim.group,
        text=claim.text,
        premise=claim.premise,
        subject=claim.subject,
        predicate=claim.predicate,
        object=claim.object,
        key=make_key(claim.subject, claim.predicate),
        expression=claim.expression,
        item_type=claim.item_type.value,
        source=claim.source,
        sources=[source],
    )


def _source(told: Observed, quote: str, report: Report | None) -> Source:
    """`sees` is the verdict by which the report agrees."""
    return {
        "event": str(told.episode.event_id),
        "run": str(told.episode.run_id),
        "quote": quote,
        "report": str(report.pk) if report else None,
        "sees": report.verdict if report else "",
    }


def _source_of_fault(told: Observed) -> Source:
    """A precise grader's report of the same episode agrees where one of its issues tells of the
    fault; one that passes disagrees, and is named so that it counts against precision."""
    says = told.episode.says
    precise = [report for report in told.reports if report.grader in PRECISE_SOURCES]
    for report in precise:
        if any(speak_of_one(issue.message, says) for issue in told.issues.get(report.pk, ())):
            return _source(told, says, report)
    against = next((report for report in precise if report.verdict == "pass"), None)
    source = _source(told, says, against)
    return source | {"sees": "fail"} if against else source


def _precise_with(told: Observed, issue: Issue) -> Report | None:
    """The precise grader of the episode that found the same."""
    for report in told.reports:
        if report.grader not in PRECISE_SOURCES:
            continue
        same = told.issues.get(report.pk, ())
        if any(one.fingerprint == issue.fingerprint for one in same):
            return report
    return None


def induce(job: Consolidation) -> Window:
    episodes = kept_episodes(job, WINDOW)
    if not episodes:
        return OVER
    found = _clusters(observe(episodes))

    def write() -> Counter[str]:
        rules = _grow(job, found)
        return Counter(candidates=rules, rules=rules)

    return Window(episodes[-1].position, len(episodes), write)


def _clusters(told: list[Observed]) -> dict[Cluster, dict[str, Source]]:
    """Of each cluster the episodes of this window, by event."""
    found: dict[Cluster, dict[str, Source]] = {}
    for one in told:
        for issues in one.issues.values():
            for issue in issues:
                cluster = cluster_of(issue.kind, issue.locator, issue.detail)
                if cluster is not None:
                    source = _source(one, issue.message, None)
                    found.setdefault(cluster, {}).setdefault(source["event"], source)
    return found


def _grow(job: Consolidation, found: dict[Cluster, dict[str, Source]]) -> int:
    """Adds the window's episodes to their clusters; answers how many became rules by it."""
    origins = {_origin(cluster): cluster for cluster in found}
    rows = Candidate.objects.filter(consolidation=job, origin__in=list(origins))
    known = {row.origin: row for row in rows}
    made, moved, rules = [], [], 0
    for origin, cluster in origins.items():
        sources = list(found[cluster].values())
        row = known.get(origin)
        before = row.episodes if row else 0
        if row is None:
            row = _candidate(job, origin, claim_cluster(cluster), sources[0])
            row.sources, row.episodes = [], 0
            made.append(row)
        else:
            moved.append(row)
        row.sources = [*row.sources, *sources][:MAX_SOURCES]
        row.episodes += len(sources)
        rules += before < CLUSTER <= row.episodes
    Candidate.objects.bulk_create(made)
    save_candidates(moved, ("sources", "episodes"))
    return rules


def _origin(cluster: Cluster) -> str:
    told = f"{cluster.kind}\0{cluster.component}\0{cluster.viewport}"
    return f"c{hashlib.sha256(told.encode(errors='replace')).hexdigest()}"


EXTRACT: Final = Stage(extract, count_kept)
INDUCE: Final = Stage(induce, count_kept)

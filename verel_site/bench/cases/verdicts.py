"""The gate against the least verification of the same bytes, and fingerprints against a peer."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verdicts.domain.facts import (
    IssueFacts,
    ReceiptFacts,
    ReceiptStanding,
    ReportFacts,
    RequiredGrader,
    result_digest,
)
from verdicts.domain.fingerprint import fingerprint
from verdicts.domain.gate import decide_gate
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity
from verdicts.receipts import PAYLOAD_TYPE, encode_pae
from verel_site.bench.figures import (
    AtLeast,
    AtMost,
    Case,
    Measure,
    median_seconds,
    medians_in_turns,
)
from verel_site.serving import calm_collector

ISSUES: Final = 50
RECEIPTS: Final = 5
TIMES: Final = 60
HEAD: Final = "ab" * 32
SUITE: Final = "cd" * 32
FILES: Final = frozenset({"clamp.py"})
GRADERS: Final = (Grader.TEST, Grader.TYPECHECK, Grader.LINT, Grader.DOM, Grader.VISION)
# A fifth shuts the gate, and a fifth is not told.
SEVERITIES: Final = (Severity.ERROR, Severity.INFO, *[Severity.WARNING] * 3)
MOST_REPORTS: Final = 5_000
MOST_MESSAGES: Final = 1_000_000
# The least that a decision comes from: what each issue weighs, by its severity, confidence, source.
WEIGHTS: Final = {
    (severity, confidence, source): severity.rank
    for severity in Severity
    for confidence in Confidence
    for source in Grader
}
# What a peer scrubs with, in its order. It knows no sign, no relative path and no boundary of a word.
PEER_SCRUBS: Final = (
    (re.compile(r"0x[0-9a-f]+"), "<addr>"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d{2}-\d{2}[t ]\d{2}:\d{2}:\d{2}(?:\.\d+)?z?"), "<ts>"),
    (re.compile(r"(?:[a-z]:)?(?:[/\\][\w.\-]+)+"), "<path>"),
    (re.compile(r"\d+\.\d+"), "<float>"),
    (re.compile(r"\d+"), "<num>"),
)


def measure_gate(size: int) -> Iterator[Measure]:
    """`size` reports of 50 issues each, five of them with a signed receipt; in a process that is
    set up as the one that serves."""
    calm_collector()
    reports = _reports(size)
    key = Ed25519PrivateKey.generate()
    texts = [_statement(report) for report in reports if report.receipt]
    signed = [(text, key.sign(encode_pae(PAYLOAD_TYPE, text))) for text in texts]
    public = key.public_key()

    def verify() -> None:
        for text, signature in signed:
            public.verify(signature, encode_pae(PAYLOAD_TYPE, text))

    def decide() -> None:
        decide_gate(
            reports=reports,
            required=[RequiredGrader(grader) for grader in GRADERS],
            frozen_suites={grader: frozenset({SUITE}) for grader in GRADERS},
            changed_files=FILES,
            inputs_digest=HEAD,
        )

    def decide_signed() -> None:
        verify()
        decide()

    def least_signed() -> None:
        verify()
        _decide_least(reports)

    acts = (decide_signed, least_signed, decide, lambda: _decide_least(reports))
    told, limit, again, least = (one * 1000 for one in medians_in_turns(acts, TIMES))
    yield Measure("gate", told, "ms", limit, AtMost(1.3))
    # A signature is verified once, when its report arrives; every later question of the gate is
    # answered from what was found then, and checks all digests again.
    yield Measure("gate.again", again, "ms", least)


def _decide_least(reports: Sequence[ReportFacts]) -> tuple[object, ...]:
    """The same answer with nothing around it: the digest of every signed result in whatever order
    it was listed, what each issue weighs, a line of words for each that is told, who found it
    worst, and where precise graders stand on two sides."""
    for report in reports:
        if report.receipt:
            rows = sorted([_told(issue) for issue in report.issues])
            hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    words: list[str] = []
    best: dict[str, int] = {}
    by: dict[str, Grader] = {}
    sides: dict[Grader, tuple[set[tuple[str, str]], set[tuple[str, str]]]] = {}
    for report in reports:
        sides_of = sides.setdefault(report.grader, (set(), set()))
        for issue in report.issues:
            rank = WEIGHTS[issue.severity, issue.confidence, issue.source]
            sides_of[rank > 1].add((issue.kind, issue.locator))
            if rank:
                words.append(" ".join((issue.kind, issue.locator, issue.message)))
                if rank > best.get(issue.fingerprint, 0):
                    best[issue.fingerprint], by[issue.fingerprint] = rank, report.grader
    places = set().union(*(gating for _, gating in sides.values()))
    contradicted = [calm & places - gating for calm, gating in sides.values()]
    return max(best.values(), default=0), dict.fromkeys(words), by, contradicted


def _told(issue: IssueFacts) -> tuple[str, ...]:
    return (
        issue.kind,
        issue.severity,
        issue.confidence,
        issue.source,
        issue.fingerprint,
        issue.message,
        issue.locator,
    )


def _reports(size: int) -> list[ReportFacts]:
    return [
        _prove(report) if order < RECEIPTS else report
        for order in range(size)
        for report in [
            ReportFacts(
                GRADERS[order % len(GRADERS)],
                issues=tuple(_issues(order)),
                order=order,
                tool=f"tool {order // len(GRADERS)}" if order >= len(GRADERS) else "",
            )
        ]
    ]


def _prove(report: ReportFacts) -> ReportFacts:
    digest = result_digest(verdict=report.verdict, errored=report.errored, issues=report.issues)
    receipt = ReceiptFacts(ReceiptStanding.VALID, SUITE, HEAD, FILES, digest, "ci")
    return replace(report, receipt=receipt)


def _issues(order: int) -> Iterator[IssueFacts]:
    source = GRADERS[order % len(GRADERS)]
    for place in range(ISSUES):
        message = f"assert {place} == {order} in /tmp/build/{order}/case_{place}.py"
        place_name = f"c{place}.py"
        mark = fingerprint(source=source, kind="overflow", message=message, locator=place_name)
        severity = SEVERITIES[place % len(SEVERITIES)]
        yield IssueFacts(
            IssueKind.OVERFLOW, severity, Confidence.MEDIUM, source, mark, message, place_name
        )


def _statement(report: ReportFacts) -> bytes:
    return json.dumps([asdict(issue) for issue in report.issues]).encode()


def measure_fingerprints(size: int) -> Iterator[Measure]:
    messages = [
        f"assert {n} == {n * 7}: dose of {n / 3:.2f} mg at 0x7f{n:08x} in /srv/app/tests/t_{n}.py"
        for n in range(size)
    ]
    ours = size / median_seconds(lambda: _fingerprint_all(messages), 3)
    peers = size / median_seconds(lambda: _fingerprint_as_peer(messages), 3)
    yield Measure("fingerprints", ours, "1/s", peers, AtLeast(1.5))


def _fingerprint_all(messages: Sequence[str]) -> None:
    for message in messages:
        fingerprint(source=Grader.TEST, kind="error_text", message=message, locator="tests/t.py")


def _fingerprint_as_peer(messages: Sequence[str]) -> None:
    for message in messages:
        told = message.strip().lower()
        for pattern, name in PEER_SCRUBS:
            told = pattern.sub(name, told)
        hashlib.blake2s(f"tests/t.py|{told}".encode()).hexdigest()[:16]


CASES: Final = (
    Case(
        "fingerprints",
        measure_fingerprints,
        sizes=(5_000, 50_000),
        tiny=(10, 20),
        most=MOST_MESSAGES,
    ),
    Case("gate", measure_gate, sizes=(20, 80), tiny=(6, 12), most=MOST_REPORTS),
)

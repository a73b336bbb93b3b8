import hashlib
import re
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdicts.domain.fingerprint import fingerprint, scrub
from verdicts.domain.terms import Grader, IssueKind


@pytest.mark.parametrize(
    ("message", "scrubbed"),
    [
        ("  Assertion FAILED  ", "assertion failed"),
        ("<Pump object at 0x7F3aB210>", "<pump object at <addr>>"),
        ("run 3F2504E0-4F89-11D3-9A0C-0305E82C3301 died", "run <uuid> died"),
        ("at 2026-11-20T12:00:01.250Z it broke", "at <ts> it broke"),
        ("at 2026-11-20 12:00:01+02:00 it broke", "at <ts> it broke"),
        ("on 2026-11-20 it broke", "on <ts> it broke"),
        ("no such file: /tmp/pytest-31/x/out.log", "no such file: <path>"),
        ("in /srv/app/limits.py:41", "in <path>:<num>"),
        ("in src/limits.py line 41", "in <path> line <num>"),
        (r"in C:\build\42\limits.py", "in <path>"),
        ("in ~/work/x and ./y and ../z", "in <path> and <path> and <path>"),
        ("see https://ci.example/run/7", "see https:<path>"),
        ("expected 50.0, got -49.98", "expected <float>, got <float>"),
        ("took 1e-3 s", "took <float> s"),
        ("expected 4, got -5", "expected <num>, got <num>"),
        ("the cap is 50mg", "the cap is <num>mg"),
        ("5 mg/mL is not 5 mg/kg", "<num> mg/ml is not <num> mg/kg"),
        ("and/or n/a", "and/or n/a"),
        ("rule e501 in utf8", "rule e501 in utf8"),
        ("thread-7 of 1/2", "thread-<num> of <num>/<num>"),
        ("", ""),
    ],
)
def test_scrubbing_takes_out_what_differs_between_runs(message: str, scrubbed: str) -> None:
    assert scrub(message) == scrubbed


# What each pass of the documented order makes of a text, written as plainly as it is told there.
PASSES = (
    (r"(?<!\w)0x[0-9a-f]+", "<addr>"),
    (
        r"(?<!\w)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?!\w)",
        "<uuid>",
    ),
    (
        r"(?<!\d)\d{4}-\d{2}-\d{2}"
        r"(?:[t ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:z|[+-]\d{2}:?\d{2})?)?(?!\d)",
        "<ts>",
    ),
    (
        r"(?<![\w.~@+%\-/\\])(?:[a-z]:)?[\w.~@+%\-]*(?:[/\\]+[\w.~@+%\-]*)+",
        None,
    ),
    (r"(?:(?<!\w)[-+])?(?<!\w)(?:\d+\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+)", "<float>"),
    (r"(?:(?<!\w)[-+])?(?<!\w)\d+", "<num>"),
)
ROOTED = r"(?:[a-z]:[/\\]|/|\\\\|~/|\.{1,2}[/\\])[/\\]*[\w.~@+%\-]"
FILE = r"\.[a-z]\w*[.\-]*$"
PIECES = [
    "0x", "0x7f", "12", "1.5", "1e5", "e", "-", "+", "-5", "/", "\\", "/srv/a.py", "a", "z", "_",
    " ", "  ", ":", ".", "..", "~/", "c:\\", "c:/", "2026-11-20", "2026-11-20 12:00:01",
    "2026-11-20T12:00", "12:00", ".5", "é", "٣", "²", "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "mg/ml", "\n", "\t", "\u00a0", ")", "(", "=", "<num>", "x.py", "%", "@", "İ", "|", "-07:00",
]  # fmt: skip


def scrub_plainly(message: str) -> str:
    def path(match: re.Match[str]) -> str:
        told = match.group()
        return "<path>" if re.match(ROOTED, told) or re.search(FILE, told) else told

    text = message.strip().lower()
    for pattern, name in PASSES:
        text = re.sub(pattern, name if name is not None else path, text)
    return text


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_scrubbing_word_by_word_is_the_documented_order_of_passes(message: str) -> None:
    assert scrub(message) == scrub_plainly(message)


# Stored fingerprints are compared with new ones for years: these were computed by the first version.
@pytest.mark.parametrize(
    ("source", "message", "golden"),
    [
        ("test", "assert 3 == 4 in /srv/app/t.py:41", "1221e63571120426"),
        (
            "test",
            "at 2026-11-20 12:00:01+02:00: 0x7f 3F2504E0-4F89-11D3-9A0C-0305E82C3301",
            "cf1214666ea001e4",
        ),
        ("typecheck", "no", "cd280abd72ba00fe"),
        ("lint", "no", "76cd8b9cfd677e45"),
        ("security", "call at C:\\build\\42 took 1e-3 s", "f1d5bb9c11cdb078"),
        ("dom", "5.5-7 of 1/2, see src/limits.py", "9b2c011feded2aaf"),
        ("llm_judge", "Grüße, ٣ mg/mL", "93cdd8567ebe95f1"),
    ],
)
def test_a_fingerprint_is_what_it_always_was(source: str, message: str, golden: str) -> None:
    found = fingerprint(
        source=source,
        kind="error_text",
        message=message,
        locator="src/a|b.py",
        detail={"rule_code": "arg-type", "symbol": "x|y", "rule_id": "E501", "cwe": "CWE-78"},
    )
    assert found == golden


def test_a_fingerprint_is_blake2s_of_the_key_cut_to_16_hex_digits() -> None:
    key = b"tests/test_clamp.py::test_fails|assert <num> == <num>"
    expected = hashlib.blake2s(key).hexdigest()[:16]
    assert expected == fingerprint(
        source="test",
        kind="test_failure",
        message="assert 3 == 4",
        locator="line 9",
        detail={"test_id": "tests/test_clamp.py::test_fails"},
    )


@pytest.mark.parametrize(
    ("source", "detail", "key"),
    [
        ("test", {}, b"here|bad <num>"),
        ("typecheck", {"rule_code": "arg-type", "symbol": "clamp"}, b"arg-type|here|clamp"),
        ("lint", {"rule_id": "E501"}, b"E501|here"),
        ("security", {"cwe": "CWE-78"}, b"CWE-78|here|bad <num>"),
        ("security", {"cwe": 78}, b"78|here|bad <num>"),
        ("vision", {}, b"other|here|bad <num>"),
        ("human", {}, b"other|here|bad <num>"),
    ],
)
def test_the_key_follows_the_source(source: str, detail: dict[str, object], key: bytes) -> None:
    found = fingerprint(source=source, kind="other", message="Bad 7", locator="here", detail=detail)
    assert found == hashlib.blake2s(key).hexdigest()[:16]


def test_a_bar_in_a_part_does_not_make_two_keys_one() -> None:
    left = fingerprint(source="other", kind="other", locator="a|b", message="c")
    right = fingerprint(source="other", kind="other", locator="a", message="b|c")
    assert left != right


words = st.text("abcdefghij ", min_size=1, max_size=20).filter(lambda text: text.strip())
volatile = st.one_of(
    st.integers(0, 2**32).map(str),
    st.integers(1, 2**40).map(hex),
    st.uuids().map(str),
    st.datetimes(min_value=datetime(2000, 1, 1)).map(lambda at: at.isoformat(timespec="seconds")),
    st.integers(0, 10**6).map(lambda n: f"/srv/run-{n}/out.log"),
    st.floats(0, 1e6).map(lambda n: f"{n:.3f}"),
)


@st.composite
def two_runs(draw: st.DrawFn) -> tuple[str, str]:
    """One failure seen twice: the same words round values of the same kinds."""
    kinds = st.sampled_from(
        [
            st.integers(0, 2**32).map(str),
            st.integers(1, 2**40).map(hex),
            st.uuids().map(str),
            st.integers(0, 10**6).map(lambda n: f"/srv/run-{n}/out.log"),
            st.floats(0, 1e6).map(lambda n: f"{n:.3f}"),
        ]
    )
    first, second = [], []
    for kind in draw(st.lists(kinds, min_size=1, max_size=5)):
        word = draw(words)
        first.append(f"{word} {draw(kind)}")
        second.append(f"{word} {draw(kind)}")
    return " ".join(first), " ".join(second)


@given(two_runs(), st.sampled_from(Grader), st.sampled_from(IssueKind))
def test_the_same_failure_in_another_run_has_the_same_fingerprint(
    runs: tuple[str, str], source: Grader, kind: IssueKind
) -> None:
    first, second = (
        fingerprint(source=source, kind=kind, message=message, locator="pump.py")
        for message in runs
    )
    assert first == second


@given(
    st.tuples(words, words).filter(lambda pair: scrub(pair[0]) != scrub(pair[1])),
    st.sampled_from([g for g in Grader if g not in (Grader.LINT, Grader.TYPECHECK)]),
    volatile,
)
def test_failures_that_say_different_things_differ(
    pair: tuple[str, str], source: Grader, noise: str
) -> None:
    first, second = (
        fingerprint(source=source, kind="other", message=f"{text} {noise}") for text in pair
    )
    assert first != second


@given(
    st.lists(st.tuples(words, words), min_size=2, max_size=2, unique=True),
    st.sampled_from(Grader),
)
def test_findings_at_different_places_differ(pair: list[tuple[str, str]], source: Grader) -> None:
    places = {
        fingerprint(source=source, kind="other", message="x", locator=f"{a}|{b}") for a, b in pair
    }
    assert len(places) == 2


@given(st.text(max_size=300))
def test_scrubbing_takes_any_text(text: str) -> None:
    assert fingerprint(source="test", kind="other", message=text, locator=text)


def test_a_hostile_message_is_scrubbed_in_linear_time() -> None:
    for piece in ("a", "/", "a/", "0x", "1.", "-", "c:\\", "a:", "~", "2026-"):
        assert isinstance(scrub(piece * 200_000), str)

"""A document read value by value gives what a reader of the whole gives, wherever it is cut."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branches.intake import json_values
from branches.intake.json_values import TopList, iter_top
from verel_site.kit.strict_json import MalformedJson

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
LEAF = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | TEXT
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


def read(path: Path) -> list[Any]:
    return [
        list(value) if isinstance(value, TopList) else value
        for value, _ in iter_top(path, max_depth=64)
    ]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    values=st.lists(VALUE, max_size=5),
    cut=st.integers(1, 7),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
)
def test_any_document_reads_the_same_however_it_is_cut(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: list[Any],
    cut: int,
    indent: int | None,
    ascii_only: bool,
) -> None:
    monkeypatch.setattr(json_values, "READ_BYTES", cut)
    path = tmp_path / "document.json"
    # Two documents in a row, with a byte order mark before the first.
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    path.write_text(f"\ufeff{text}\n{text} ", encoding="utf-8")

    assert read(path) == [values, values]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"[1, 2", "the end of the file"),
        (b"[1 2]", "Expecting ','"),
        (b"[1,]", "Expecting value"),
        (b'["a', "Unterminated string"),
        (b"[1, nope]", "Expecting value"),
        (b'["\xff"]', "Not UTF-8"),
        (b'["\xe2\x82', "Not UTF-8"),
        (b"[NaN]", "NaN"),
        (b'[{"a": 1, "a": 2}]', "stands twice"),
        (b"[" + b"9" * 5000 + b"]", "too many digits"),
        (b"[" * 100_000, "Nested deeper"),
    ],
)
def test_a_broken_document_is_refused_in_words(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(raw)

    with pytest.raises(MalformedJson, match=said):
        read(path)


def test_a_value_that_never_ends_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_values, "MAX_LINE_BYTES", 200_000)
    path = tmp_path / "endless.json"
    path.write_bytes(b'["' + b"x" * 2_000_000)

    with pytest.raises(MalformedJson, match="Value 1 is broken, or longer than"):
        read(path)

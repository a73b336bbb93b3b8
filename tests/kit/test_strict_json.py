import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verel_site.kit.strict_json import MalformedJson, check, decode, encode

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc~/"), inner),
)


@given(values)
def test_what_is_well_formed_comes_through_unchanged(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value
    assert json.loads(encode(value)) == value


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b'{"a": "\\u0000"}', "/a"),
        (b'{"a": [1, "\\ud800"]}', "/a/1"),
        (b'{"a\\udfff": 1}', ""),
        (b'{"a": {"b": NaN}}', "/a/b"),
        (b'{"a": [Infinity]}', "/a/0"),
        (b'{"a": -Infinity}', "/a"),
        (b'{"a": 1e400}', "/a"),
        (b'{"a": {"b": 1, "b": 1}}', "/a"),
        (b'{"x/y": {"~": NaN}}', "/x~1y/~0"),
        (b"[" * 65 + b"]" * 65, "/0" * 64),
        (b"[" * 100_000 + b"]" * 100_000, ""),
        (b'{"a": ' + b"9" * 5000 + b"}", ""),
        (b"\xff", ""),
        (b"{", ""),
        (b"{} {}", ""),
        (b"", ""),
    ],
)
def test_what_no_store_could_keep_is_refused_with_a_pointer(raw: bytes, pointer: str) -> None:
    with pytest.raises(MalformedJson) as refusal:
        decode(raw)
    assert refusal.value.pointer == pointer


def test_nesting_up_to_the_limit_is_kept() -> None:
    assert decode(b"[" * 64 + b"]" * 64)


def test_a_parsed_value_can_be_checked_without_its_text() -> None:
    with pytest.raises(MalformedJson) as refusal:
        check({"note": "a\x00b"})
    assert refusal.value.pointer == "/note"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_refusal(raw: bytes) -> None:
    with contextlib.suppress(MalformedJson):
        assert decode(encode(decode(raw))) == decode(raw)

"""The fast way says yes to nothing that the strict way would tell otherwise."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branches.intake.batches import MAX_EVENT_BYTES, MAX_EVENTS, Batch, read_batch
from branches.intake.pushed import Pushed, read_clean
from verel_site.kit.refusals import Refusal
from verel_site.kit.strict_json import encode

BRANCH = UUID(int=7)
OTHER = UUID(int=8)


def read_strictly(pushed: Pushed) -> Batch | str:
    try:
        return read_batch(pushed.value(), branch_id=BRANCH)
    except Refusal as refusal:
        return refusal.detail


def is_read_fast(raw: bytes, *, lines: bool = False) -> bool:
    """Whether it was; what it gave is held against the strict way."""
    pushed = Pushed(raw, lines)
    fast, strict = read_clean(pushed, branch_id=BRANCH), read_strictly(pushed)
    if fast is None:
        return False
    assert isinstance(strict, Batch)
    assert fast == strict
    for draft, other in zip(fast.drafts, strict.drafts, strict=True):
        assert draft.encoded == encode(other.payload)
        assert draft.ts.tzinfo is not None
    return True


def body(**fields: Any) -> bytes:
    """A batch of one event, with fields as JSON text in place of its own."""
    event = {
        "event_id": '"00000000-0000-4000-8000-000000000001"',
        "type": '"data.percept"',
        "source": '"agent"',
        "ts": '"2026-11-20T12:00:00+02:00"',
        "payload": "{}",
    } | fields
    inner = ", ".join(f'"{name}": {text}' for name, text in event.items() if text is not None)
    return f'{{"events": [{{{inner}}}]}}'.encode()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {
            "payload": '{"content": "say \\"hi\\": ü \\u00fc 😀 \\ud83d\\ude00 \\\\ \\/ \\b\\f \x7f"}'
        },
        {"payload": '{"n": [1, -0, 2.5, 1e22, -0.0, 1E-400, 123456789012345678901234567890]}'},
        {"payload": '{ "a" : {"a": 1}, "b" : [{"a": 1}, {"a": null}], "t": true }'},
        {"payload": '{"a": ' + '{"a": ' * 62 + "[]" + "}" * 63},
        {"payload": '{"a": [' + ", ".join(["{}"] * 500) + "]}"},
        {"task_id": "null", "parent_id": '"00000000-0000-4000-8000-000000000002"'},
        {"branch": f'"{BRANCH}"', "schema_version": "1"},
        {"ts": '"2026-11-20 12:00:00.1234567Z"'},
        {"ts": '"1926-11-20T12:00:00.5-11:30"'},
        {"event_id": '"00000000000040008000000000000001"'},
    ],
)
def test_clean_bodies_take_the_fast_way(fields: dict[str, str]) -> None:
    assert is_read_fast(body(**fields))
    line = json.loads(body(**fields))["events"][0]
    assert is_read_fast(json.dumps(line).encode() + b"\n\n" + json.dumps(line).encode(), lines=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"payload": '{"a": 1, "a": 1}'},
        {"payload": '{"a": 1, "\\u0061": 1}'},
        {"payload": '{"a": {"b": 1, "b": "\\":"}}'},
        {"payload": '{"a": 1, "a": 1, "b": "\\u0022\\u0022"}'},
        {"payload": '{"a": "\\u0000"}'},
        {"payload": '{"a": "\\ud800"}'},
        {"payload": '{"a": "\\udc00x"}'},
        {"payload": '{"a": NaN}'},
        {"payload": '{"a": -Infinity}'},
        {"payload": '{"a": 1e400}'},
        {"payload": '{"a": ' + "[" * 64 + "]" * 64 + "}"},
        {"payload": '{"a": ' + "[" * 20_000 + "]" * 20_000 + "}"},
        {"payload": '{"a": ' + "9" * 5000 + "}"},
        {"payload": '{"a": "' + "x" * MAX_EVENT_BYTES + '"}'},
        {"payload": "[]"},
        {"payload": "null"},
        {"payload": None},
        {"payload": '{"a": 01}'},
        {"payload": '{"a": "\t"}'},
        {"source": '"  "'},
        {"source": '" Verel "'},
        {"source": '"' + "x" * 201 + '"'},
        {"source": '"a", "source": "b"'},
        {"type": '"other.kind"'},
        {"type": "5"},
        {"ts": '"2026-11-20T12:00:00"'},
        {"ts": '"0001-01-01T00:00:00+05:00"'},
        {"ts": "1700000000"},
        {"event_id": "null"},
        {"event_id": '"nobody"'},
        {"task_id": "5"},
        {"branch": f'"{OTHER}"'},
        {"schema_version": "2"},
        {"schema_version": "true"},
        {"schema_version": "null"},
        {"mood": '"good"'},
    ],
)
def test_whatever_is_refused_is_left_to_the_strict_way(fields: dict[str, str | None]) -> None:
    raw = body(**fields)
    assert not is_read_fast(raw)
    assert isinstance(read_strictly(Pushed(raw, lines=False)), str)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"events": []}',
        b'{"events": {}}',
        b"\xff",
        body() + b"x",
        body()[:-1] + b', "events": []}',
        body()[:-1] + b', "expected_seq": -1}',
        body()[:-1] + b', "expected_seq": true}',
        body()[:-1] + b', "lease_epoch": 4611686018427387904}',
        b'{"events": [' + b", ".join([body()[12:-2]] * (MAX_EVENTS + 1)) + b"]}",
    ],
)
def test_a_body_at_fault_is_left_to_the_strict_way(raw: bytes) -> None:
    assert not is_read_fast(raw)
    assert isinstance(read_strictly(Pushed(raw, lines=False)), str)


def test_conditions_come_through() -> None:
    raw = body()[:-1] + b', "expected_seq": 4, "lease_epoch": null}'
    assert is_read_fast(raw)
    batch = read_clean(Pushed(raw, lines=False), branch_id=BRANCH)
    assert batch is not None
    assert (batch.expected_seq, batch.lease_epoch) == (4, None)


def test_a_line_is_one_event_though_two_lines_would_make_two() -> None:
    whole = body()[12:-2]
    half = whole.index(b", ") + 2
    assert not is_read_fast(whole + b"," + whole[:half] + b"\n" + whole[half:], lines=True)


# How fast a busy machine draws says nothing about either way.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Fragments that come near to what either way might misread.
keys = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"\\""', '":"', '"é"', '"\\u0022"', '""'])
scalars = st.sampled_from(
    ["1", "-0", "1.0", "1e5", "1e400", "NaN", "null", "true", "1e22", "-0.0", "1.", "2" * 30,
     '"\\":"', '"x\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0022:"', '"\\\\"', '"\x7f"',
     '"\\u001f\\n"', '"ü"', '""', "0.1", "123456789.123456789e-7"]
)  # fmt: skip
spaces = st.sampled_from(["", " ", "\n"])


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.builds(lambda k, a, b, v: f"{k}{a}:{b}{v}", keys, spaces, spaces, inner)
    return st.lists(pairs, max_size=3).map(lambda parts: "{" + ",".join(parts) + "}")


def lists(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=3).map(lambda parts: "[" + ", ".join(parts) + "]")


texts = st.recursive(scalars, lambda inner: objects(inner) | lists(inner), max_leaves=6)


@unhurried
@given(payload=objects(texts))
def test_both_ways_tell_the_same_of_any_payload(payload: str) -> None:
    is_read_fast(body(payload=payload))


@unhurried
@given(raw=st.binary(max_size=40), at=st.integers(0, 200))
def test_both_ways_tell_the_same_of_any_damage(raw: bytes, at: int) -> None:
    whole = body(payload='{"a": "b", "c": [1, 2.5, {"d": null}]}')
    is_read_fast(whole[:at] + raw + whole[at + len(raw) :])

"""Contexts that go on from a kept one are, byte for byte, those that are rendered anew."""

import json
from typing import Any, Final

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from branches.domain.context import READ_TYPES, ContextFormat, open_rendering, render_context
from branches.domain.events import json_bytes
from branches.domain.terms import INTERVENTIONS
from branches.models import Branch
from branches.selectors import renderings
from branches.selectors.context import FORMATS, rehydrate
from branches.selectors.lineage import iter_lineage
from tests.branches.domain import make_events
from tests.make import append, make_draft, make_fork, make_message, make_run

pytestmark = pytest.mark.django_db

IMAGE: Final = {"kind": "image", "mime": "image/png", "data": "iVBORw0KGgoA" * 1000}


IMAGES: Final = make_events.user([IMAGE, {"kind": "text", "text": "Look."}])
STEPS = st.lists(st.one_of(make_events.any_event, st.just(IMAGES)), min_size=1, max_size=6)


def ask(branch: Branch, format: ContextFormat, upto: int, marked: bool) -> bytes:
    marked = marked and format == "anthropic"
    return rehydrate(branch, format=format, upto=upto, cache_control=marked).body()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_what_goes_on_from_a_kept_rendering_is_what_is_rendered_anew(
    data: st.DataObject, settings: Settings
) -> None:
    branches = [make_run()[1]]
    for _ in range(data.draw(st.integers(1, 5), label="moves")):
        branch = data.draw(st.sampled_from(branches))
        if data.draw(st.booleans(), label="fork"):
            at = data.draw(st.integers(1, branch.head_seq))
            branch = make_fork(branch, at).branch
            branches.append(branch)
        append(branch, *(make_draft(told.type, dict(told.payload)) for told in data.draw(STEPS)))
        branch.refresh_from_db()
        for asked in (branch, data.draw(st.sampled_from(branches))):
            upto = data.draw(st.sampled_from([asked.head_seq, asked.head_seq // 2, 0]))
            for format in FORMATS:
                told = ask(asked, format, upto, marked=len(branches) % 2 == 0)
                kept, settings.VEREL_CONTEXT_CACHE_BYTES = settings.VEREL_CONTEXT_CACHE_BYTES, 0
                anew = ask(asked, format, upto, marked=len(branches) % 2 == 0)
                settings.VEREL_CONTEXT_CACHE_BYTES = kept
                assert told == anew


# What stands in payloads whose shape is not that of an agent's, or whose spelling has a choice.
ODD: Final = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**80), 2**80), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", " \n", "\u2003", "\u2028x", '"\\\x7f\x1f\t', "😀 Grüße", "{}", "[1]", '{"a":1e999}', '{"a":"\\ud800"}']),
    st.sampled_from([{}, [], {"a": 1e22, "b": [True, None, "\\"]}, [{"kind": "text", "text": "x"}, 7, None],
                     [{"kind": "image", "mime": "image/png", "blob": "ab" * 32}], {"blob": "x"}, [[]]]),
)  # fmt: skip
TYPES: Final = [told for told in READ_TYPES if told not in INTERVENTIONS and "approval" not in told]
CALLS: Final = st.lists(
    st.one_of(ODD, st.fixed_dictionaries({}, optional={"id": ODD, "name": ODD, "arguments": ODD})),
    max_size=2,
)
PAYLOADS: Final = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("content", "text", "arguments", "name", "call_id", "is_error", "value"), ODD
    )
    | {"tool_calls": st.one_of(ODD, CALLS), "variables": ODD, "tools": ODD},
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told=st.lists(st.tuples(st.sampled_from(TYPES), PAYLOADS), min_size=1, max_size=8))
def test_what_is_read_in_part_renders_as_what_is_decoded_whole(
    told: list[tuple[str, dict[str, Any]]],
) -> None:
    _, trunk = make_run()
    append(trunk, *(make_draft(type, payload) for type, payload in told))
    trunk.refresh_from_db()
    events = list(iter_lineage(trunk, inline=True))
    for format in FORMATS:
        context = render_context(events, format=format)
        rendered = rehydrate(trunk, format=format)
        assert rendered.rendered.messages() == [json_bytes(one) for one in context.messages]
        assert rendered.rendered.rendering.system == [json_bytes(one) for one in context.system]
        answer = json.loads(rendered.body())
        assert (answer["variables"], answer["tools"]) == (context.variables, context.tools)


def payloads_read(branch: Branch, **more: Any) -> int:
    """How many events the database was asked for, with their payload."""
    with CaptureQueriesContext(connection) as queries:
        rehydrate(branch, **more).body()
    return sum("payload" in query["sql"] for query in queries)


def test_a_context_asked_for_again_reads_no_event() -> None:
    _, trunk = make_run()
    append(trunk, make_message("user", "Go on."))
    trunk.refresh_from_db()
    assert payloads_read(trunk) == 1
    assert payloads_read(trunk) == 0


def test_a_rendering_that_ends_with_another_event_than_is_stored_is_not_used() -> None:
    _, trunk = make_run()
    append(trunk, make_message("user", "Go on."))
    trunk.refresh_from_db()
    before = rehydrate(trunk).body()
    trunk.head_seal = bytes(32)
    assert payloads_read(trunk) == 1
    assert rehydrate(trunk).body() == before


def test_under_encryption_nothing_is_kept(settings: Settings) -> None:
    settings.VEREL_EVENT_KEYS = [("k1", bytes(range(32)))]
    _, trunk = make_run()
    append(trunk, make_message("user", "Go on."))
    trunk.refresh_from_db()
    assert payloads_read(trunk) == payloads_read(trunk) == 1


def test_what_is_kept_stays_within_its_bytes() -> None:
    kept = renderings.Kept()
    for number in range(50):
        run, trunk = make_run()
        rendered = renderings.Rendered("openai", open_rendering("openai"), size=10)
        place: renderings.Place = (run.pk, "openai", trunk.pk)
        kept.keep(place, renderings.Point(trunk.pk, 1, 1, b""), rendered, most=45)
        assert kept.size <= 45, number
        assert kept.find(place, 1) is not None

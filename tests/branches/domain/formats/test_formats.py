"""Each format against the rules of its own reader, and what it says when a triplet does not fit."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branches.domain.formats import FORMATS
from branches.domain.formats.llamafactory_sharegpt import dataset_info
from branches.domain.formats.pair import Pair, Unfit, function_tools
from branches.domain.triplet import Granularity, Refused, build_triplet
from tests.branches.domain.formats.readers import load
from tests.branches.domain.make_events import lineages

SAMPLES = Path(__file__).parents[4].parent / "shared" / "samples"

type Json = dict[str, Any]


def said(role: str, content: Any, **more: Any) -> Json:
    return {"role": role, "content": content, **more}


def calling(call_id: str, name: str, arguments: str, content: Any = None) -> Json:
    function = {"name": name, "arguments": arguments}
    call = {"id": call_id, "type": "function", "function": function}
    return said("assistant", content, tool_calls=[call])


SYSTEM, USER = said("system", "You are a coding agent."), said("user", "Fix clamp()")
LOOKED = (
    calling("c1", "Bash", '{"cmd":"cat clamp.py"}'),
    said("tool", "def clamp", tool_call_id="c1"),
)
GOOD, BAD = said("assistant", "Bounded."), said("assistant", "Done.")
TOOL = {"name": "Bash", "description": "Run it", "input_schema": {"type": "object"}}
IMAGE = said("user", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}])

PLAIN = Pair([SYSTEM, USER], [GOOD], [BAD], [TOOL], {"schema": "verel.dpo/1"})
CALLS = Pair([SYSTEM, USER, *LOOKED], [calling("c2", "Bash", "{}")], [BAD], [TOOL])
TRAJECTORY = Pair([USER], [*LOOKED, GOOD], [BAD])
TWO = calling("c1", "Bash", "{}")
TWO = {**TWO, "tool_calls": [*TWO["tool_calls"], *calling("c2", "Read", '{"n":1}')["tool_calls"]]}


@pytest.mark.parametrize("format", FORMATS)
def test_words_alone_fit_every_format_and_are_loaded(format: str) -> None:
    rows = FORMATS[format].rows(PLAIN)
    for row in rows:
        load(format, row)
    assert json.dumps(rows).count("Bounded.") == 1
    assert json.dumps(rows).count("You are a coding agent.") == len(rows)


@pytest.mark.parametrize("format", ["trl", "kto"])
def test_an_override_at_the_prompts_end_stays_a_system_message_there(format: str) -> None:
    frame = said("system", "[SYSTEM PRIORITY INTERRUPT]")
    pair = Pair([SYSTEM, USER, frame], [GOOD], [BAD])
    rows = FORMATS[format].rows(pair)
    for row in rows:
        load(format, row)
        assert [message["role"] for message in row["prompt"]] == ["system", "user", "system"]
        assert row["prompt"][-1]["content"] == "[SYSTEM PRIORITY INTERRUPT]"


@pytest.mark.parametrize("format", ["trl", "kto", "openai", "llamafactory"])
def test_tool_calls_are_carried_as_each_format_wants_them(format: str) -> None:
    rows = FORMATS[format].rows(CALLS)
    for row in rows:
        load(format, row)
    told = {
        "trl": lambda row: row["prompt"][2]["tool_calls"][0]["function"]["arguments"],
        "kto": lambda row: row["prompt"][2]["tool_calls"][0]["function"]["arguments"],
        "openai": lambda row: json.loads(
            row["input"]["messages"][2]["tool_calls"][0]["function"]["arguments"]
        ),
        "llamafactory": lambda row: json.loads(row["conversations"][1]["value"])["arguments"],
    }
    assert told[format](rows[0]) == {"cmd": "cat clamp.py"}


def test_several_calls_of_one_message_are_a_list_for_llamafactory() -> None:
    (row,) = FORMATS["llamafactory"].rows(Pair([USER], [TWO], [BAD]))
    load("llamafactory", row)
    assert [call["name"] for call in json.loads(row["chosen"]["value"])] == ["Bash", "Read"]


def test_kto_tells_one_good_and_one_bad_completion() -> None:
    good, bad = FORMATS["kto"].rows(TRAJECTORY)
    assert (good["label"], bad["label"]) == (True, False)
    assert good["prompt"] == bad["prompt"]
    assert [message["role"] for message in good["completion"]] == ["assistant", "tool", "assistant"]
    assert good["completion"][1]["name"] == "Bash"


@pytest.mark.parametrize(
    ("format", "pair", "why"),
    [
        *((format, Pair([IMAGE], [GOOD], [BAD]), "an image") for format in FORMATS),
        *(
            (format, Pair([USER], [GOOD], [BAD], [{"x": 1}]), "no name")
            for format in ("trl", "kto", "openai", "llamafactory")
        ),
        ("openai", TRAJECTORY, "one message a side"),
        ("openai", Pair([USER], [calling("c", "a b", "{}")], [BAD]), "name that OpenAI"),
        ("axolotl", TRAJECTORY, "one message a side|no tool calls"),
        ("axolotl", CALLS, "no tool calls"),
        ("llamafactory", TRAJECTORY, "one message a side"),
        ("llamafactory", Pair([USER, USER], [GOOD], [BAD]), "in turn"),
        ("llamafactory", Pair([USER, GOOD], [GOOD], [BAD]), "end with a question"),
        ("llamafactory", Pair([USER, SYSTEM], [GOOD], [BAD]), "one system message"),
        ("llamafactory", Pair([USER], [calling("c", "a", "{}", "So:")], [BAD]), "no words beside"),
    ],
)
def test_what_a_format_cannot_say_whole_is_refused_with_the_reason(
    format: str, pair: Pair, why: str
) -> None:
    with pytest.raises(Unfit, match=why):
        FORMATS[format].rows(pair)


def test_tools_of_every_known_shape_become_functions() -> None:
    schema = {"type": "object", "properties": {"cmd": {"type": "string"}}}
    nested = {"name": "Bash", "description": "Run it", "parameters": schema}
    shapes = [
        {"type": "function", "function": nested},
        {"type": "function", **nested},
        {"name": "Bash", "description": "Run it", "input_schema": schema},
        {"name": "Bash", "description": "Run it", "inputSchema": schema},
    ]
    assert function_tools(shapes) == [{"type": "function", "function": nested}] * 4


@given(
    shared=lineages,
    winner=lineages,
    loser=lineages,
    granularity=st.sampled_from(["decision", "trajectory", "final"]),
    format=st.sampled_from(sorted(FORMATS)),
)
@settings(max_examples=150, deadline=None)
def test_whatever_a_format_writes_its_reader_loads(
    shared: Any, winner: Any, loser: Any, granularity: Granularity, format: str
) -> None:
    draft = build_triplet(
        shared=shared,
        winner=winner,
        loser=loser,
        granularity=granularity,
        override_in_prompt=False,
    )
    if isinstance(draft, Refused):
        return
    try:
        rows = FORMATS[format].rows(Pair(draft.prompt, draft.chosen, draft.rejected))
    except Unfit:
        return
    for row in rows:
        load(format, json.loads(json.dumps(row)))


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLES.exists(), reason="the folder of sample inputs is absent")
@pytest.mark.parametrize(
    ("name", "format", "pair"),
    [
        (
            "openai_pref.jsonl",
            "openai",
            Pair(
                [said("user", "Rename lo to low")],
                [said("assistant", "Renamed; 7 tests pass.")],
                [said("assistant", "I renamed some of them.")],
            ),
        ),
        (
            "axolotl_chat_template.jsonl",
            "axolotl",
            Pair(
                [said("user", "Rename lo to low")],
                [said("assistant", "Renamed; 7 tests pass.")],
                [said("assistant", "I renamed some of them.")],
            ),
        ),
        (
            "llamafactory_dpo.json",
            "llamafactory",
            Pair(
                [SYSTEM, said("user", "Rename lo to low")],
                [said("assistant", "Renamed; 7 tests pass.")],
                [said("assistant", "I renamed some of them.")],
            ),
        ),
    ],
)
def test_rows_are_those_of_the_sample_files(name: str, format: str, pair: Pair) -> None:
    text = (SAMPLES / name).read_text()
    (expected,) = json.loads(text) if name.endswith(".json") else [json.loads(text)]
    assert FORMATS[format].rows(pair) == [expected]


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLES.exists(), reason="the folder of sample inputs is absent")
def test_llamafactory_is_told_how_to_read_the_file_as_in_the_sample() -> None:
    expected = json.loads((SAMPLES / "llamafactory_dataset_info.json").read_text())
    assert dataset_info({"verel_dpo": "llamafactory_dpo.json"}) == expected


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLES.exists(), reason="the folder of sample inputs is absent")
def test_rows_of_the_kto_sample_are_loaded_but_for_the_columns_that_are_added() -> None:
    for line in (SAMPLES / "trl_kto.jsonl").read_text().splitlines():
        load("kto", {**json.loads(line), "tools": "[]", "metadata": "{}"})

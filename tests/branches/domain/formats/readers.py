"""What the readers of preference data take, as schemas and rules: each from its own source."""

import json
from typing import Any

from jsonschema import Draft202012Validator

type Json = dict[str, Any]

_TEXT: Json = {"type": "string"}


def _object(required: Json, optional: Json | None = None) -> Json:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


_CALL = _object(
    {
        "id": _TEXT,
        "type": {"const": "function"},
        "function": _object({"name": _TEXT, "arguments": {"type": "object"}}),
    }
)
_TRL_MESSAGE = _object(
    {"role": {"enum": ["system", "user", "assistant", "tool"]}, "content": _TEXT},
    {
        "name": _TEXT,
        "tool_call_id": _TEXT,
        "tool_calls": {"type": "array", "minItems": 1, "items": _CALL},
    },
)
_TRL_SIDE: Json = {"type": "array", "minItems": 1, "items": _TRL_MESSAGE}
_TRL_TEXTS: Json = {"tools": _TEXT, "metadata": _TEXT}
# TRL documentation, "Dataset formats and types": conversational, preference and unpaired.
TRL_DPO = _object({"prompt": _TRL_SIDE, "chosen": _TRL_SIDE, "rejected": _TRL_SIDE, **_TRL_TEXTS})
TRL_KTO = _object(
    {"prompt": _TRL_SIDE, "completion": _TRL_SIDE, "label": {"type": "boolean"}, **_TRL_TEXTS}
)

_OPENAI_NAME: Json = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"}
_OPENAI_CALL = _object(
    {
        "id": _TEXT,
        "type": {"const": "function"},
        "function": _object({"name": _OPENAI_NAME, "arguments": _TEXT}),
    }
)
_OPENAI_CALLS: Json = {"type": "array", "minItems": 1, "items": _OPENAI_CALL}
_OPENAI_ASSISTANT = _object(
    {"role": {"const": "assistant"}, "content": _TEXT}, {"tool_calls": _OPENAI_CALLS}
)
_OPENAI_MESSAGE: Json = {
    "oneOf": [
        _object({"role": {"enum": ["system", "user"]}, "content": _TEXT}),
        _OPENAI_ASSISTANT,
        _object({"role": {"const": "tool"}, "content": _TEXT, "tool_call_id": _TEXT}),
    ]
}
_OPENAI_TOOL = _object(
    {
        "type": {"const": "function"},
        "function": _object(
            {"name": _OPENAI_NAME, "parameters": {"type": "object"}}, {"description": _TEXT}
        ),
    }
)
_OPENAI_SIDE: Json = {"type": "array", "minItems": 1, "maxItems": 1, "items": _OPENAI_ASSISTANT}
# OpenAI API description, `FineTunePreferenceRequestInput`.
OPENAI = _object(
    {
        "input": _object(
            {
                "messages": {"type": "array", "minItems": 1, "items": _OPENAI_MESSAGE},
                "tools": {"type": "array", "items": _OPENAI_TOOL},
                "parallel_tool_calls": {"type": "boolean"},
            }
        ),
        "preferred_output": _OPENAI_SIDE,
        "non_preferred_output": _OPENAI_SIDE,
    }
)

_AXOLOTL_MESSAGE = _object(
    {"role": {"enum": ["system", "user", "assistant", "tool"]}, "content": _TEXT}
)
# Axolotl, DPO prompt strategy `chat_template.default`: it reads these two properties alone.
AXOLOTL = _object(
    {
        "messages": {"type": "array", "minItems": 1, "items": _AXOLOTL_MESSAGE},
        "chosen": _AXOLOTL_MESSAGE,
        "rejected": _AXOLOTL_MESSAGE,
    }
)

_TURN = _object(
    {"from": {"enum": ["human", "observation", "gpt", "function_call"]}, "value": _TEXT}
)
_ANSWER = _object({"from": {"enum": ["gpt", "function_call"]}, "value": _TEXT})
# LLaMA-Factory, data README, "Sharegpt format", preference datasets.
LLAMAFACTORY = _object(
    {
        "conversations": {"type": "array", "minItems": 1, "items": _TURN},
        "chosen": _ANSWER,
        "rejected": _ANSWER,
        "system": _TEXT,
        "tools": _TEXT,
    }
)

SCHEMAS = {
    "trl": TRL_DPO,
    "kto": TRL_KTO,
    "openai": OPENAI,
    "axolotl": AXOLOTL,
    "llamafactory": LLAMAFACTORY,
}


def load(format: str, row: Json) -> None:
    """Raises for a row that the format's reader would refuse, skip or cut."""
    Draft202012Validator(SCHEMAS[format]).validate(row)
    _RULES[format](row)


def _trl(row: Json) -> None:
    assert all(tool["type"] == "function" for tool in json.loads(row["tools"]))
    assert isinstance(json.loads(row["metadata"]), dict)


def _openai(row: Json) -> None:
    """Every result answers a call before it."""
    asked: set[str] = set()
    for message in row["input"]["messages"]:
        asked |= {call["id"] for call in message.get("tool_calls", ())}
        assert message["role"] != "tool" or message["tool_call_id"] in asked


def _axolotl(row: Json) -> None:
    """The answer is found again in the rendered text, from its first character on."""
    assert row["chosen"]["content"]
    assert row["rejected"]["content"]


def _llamafactory(row: Json) -> None:
    """As its converter checks rows with `ranking`: in turn, and ending with a question."""
    asking, answering = {"human", "observation"}, {"gpt", "function_call"}
    turns = row["conversations"]
    for index, turn in enumerate(turns):
        assert turn["from"] in (answering if index % 2 else asking)
    assert len(turns) % 2 == 1
    for turn in (*turns, row["chosen"], row["rejected"]):
        if turn["from"] == "function_call":
            stated = json.loads(turn["value"])
            for call in stated if isinstance(stated, list) else [stated]:
                assert set(call) == {"name", "arguments"}
    assert all("name" in tool for tool in json.loads(row["tools"]))


_RULES = {
    "trl": _trl,
    "kto": _trl,
    "openai": _openai,
    "axolotl": _axolotl,
    "llamafactory": _llamafactory,
}

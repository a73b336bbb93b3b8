"""OpenAI's preference lines for fine-tuning by DPO: text only, one assistant message a side.

A call's arguments stay the JSON text that the agent wrote. A row has no place for provenance.
Source of the rules: OpenAI API description, `FineTunePreferenceRequestInput` and `FunctionObject`;
guide "Direct preference optimization".
"""

import re
from typing import Final

from branches.domain.formats.pair import (
    Pair,
    Unfit,
    calls_in,
    function_tools,
    only_message,
    words,
)
from branches.domain.wire import Json

LOADING: Final = """\
Upload `data/train-00000.jsonl` with the purpose `fine-tune`, and the holdout as the validation
file; the method is `dpo`. A row has no place for provenance: `provenance.jsonl` has it, line by
line."""
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def rows(pair: Pair) -> list[Json]:
    tools = function_tools(pair.tools)
    for tool in tools:
        _check_name(tool["function"]["name"])
    request: Json = {"messages": [_message(message) for message in pair.prompt]}
    request |= {"tools": tools, "parallel_tool_calls": True}
    return [
        {
            "input": request,
            "preferred_output": [_message(only_message(pair.chosen, "OpenAI"))],
            "non_preferred_output": [_message(only_message(pair.rejected, "OpenAI"))],
        }
    ]


def _message(message: Json) -> Json:
    row: Json = {"role": message["role"], "content": words(message)}
    if message["role"] == "tool":
        row["tool_call_id"] = message["tool_call_id"]
    calls = calls_in(message)
    for call in calls:
        _check_name(call["function"]["name"])
    if calls:
        row["tool_calls"] = calls
    return row


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Unfit("A tool has a name that OpenAI does not take.")

"""LLaMA-Factory's ShareGPT rows with `ranking: true`.

Its reader wants questions (`human`, `observation`) and answers (`gpt`, `function_call`) in turn,
the prompt ending with a question, one system message before them, and one answer a side; it skips
every other row. A call is JSON text, `{name, arguments}` or a list of those, with no words beside.
Source of the rules: LLaMA-Factory, data README and ShareGPT converter.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from branches.domain.formats.pair import (
    Pair,
    Unfit,
    call_object,
    calls_in,
    function_tools,
    only_message,
    words,
)
from branches.domain.wire import Json

LOADING: Final = """\
Put the folder where `dataset_dir` points; `dataset_info.json` names the datasets `verel_dpo` and,
where runs are held out, `verel_dpo_holdout`. Then `stage: dpo`, `dataset: verel_dpo`."""

_TAGS: Final[Mapping[str, str]] = {"user": "human", "tool": "observation", "assistant": "gpt"}
_ASKING: Final = frozenset({"human", "observation"})


def rows(pair: Pair) -> list[Json]:
    system, told = _split_system(pair.prompt)
    turns = [_turn(message) for message in told]
    _check_turns(turns)
    return [
        {
            "conversations": turns,
            "chosen": _turn(only_message(pair.chosen, "LLaMA-Factory")),
            "rejected": _turn(only_message(pair.rejected, "LLaMA-Factory")),
            "system": system,
            "tools": json.dumps(
                [tool["function"] for tool in function_tools(pair.tools)], ensure_ascii=False
            ),
        }
    ]


def dataset_info(files: Mapping[str, str]) -> Json:
    """`dataset_info.json`: how each file, by the name of its dataset, is to be read."""
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    columns |= {"system": "system", "tools": "tools"}
    return {
        name: {"file_name": file, "formatting": "sharegpt", "ranking": True, "columns": columns}
        for name, file in files.items()
    }


def _split_system(prompt: Sequence[Json]) -> tuple[str, Sequence[Json]]:
    if prompt and prompt[0]["role"] == "system":
        return words(prompt[0]), prompt[1:]
    return "", prompt


def _turn(message: Json) -> Json:
    if message["role"] == "system":
        raise Unfit("LLaMA-Factory takes one system message, before all others.")
    calls = calls_in(message)
    if not calls:
        return {"from": _TAGS[message["role"]], "value": words(message)}
    if words(message):
        raise Unfit("LLaMA-Factory takes no words beside a tool call in one message.")
    stated = [call_object(call) for call in calls]
    value = stated if len(stated) > 1 else stated[0]
    return {"from": "function_call", "value": json.dumps(value, ensure_ascii=False)}


def _check_turns(turns: Sequence[Json]) -> None:
    for index, turn in enumerate(turns):
        if (turn["from"] in _ASKING) != (index % 2 == 0):
            raise Unfit(
                "LLaMA-Factory takes questions and answers in turn; these do not alternate."
            )
    if len(turns) % 2 == 0:
        raise Unfit("LLaMA-Factory takes prompts that end with a question; this one does not.")

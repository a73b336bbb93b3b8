"""TRL's conversational preference format: `prompt`, `chosen` and `rejected` as lists of messages.

Calls carry their arguments as an object, as chat templates want them. `tools` and `metadata` are
JSON text, so that their columns are of one type in every row; TRL parses `tools` itself.
Source of the shape: TRL documentation, "Dataset formats and types", preference with tools.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from branches.domain.formats.pair import Pair, call_object, calls_in, function_tools, words
from branches.domain.wire import Json

LOADING: Final = """\
```python
from datasets import load_dataset
rows = load_dataset("json", data_files={"train": "data/train-*.jsonl"})["train"]
```
The columns are those that `trl.DPOTrainer` takes. A tool's arguments differ from row to row:
`datasets` 4.7 and later keep them as they are; with earlier ones load the lines one by one, or
take out the nulls that Arrow fills in (`trl.trainer.utils.remove_none_values`)."""


def rows(pair: Pair) -> list[Json]:
    names: dict[str, str] = {}
    return [
        {
            "prompt": messages(pair.prompt, names),
            "chosen": messages(pair.chosen, dict(names)),
            "rejected": messages(pair.rejected, dict(names)),
            **text_columns(pair),
        }
    ]


def text_columns(pair: Pair) -> Json:
    """`tools` and `metadata`, as JSON text."""
    return {"tools": _text(function_tools(pair.tools)), "metadata": _text(dict(pair.metadata))}


def messages(told: Iterable[Json], names: dict[str, str]) -> list[Json]:
    """The messages with text content; a result names its tool. `names` (tool by call id) is read
    and grown. Raises Unfit."""
    return [_message(message, names) for message in told]


def _message(message: Json, names: dict[str, str]) -> Json:
    row: Json = {"role": message["role"]}
    if message["role"] == "tool":
        row["name"] = names.get(message["tool_call_id"], "")
        row["tool_call_id"] = message["tool_call_id"]
    row["content"] = words(message)
    calls = calls_in(message)
    if calls:
        names.update((call["id"], call["function"]["name"]) for call in calls)
        row["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": call_object(call)} for call in calls
        ]
    return row


def _text(value: list[Any] | Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)

"""Axolotl's preference rows for `type: chat_template.default`: messages, and one on each side.

Its reader takes a message's role and content and nothing else, so that a tool call would be lost
without a word: a triplet that has one does not fit.
Source of the rules: Axolotl, prompt strategies for DPO, chat template, default.
"""

from typing import Final

from branches.domain.formats.pair import Pair, Unfit, calls_in, only_message, words
from branches.domain.wire import Json

LOADING: Final = """\
```yaml
rl: dpo
datasets:
  - path: data/train-00000.jsonl
    ds_type: json
    data_files: [data/train-00000.jsonl]
    split: train
    type: chat_template.default
    field_messages: messages
    field_chosen: chosen
    field_rejected: rejected
```"""


def rows(pair: Pair) -> list[Json]:
    return [
        {
            "messages": [_message(message) for message in pair.prompt],
            "chosen": _message(only_message(pair.chosen, "Axolotl")),
            "rejected": _message(only_message(pair.rejected, "Axolotl")),
        }
    ]


def _message(message: Json) -> Json:
    if calls_in(message):
        raise Unfit("Axolotl reads no tool calls; this one would be lost.")
    return {"role": message["role"], "content": words(message)}

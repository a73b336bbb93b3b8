"""TRL's unpaired preference format: a completion and whether it is desirable, two rows a triplet.

A winner over several losers is told once with each, so that desirable and undesirable rows are
as many, which is what KTO's default weights suppose.
Source of the shape: TRL documentation, "Dataset formats and types", unpaired preference.
"""

from typing import Final

from branches.domain.formats import trl_dpo
from branches.domain.formats.pair import Pair
from branches.domain.wire import Json

LOADING: Final = """\
```python
from datasets import load_dataset
rows = load_dataset("json", data_files={"train": "data/train-*.jsonl"})["train"]
```
The columns are those that `trl.KTOTrainer` takes: two rows a triplet, the chosen side first."""


def rows(pair: Pair) -> list[Json]:
    names: dict[str, str] = {}
    prompt = trl_dpo.messages(pair.prompt, names)
    columns = trl_dpo.text_columns(pair)
    return [
        {
            "prompt": prompt,
            "completion": trl_dpo.messages(side, dict(names)),
            "label": label,
            **columns,
        }
        for side, label in ((pair.chosen, True), (pair.rejected, False))
    ]

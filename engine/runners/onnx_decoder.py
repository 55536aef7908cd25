"""A decoder exported to ONNX, with its cache of keys and values as inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import RunnerError
from engine.runners.failures import as_runner_error
from engine.runners.networks import onnx_files, onnx_session

if TYPE_CHECKING:
    import torch

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
    "tensor(int64)": np.int64,
}


class OnnxDecoder:
    """Any export in the layout of Optimum and transformers.js.

    Inputs `input_ids`, `attention_mask`, `position_ids`, `past_key_values.N.key|value`, `use_cache_branch`; outputs
    `logits`, `present.N.key|value`. A graph without a cache sees the whole text each time.
    """

    is_encoder_decoder = False

    def __init__(self, path: Path, end_ids: frozenset[int], context: int | None) -> None:
        self.session = onnx_session(path)
        self.inputs = {each.name: each for each in self.session.get_inputs()}
        self.outputs = [each.name for each in self.session.get_outputs()]
        self.past = [name for name in self.inputs if name.startswith("past_key_values")]
        self.num_bytes = sum(each.stat().st_size for each in onnx_files(path))
        self.end_ids = end_ids
        self.context = context
        if "input_ids" not in self.inputs or "logits" not in self.outputs:
            raise RunnerError(
                f"{path.name} takes {', '.join(self.inputs)} and gives {', '.join(self.outputs)}: no text decoder.",
                "Export it with Optimum for the task text-generation-with-past.",
            )

    def begin(self, prompt: Sequence[int]) -> tuple[_Decoding, torch.Tensor]:
        decoding = _Decoding(self)
        return decoding, decoding.feed(prompt)


class _Decoding:
    """One text on its way."""

    def __init__(self, decoder: OnnxDecoder) -> None:
        self._decoder = decoder
        self._ids: list[int] = []
        self._past = {name: _nothing(decoder.inputs[name]) for name in decoder.past}

    def feed(self, token_ids: Sequence[int]) -> torch.Tensor:
        import torch

        decoder, has_past = self._decoder, bool(self._ids)
        self._ids.extend(token_ids)
        unseen = token_ids if decoder.past else self._ids
        total = len(self._ids)
        given = {
            "input_ids": np.array([list(unseen)], dtype=np.int64),
            "attention_mask": np.ones((1, total), dtype=np.int64),
            "position_ids": np.arange(total - len(unseen), total, dtype=np.int64)[None],
            "use_cache_branch": np.array([has_past]),
            **self._past,
        }
        with as_runner_error("Computing the next token"):
            arrays = {name: each for name, each in given.items() if name in decoder.inputs}
            outputs = dict(zip(decoder.outputs, decoder.session.run(None, arrays), strict=True))
        self._past = {name: outputs[name.replace("past_key_values", "present")] for name in decoder.past}
        return torch.from_numpy(outputs["logits"][0, -1].astype(np.float32))


def _nothing(value) -> np.ndarray:
    """An empty cache: (1, heads, 0, width) for an input of shape (batch, heads, length, width)."""
    batch, heads, _, width = value.shape
    if not isinstance(heads, int) or not isinstance(width, int):
        raise RunnerError(
            f"The input {value.name} states no number of heads or width.", "Export it again with Optimum."
        )
    return np.zeros((batch if isinstance(batch, int) else 1, heads, 0, width), dtype=_TYPES[value.type])

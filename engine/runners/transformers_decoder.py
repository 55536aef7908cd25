"""A decoder of transformers: one forward pass per token, with the model's own cache."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import RunnerError
from engine.runners.failures import as_runner_error

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_CACHES = ("past_key_values", "cache_params", "state")
"""What models call the cache that they give back: attention, state spaces, RWKV."""


class TransformersDecoder:
    """Any model of transformers that predicts the next token.

    The loop is our own rather than `generate`, because it gives scores as they come and takes fewer steps around each
    forward pass; the forward pass is the same, and greedy text is equal token for token.
    """

    def __init__(self, model: PreTrainedModel, end_ids: frozenset[int], context: int | None) -> None:
        self.model = model
        self.end_ids = end_ids
        self.context = context
        self.is_encoder_decoder = bool(model.config.is_encoder_decoder)
        self._accepted = frozenset(inspect.signature(model.forward).parameters)

    def begin(self, prompt: Sequence[int]) -> tuple[_Decoding, torch.Tensor]:
        if self.is_encoder_decoder:
            return self._begin_with_encoder(prompt)
        decoding = _Decoding(self.model, self._accepted, {})
        return decoding, decoding.feed(prompt)

    def _begin_with_encoder(self, prompt: Sequence[int]) -> tuple[_Decoding, torch.Tensor]:
        import torch

        ids = torch.tensor([prompt], device=self.model.device)
        with torch.inference_mode(), as_runner_error("Reading the prompt"):
            encoded = self.model.get_encoder()(input_ids=ids)
        start = self.model.generation_config.decoder_start_token_id
        start = self.model.config.bos_token_id if start is None else start
        if start is None:
            raise RunnerError("The config names no decoder_start_token_id.", "Add it to generation_config.json.")
        decoding = _Decoding(self.model, self._accepted, {"encoder_outputs": encoded}, "decoder_input_ids")
        return decoding, decoding.feed([start[0] if isinstance(start, list) else start])


class _Decoding:
    """One text on its way."""

    def __init__(
        self, model: PreTrainedModel, accepted: frozenset[str], fixed: dict, ids_name: str = "input_ids"
    ) -> None:
        self._model = model
        self._options = fixed | {"use_cache": True} | ({"logits_to_keep": 1} if "logits_to_keep" in accepted else {})
        self._ids_name = ids_name
        self._cache: dict = {}
        self._all: list[int] = []

    def feed(self, token_ids: Sequence[int]) -> torch.Tensor:
        import torch

        self._all.extend(token_ids)
        unseen = token_ids if self._cache else self._all  # a model without a cache sees everything each time
        ids = torch.tensor([list(unseen)], device=self._model.device)
        with torch.inference_mode(), as_runner_error("Computing the next token"):
            output = self._model(**{self._ids_name: ids}, **self._cache, **self._options)
            self._cache = {name: output[name] for name in _CACHES if output.get(name) is not None}
            return output.logits[0, -1].float().cpu()


def end_ids(model: PreTrainedModel, tokenizer_end: int | None) -> frozenset[int]:
    """The tokens that end a text: those of the generation config and the tokenizer."""
    stated = model.generation_config.eos_token_id
    stated = stated if isinstance(stated, list) else [stated]
    return frozenset(token for token in (*stated, tokenizer_end) if token is not None)


def context_length(config: dict) -> int | None:
    """The most positions a config allows, by its usual names; None if it states none."""
    for key in ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length", "n_ctx"):
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None

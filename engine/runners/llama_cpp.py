"""GGUF files through llama.cpp, where its Python binding is installed: the quantised blocks stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import RunnerError
from engine.runners.checkpoint import Checkpoint
from engine.runners.contract import Facts
from engine.runners.failures import as_runner_error
from engine.runners.gguf_loading import load_gguf_tokenizer
from engine.runners.text_generation import TextGenerator
from engine.runners.transformers_loading import Loading

if TYPE_CHECKING:
    import torch
    from llama_cpp import Llama

MAX_CONTEXT = 8192
"""llama.cpp sets its cache aside when it loads: at most for so many tokens, chosen by us."""


def llama_cpp_generator(checkpoint: Checkpoint, task: str, loading: Loading) -> TextGenerator:
    """The generator. `loading.dtype` is not used: llama.cpp computes with the blocks of the file."""
    import llama_cpp
    from transformers.integrations.gguf import read_gguf_metadata

    if loading.device not in ("auto", "cpu"):
        raise RunnerError(f"llama.cpp places layers by itself, and not on {loading.device!r}.", 'Choose "auto".')
    tokenizer = load_gguf_tokenizer(checkpoint)
    on_gpu = loading.device == "auto" and llama_cpp.llama_supports_gpu_offload()
    with as_runner_error(f"Loading {checkpoint.file.name}"):
        metadata, _ = read_gguf_metadata(str(checkpoint.file))
        trained = int(metadata.get(f"{metadata['general.architecture']}.context_length", MAX_CONTEXT))
        context = min(trained, MAX_CONTEXT)
        llama = llama_cpp.Llama(str(checkpoint.file), n_ctx=context, n_gpu_layers=-1 if on_gpu else 0, verbose=False)
    decoder = LlamaCppDecoder(llama, frozenset({llama.token_eos(), tokenizer.eos_token_id} - {None, -1}), context)
    notes = () if context == trained else (f"The model sees {trained} tokens; {context} are set aside here.",)
    facts = Facts(
        task=task,
        backend="llama.cpp",
        location=checkpoint.location,
        device="gpu" if on_gpu else "cpu",
        dtype="as stored",
        num_bytes=checkpoint.num_bytes,
        context=context,
        notes=notes,
    )
    return TextGenerator(facts, decoder=decoder, tokenizer=tokenizer)


class LlamaCppDecoder:
    """llama.cpp has one cache; a text that takes its turn after another is read anew from its beginning."""

    is_encoder_decoder = False

    def __init__(self, llama: Llama, end_ids: frozenset[int], context: int) -> None:
        self.llama = llama
        self.end_ids = end_ids
        self.context = context
        self.owner: _Decoding | None = None

    def begin(self, prompt: Sequence[int]) -> tuple[_Decoding, torch.Tensor]:
        decoding = _Decoding(self)
        return decoding, decoding.feed(prompt)


class _Decoding:
    """One text on its way."""

    def __init__(self, decoder: LlamaCppDecoder) -> None:
        self._decoder = decoder
        self._ids: list[int] = []

    def feed(self, token_ids: Sequence[int]) -> torch.Tensor:
        import llama_cpp
        import torch

        llama = self._decoder.llama
        self._ids.extend(token_ids)
        with as_runner_error("Computing the next token"):
            unseen = token_ids
            if self._decoder.owner is not self:
                llama.reset()
                self._decoder.owner, unseen = self, self._ids
            llama.eval(unseen)
            scores = llama_cpp.llama_get_logits_ith(llama.ctx, -1)
            return torch.from_numpy(np.ctypeslib.as_array(scores, shape=(llama.n_vocab(),)).astype(np.float32).copy())

"""Attention as the model really pays it: one forward pass over a prompt, every head's map kept."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import RunnerError
from engine.runners.abilities import abilities
from engine.runners.checkpoint import GGUF, ONNX, Checkpoint, checkpoint_at
from engine.runners.contract import IMAGE_CLASSIFICATION, SPEECH_TO_TEXT, Facts, Runner
from engine.runners.failures import as_runner_error
from engine.runners.gguf_loading import load_gguf_network, load_gguf_tokenizer
from engine.runners.leasing import model_key
from engine.runners.loaded import LoadedModels, shared_models
from engine.runners.registry import LOADING
from engine.runners.token_text import TokenTexts
from engine.runners.transformers_decoder import context_length
from engine.runners.transformers_loading import Loading, load_network, load_tokenizer, num_weight_bytes
from engine.sources.base import Source

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MOST_TOKENS = 128
"""Of a prompt; chosen by us: the maps of 32 layers of 32 heads are then 64 MiB, and every token still has a label."""

MOST_ANSWER = 32
"""Tokens that an encoder-decoder writes, so that its decoder has something to attend from; chosen by us."""

SELF, ENCODER, DECODER, CROSS = "self", "encoder", "decoder", "cross"

_TASK = "attention"
_EAGERLY = {"attn_implementation": "eager"}
"""Given while loading: a model that is switched later can compute something else (Falcon keeps its class and takes the
mask of the other)."""

_OUTPUTS = {ENCODER: "encoder_attentions", DECODER: "decoder_attentions", CROSS: "cross_attentions"}


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """What every head looked at.

    Attributes:
        tokens: of the prompt, as text. answer: the tokens of an encoder-decoder's answer; () of other models.
        maps: "self", or "encoder", "decoder" and "cross" -> one array for each attention in the order of layers:
            (heads, queries, keys) float32, rows summing to 1. Cross attention looks from answer to prompt.
        num_cut: tokens of the prompt that were left out at its end.
        facts: of the model.
    """

    tokens: tuple[str, ...]
    answer: tuple[str, ...]
    maps: dict[str, tuple[np.ndarray, ...]]
    num_cut: int
    facts: Facts

    def labels(self, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The tokens of the queries and of the keys of one kind of map."""
        queries = self.answer if kind in (DECODER, CROSS) else self.tokens
        return queries, self.answer if kind == DECODER else self.tokens


@dataclass
class AttentionReader(Runner):
    """A model whose attention probabilities are computed one by one ("eager") and handed out."""

    model: PreTrainedModel = field(kw_only=True)
    tokenizer: PreTrainedTokenizerBase = field(kw_only=True)

    def read(self, prompt: str, most_tokens: int = MOST_TOKENS) -> AttentionMaps:
        """One forward pass over a prompt; an encoder-decoder first answers it, greedily, in at most 32 tokens.

        Args: most_tokens: a longer prompt is cut at its end, and so is one beyond the model's context.
        Raises: RunnerError if the prompt is empty, or the model gives no attention.
        """
        most_tokens = min(most_tokens, self.facts.context or most_tokens)
        with as_runner_error("Cutting the prompt into tokens"):
            count = len(self.tokenizer(prompt)["input_ids"]) if prompt.strip() else 0
            encoded = self.tokenizer(prompt, truncation=True, max_length=most_tokens, return_tensors="pt")
        if count == 0 or encoded["input_ids"].shape[1] == 0:
            raise RunnerError("There is no prompt.", "Write at least one word.")
        with self.lock:
            ids, answer, output = self._run(encoded)
            maps = _maps_of(output, bool(self.model.config.is_encoder_decoder))
        return AttentionMaps(self._texts(ids), self._texts(answer), maps, max(0, count - len(ids)), self.facts)

    def _run(self, encoded: dict) -> tuple[list[int], list[int], dict]:
        import torch

        accepted = ("input_ids", "attention_mask", "token_type_ids")
        known = inspect.signature(self.model.forward).parameters
        given = {name: encoded[name].to(self.model.device) for name in accepted if name in encoded and name in known}
        answer: list[int] = []
        with torch.inference_mode(), as_runner_error("Running the model"):
            if self.model.config.is_encoder_decoder:
                written = self.model.generate(**given, max_new_tokens=MOST_ANSWER, do_sample=False, num_beams=1)
                given["decoder_input_ids"] = written
                answer = written[0].tolist()
            output = self.model(**given, output_attentions=True, return_dict=True)
        return given["input_ids"][0].tolist(), answer, output

    def _texts(self, ids: list[int]) -> tuple[str, ...]:
        """Each token as it reads, with its space; WordPiece marks the inner parts of words instead, and keeps that."""
        tokenizer = self.tokenizer
        kind = type(getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)).__name__
        if kind in ("WordPiece", "WordLevel"):
            return tuple(str(each) for each in tokenizer.convert_ids_to_tokens(ids))
        texts = TokenTexts(
            decode=lambda some: tokenizer.decode(some, skip_special_tokens=True, clean_up_tokenization_spaces=False),
            spell=lambda token: str(tokenizer.convert_ids_to_tokens(token)),
        )
        return tuple(texts.of(token) for token in ids)

    def close(self) -> None:
        self.model = None
        self.tokenizer = None


def attention_obstacle(place: str | Path | Source) -> tuple[str, str] | None:
    """Why a checkpoint's attention cannot be seen on a prompt, and what to do about it; None if it can.

    Imports neither torch nor transformers.
    """
    try:
        return _obstacle(checkpoint_at(place))
    except RunnerError as error:
        return error.message, error.hint


@contextlib.contextmanager
def lease_attention(place: str | Path | Source, models: LoadedModels | None = None) -> Iterator[AttentionReader]:
    """The reader of a checkpoint, loaded now or long since; kept for later when the block ends.

    It is another copy of the model than the one that chats, since attention that can be looked at is computed more
    slowly.

    Raises: RunnerError if it cannot run, or is beyond the cache's budget.
    """
    checkpoint = checkpoint_at(place)
    obstacle = _obstacle(checkpoint)
    if obstacle is not None:
        raise RunnerError(*obstacle)

    def loading() -> AttentionReader:
        with LOADING:
            return _reader(checkpoint)

    with (models or shared_models()).lease(model_key(checkpoint, _TASK), loading, checkpoint.num_bytes) as reader:
        yield reader


def _obstacle(checkpoint: Checkpoint) -> tuple[str, str] | None:
    if checkpoint.kind == ONNX:
        return "An ONNX graph does not give its attention.", "Open the original model; the weights here can be seen."
    able = abilities(checkpoint)
    if not able.tasks:
        return able.obstacle, able.hint
    if {IMAGE_CLASSIFICATION, SPEECH_TO_TEXT} & set(able.tasks):
        return "Attention on a picture or on sound is not shown.", "Its heads can be seen in the weights."
    return None


def _reader(checkpoint: Checkpoint) -> AttentionReader:
    started = time.perf_counter()
    if checkpoint.kind == GGUF:
        tokenizer = load_gguf_tokenizer(checkpoint)
        model = load_gguf_network(checkpoint, Loading(), **_EAGERLY)
    else:
        tokenizer = load_tokenizer(checkpoint)
        is_encoder_decoder = any(
            str(name).endswith(("ForConditionalGeneration", "MTModel"))
            for name in checkpoint.config.get("architectures") or ()
        )
        auto = "AutoModelForSeq2SeqLM" if is_encoder_decoder else "AutoModel"
        model = load_network(checkpoint, auto, Loading(), **_EAGERLY)
    facts = Facts(
        task=_TASK,
        backend=checkpoint.kind,
        location=checkpoint.location,
        device=model.device.type,
        dtype=str(model.dtype).removeprefix("torch."),
        num_bytes=num_weight_bytes(model),
        load_s=time.perf_counter() - started,
        context=context_length(model.config.get_text_config().to_dict()),
    )
    return AttentionReader(facts, model=model, tokenizer=tokenizer)


def _maps_of(output: dict, is_encoder_decoder: bool) -> dict[str, tuple[np.ndarray, ...]]:
    names = _OUTPUTS if is_encoder_decoder else {SELF: "attentions"}
    maps = {}
    for kind, name in names.items():
        layers = [each for each in output.get(name) or () if each is not None]
        if layers:
            maps[kind] = tuple(each[0].float().cpu().numpy() for each in layers)
    if not maps:
        raise RunnerError(
            "The model gave no attention: it has none, or computes it in a way that keeps no probabilities.",
            "Its heads can be seen in the weights.",
        )
    return maps

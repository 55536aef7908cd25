"""Writing text: many prompts at once, a key-value cache, and the model's own probability of every token written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from engine.errors import TrainingError
from engine.training.key_value_cache import KeyValueCache
from engine.training.model import Decoder

DROP_BELOW = 0.75
"""Finished rows are dropped when fewer than this share go on: copying the cache then costs less than computing them."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written after one prompt.

    Attributes:
        tokens: written, the stop token included. log_probs: ln p of each under the model at temperature 1, whatever it
            was drawn with.
        ended: "stop" at a stop token, "length" after as many as were asked for, "context" where the context was full.
    """

    tokens: list[int]
    log_probs: list[float]
    ended: Literal["stop", "length", "context"]


@torch.inference_mode()
def generate(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    samples: int = 1,
    seed: int | Sequence[int] | None = None,
    generator: torch.Generator | None = None,
    stop: int | Collection[int] = (),
) -> list[Written]:
    """Go on from every prompt, all at once; nothing is dropped out, and the model's mode is left alone.

    Args:
        prompts: token ids, 1 … context each; lengths may differ.
        new_tokens: written after each at the most; less where the context is full first: a prompt of n tokens leaves
            room for context − n + 1.
        temperature: 0 takes the likeliest token. top_k: draw among so many likeliest; 0 for all. top_p: draw among the
            likeliest that reach this probability together, after top_k.
        samples: texts for each prompt, which is read once for all of them.
        seed: an integer for the whole call, or one for each text: such a text is then the same in any company.
        generator: where random numbers come from without a seed; None: torch's own.
        stop: tokens that end a text.
    Returns: prompts × samples texts, those of the first prompt first.
    Raises: TrainingError for an empty prompt, one longer than the context, a token that the model lacks, or a setting
        out of its range.
    """
    _check(model, prompts, new_tokens, (temperature, top_k, top_p, samples))
    if not prompts:
        return []
    device = model.embed_tokens.weight.device
    num_rows = len(prompts) * samples
    uniforms = None
    if temperature > 0:
        wide = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPU has no fp64
        uniforms = _uniforms(num_rows, new_tokens, seed, generator).to(device, wide)
    hidden, cache = _read(model, prompts)
    if samples > 1:
        rows = torch.arange(len(prompts), device=device).repeat_interleave(samples)
        hidden = hidden[rows]
        cache.select(rows)
    room = model.settings.context + 1
    limits = [min(new_tokens, room - len(prompt)) for prompt in prompts for _ in range(samples)]
    stops = torch.tensor(sorted({stop} if isinstance(stop, int) else set(stop)), dtype=torch.long, device=device)
    tokens, log_probs, lengths = _write(model, hidden, cache, _Plan(limits, stops, uniforms, temperature, top_k, top_p))
    stop_ids = set(stops.tolist())
    return [
        Written(row, row_log_probs, _ended(row, stop_ids, new_tokens))
        for row, row_log_probs in (
            (tokens[i, :length].tolist(), log_probs[i, :length].tolist()) for i, length in enumerate(lengths)
        )
    ]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Until where each row is written, and how its tokens are drawn: uniforms (rows, new tokens), None for greedy."""

    limits: list[int]
    stops: torch.Tensor
    uniforms: torch.Tensor | None
    temperature: float
    top_k: int
    top_p: float


def _read(model: Decoder, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, KeyValueCache]:
    """Fill a cache with the prompts, padded on the left; also the last hidden state of each, (prompts, width)."""
    device = model.embed_tokens.weight.device
    longest = max(map(len, prompts))
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
    starts = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
    is_ragged = any(len(prompt) != longest for prompt in prompts)
    cache = KeyValueCache(model, len(prompts), starts if is_ragged else None)
    return model.hidden(ids.to(device), cache)[:, -1], cache


def _write(
    model: Decoder, hidden: torch.Tensor, cache: KeyValueCache, plan: _Plan
) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """Tokens and log-probabilities (rows, new tokens), and how many of each row count."""
    device, num_rows, most = hidden.device, len(plan.limits), max(plan.limits)
    lengths = torch.tensor(plan.limits, device=device)
    first_end = min(plan.limits)
    rows, uniforms = torch.arange(num_rows, device=device), plan.uniforms  # of the texts that are still written
    steps = []
    head = model.head.to(hidden.dtype)
    for place in range(most):
        logits = functional.linear(hidden, head).float()  # (rows, vocabulary)
        numbers = None if uniforms is None else uniforms[:, place]
        drawn, log_probs = draw(logits, numbers, plan.temperature, plan.top_k, plan.top_p)
        steps.append((rows, drawn, log_probs))
        if len(plan.stops):
            is_stop = torch.isin(drawn, plan.stops)
            lengths[rows[is_stop]] = lengths[rows[is_stop]].clamp(max=place + 1)
        if place + 1 == most:
            break
        if len(plan.stops) or place + 1 >= first_end:
            goes_on = lengths[rows] > place + 1
            num_left = int(goes_on.sum())
            if num_left == 0:
                break
            if num_left < DROP_BELOW * len(rows) or (num_left < len(rows) and place + 1 >= first_end):
                kept = goes_on.nonzero()[:, 0]
                rows, drawn = rows[kept], drawn[kept]
                uniforms = None if uniforms is None else uniforms[kept]
                cache.select(kept)
        hidden = model.hidden(drawn[:, None], cache)[:, -1]
    tokens = torch.zeros(num_rows, most, dtype=torch.long, device=device)
    all_log_probs = torch.zeros(num_rows, most, device=device)
    for place, (rows, drawn, log_probs) in enumerate(steps):
        tokens[rows, place], all_log_probs[rows, place] = drawn, log_probs
    return tokens, all_log_probs, lengths.tolist()


def draw(
    logits: torch.Tensor, uniforms: torch.Tensor | None, temperature: float, top_k: int = 0, top_p: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row by inverting the cumulative distribution: one random number a row, not one a token.

    Args:
        logits: (rows, vocabulary) fp32. uniforms: (rows,) in [0, 1), fp64 where it exists; None for the
            likeliest token.
    Returns: tokens (rows,) int64, and ln p of each under softmax(logits), (rows,).
    """
    if uniforms is None:
        drawn = logits.argmax(dim=1, keepdim=True)
        return drawn[:, 0], logits.log_softmax(dim=1).gather(1, drawn)[:, 0]
    order, scaled = None, logits if temperature == 1 else logits / temperature
    if 0 < top_k < logits.shape[1]:
        scaled, order = scaled.topk(top_k, dim=1)
    elif top_p < 1:
        scaled, order = scaled.sort(dim=1, descending=True)
    chances = scaled.softmax(dim=1)
    cumulative = chances.cumsum(dim=1, dtype=uniforms.dtype)
    total = cumulative[:, -1:]
    if top_p < 1:
        last = (cumulative < top_p).sum(dim=1, keepdim=True).clamp(max=cumulative.shape[1] - 1)
        total = cumulative.gather(1, last)
    # right: the first token whose sum exceeds the number, so that one without probability is never drawn
    place = torch.searchsorted(cumulative, uniforms[:, None] * total, right=True).clamp(max=cumulative.shape[1] - 1)
    if temperature == 1 and order is None:
        return place[:, 0], chances.gather(1, place).log()[:, 0]
    drawn = place if order is None else order.gather(1, place)
    return drawn[:, 0], logits.log_softmax(dim=1).gather(1, drawn)[:, 0]


def _uniforms(
    num_rows: int, new_tokens: int, seed: int | Sequence[int] | None, generator: torch.Generator | None
) -> torch.Tensor:
    """(rows, new tokens) fp64 in [0, 1); with seeds, those of a row follow from its seed alone."""
    if seed is None:
        return torch.rand(num_rows, new_tokens, dtype=torch.float64, generator=generator)
    if isinstance(seed, (int, np.integer)):
        return torch.from_numpy(np.random.default_rng(seed).random((num_rows, new_tokens)))
    if len(seed) != num_rows:
        raise TrainingError(f"{num_rows} texts need as many seeds, got {len(seed)}.", "Give one seed for each text.")
    return torch.from_numpy(np.stack([np.random.default_rng(each).random(new_tokens) for each in seed]))


def _ended(tokens: list[int], stop_ids: set[int], new_tokens: int) -> Literal["stop", "length", "context"]:
    if tokens and tokens[-1] in stop_ids:
        return "stop"
    return "length" if len(tokens) == new_tokens else "context"


def _check(
    model: Decoder, prompts: Sequence[Sequence[int]], new_tokens: int, drawing: tuple[float, int, float, int]
) -> None:
    context, vocabulary = model.settings.context, model.settings.vocabulary_size
    for number, prompt in enumerate(prompts, 1):
        if not 1 <= len(prompt) <= context:
            raise TrainingError(
                f"Prompt {number} has {len(prompt)} tokens; the model takes 1 to {context}.",
                "Shorten it to its end, or begin with END_OF_TEXT where there is no prompt.",
            )
        if min(prompt) < 0 or max(prompt) >= vocabulary:
            raise TrainingError(
                f"Prompt {number} has a token outside of the vocabulary of {vocabulary}.", "Use the model's tokenizer."
            )
    temperature, top_k, top_p, samples = drawing
    limits = (
        ("new_tokens", new_tokens, new_tokens >= 1, "at least 1"),
        ("temperature", temperature, 0 <= temperature < float("inf"), "0 or more"),
        ("top_k", top_k, top_k >= 0, "0 or more"),
        ("top_p", top_p, 0 < top_p <= 1, "above 0 and at most 1"),
        ("samples", samples, samples >= 1, "at least 1"),
    )
    for name, value, is_fine, expected in limits:
        if not is_fine:
            raise TrainingError(f"{name} must be {expected}, got {value}.", "Change that setting.")

"""Settings as controls: one row each, bound to the URL, with the default that the preset gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

COLUMNS = 3


@dataclass(frozen=True)
class Number:
    """A setting that is a number. `least` … `most` by `step`; floats where the step is one."""

    name: str
    label: str
    words: str
    least: float
    most: float
    step: float
    form: str | None = None


@dataclass(frozen=True)
class Choice:
    """A setting that is one of a few words."""

    name: str
    label: str
    words: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Switch:
    """A setting that is on or off."""

    name: str
    label: str
    words: str


Field = Number | Choice | Switch

MODEL: tuple[Field, ...] = (
    Number(
        "vocabulary_size",
        "Vocabulary",
        "Tokens that it knows, learnt from the text; 257 is every byte.",
        257,
        262144,
        256,
    ),
    Number(
        "width",
        "Width",
        "Numbers that stand for each token on its way through the layers; a multiple of twice the heads.",
        2,
        8192,
        32,
    ),
    Number("layers", "Layers", "Blocks of attention and feed-forward, one after the other.", 1, 128, 1),
    Number("heads", "Heads", "Parts of the width that look at the text each in their own way.", 1, 128, 1),
    Number(
        "key_value_heads",
        "Key and value heads",
        "Shared by several heads to save memory (grouped-query attention); 0 for as many as heads.",
        0,
        128,
        1,
    ),
    Number("ffn_width", "Feed-forward width", "Hidden units of each block; 0 for 8/3 of the width.", 0, 65536, 32),
    Number("context", "Context", "Tokens that it sees at once.", 2, 32768, 64),
    Number(
        "dropout",
        "Dropout",
        "Share of numbers set to zero while it learns: against learning a small text by heart.",
        0.0,
        0.9,
        0.05,
    ),
    Number(
        "rope_theta",
        "RoPE base",
        "Base of the rotary angles that tell positions apart; larger for long contexts.",
        1.0,
        1e8,
        1000.0,
        "%g",
    ),
    Switch("tied", "Tied embedding", "The embedding is also the output head: fewer parameters, best for small models."),
)
"""Every dimension of a model; names of `ModelSettings`."""

TRAINING: tuple[Field, ...] = (
    Number("steps", "Steps", "Updates of the weights at the most.", 1, 10_000_000, 100),
    Number("batch_size", "Batch", "Sequences an update learns from.", 1, 65536, 1),
    Number(
        "accumulation",
        "Accumulation",
        "Parts that a batch is computed in: less memory, same result; it must divide the batch.",
        1,
        4096,
        1,
    ),
    Choice(
        "optimizer",
        "Optimizer",
        "Muon for matrices and AdamW for the rest learns small models in fewer steps.",
        ("muon", "adamw"),
    ),
    Number("learning_rate", "Learning rate of AdamW", "0 for a default that fits the width.", 0.0, 1.0, 0.0001, "%g"),
    Number("muon_rate", "Learning rate of Muon", "Of the hidden matrices.", 0.0, 1.0, 0.001, "%g"),
    Choice(
        "schedule",
        "Schedule",
        "Trapezoid: rise, plateau, fall. Cosine: rise, then a slow fall.",
        ("trapezoid", "cosine"),
    ),
    Number("warmup_steps", "Warm-up steps", "In which the learning rate rises from zero.", 0, 1_000_000, 10),
    Number("decay_share", "Falling share", "Part of the steps in which a trapezoid falls.", 0.0, 1.0, 0.05),
    Number("final_share", "Final share", "The last learning rate as a part of the highest.", 0.0, 1.0, 0.01),
    Number("weight_decay", "Weight decay", "Pull of matrices towards zero.", 0.0, 10.0, 0.01),
    Number(
        "max_norm",
        "Longest gradient",
        "Longer ones are shortened to it: one bad batch then does little harm.",
        0.01,
        1000.0,
        0.1,
    ),
    Choice(
        "precision",
        "Precision",
        "auto takes bf16 only where it was found faster on this machine.",
        ("auto", "fp32", "bf16"),
    ),
    Number("evaluate_every", "Look at held-out text every … steps", "", 1, 1_000_000, 10),
    Number("patience", "Patience", "Looks without gain that end the training; 0 for never.", 0, 10_000, 1),
    Number(
        "save_every",
        "Save every … steps",
        "A checkpoint: what pausing goes back to, and a picture of the weights.",
        1,
        1_000_000,
        10,
    ),
    Number(
        "keep_last",
        "Checkpoints kept",
        "Besides the best and the last one; pictures and numbers of all stay.",
        1,
        10_000,
        1,
    ),
    Number("sample_every", "Write a sample every … steps", "0 for none.", 0, 1_000_000, 10),
    Number("seed", "Seed", "Of weights, order of text and dropout: the same seed, the same model.", 0, 2**31 - 1, 1),
    Number("threads", "Threads", "Of the processor; 0 for all cores.", 0, 1024, 1),
    Choice("device", "Device", "auto takes the fastest there is.", ("auto", "cpu", "cuda", "mps")),
    Switch("compile", "Compile", "Slower to begin, faster afterwards; needs a compiler."),
)
"""How it learns from text; names of `TrainingSettings`."""

SELF_PLAY: tuple[Field, ...] = (
    Number("iterations", "Iterations", "Updates at the most.", 1, 1_000_000, 10),
    Number("prompts", "Prompts", "Different beginnings an iteration, taken from the text.", 1, 4096, 1),
    Number(
        "group",
        "Samples a prompt",
        "What it writes after each prompt; the better ones are made likelier than the others.",
        2,
        1024,
        1,
    ),
    Number("new_tokens", "New tokens", "Written for each sample at the most.", 1, 4096, 8),
    Number("prompt_tokens", "Prompt tokens", "Length of each beginning.", 1, 4096, 4),
    Number("temperature", "Temperature", "Of what it writes; 1 is the model itself.", 0.05, 5.0, 0.05),
    Choice(
        "advantage",
        "Advantage",
        "grpo: centred and scaled within the group. rloo: against the mean of the others.",
        ("grpo", "rloo"),
    ),
    Number("learning_rate", "Learning rate", "Small, or it runs away.", 1e-7, 1.0, 1e-5, "%g"),
    Number("kl_coefficient", "Leash", "Weight of the distance (KL) from the model it began as.", 0.0, 100.0, 0.01),
    Number(
        "kl_target",
        "Leash length",
        "KL in nats a token that the leash is adapted to hold; 0 keeps it fixed.",
        0.0,
        100.0,
        0.01,
    ),
    Number("evaluate_every", "Look at held-out text every … iterations", "", 1, 100_000, 5),
    Number("save_every", "Save every … iterations", "", 1, 100_000, 5),
)
"""How it plays; names of `SelfPlaySettings`, but for the weights of the reward."""


def controls(fields: Sequence[Field], defaults: Any, prefix: str = "") -> dict[str, Any]:
    """Draw the fields in columns; returns their values by name.

    Args: defaults: a settings object that gives each field's default. prefix: of the keys in the URL.
    """
    values: dict[str, Any] = {}
    for first in range(0, len(fields), COLUMNS):
        row = fields[first : first + COLUMNS]
        for column, field in zip(st.columns(COLUMNS, vertical_alignment="bottom"), row, strict=False):
            with column:
                values[field.name] = _control(field, getattr(defaults, field.name), f"{prefix}{field.name}")
    return values


def forget(fields: Sequence[Field], defaults: Any, prefix: str = "") -> None:
    """From a callback: the fields take the defaults of another preset."""
    for field in fields:
        st.session_state[f"{prefix}{field.name}"] = getattr(defaults, field.name)


def _control(field: Field, default: Any, key: str) -> Any:
    words = field.words or None
    if isinstance(field, Switch):
        return st.toggle(field.label, default, key=key, bind="query-params", help=words)
    if isinstance(field, Choice):
        options = list(field.options)
        chosen = st.selectbox(
            field.label, options, index=options.index(default), key=key, bind="query-params", help=words
        )
        return chosen or default
    kind = float if isinstance(field.step, float) else int
    value = st.number_input(
        field.label,
        kind(field.least),
        kind(field.most),
        kind(default),
        kind(field.step),
        format=field.form,
        key=key,
        bind="query-params",
        help=words,
    )
    return kind(value) if value is not None else kind(default)

"""What is asked of a training: the model, how it learns, and where its text comes from. Plain data, JSON both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["auto", "fp32", "bf16"]
OptimizerName = Literal["muon", "adamw"]
ScheduleName = Literal["cosine", "trapezoid"]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The shape of a decoder-only transformer, saved as an ordinary Llama checkpoint.

    Attributes:
        vocabulary_size: tokens, END_OF_TEXT and the 256 bytes included.
        width: of the residual stream; a multiple of `heads`, and width / heads is even (for RoPE).
        layers, heads: blocks, and query heads of each.
        key_value_heads: heads of keys and values, a divisor of `heads` (grouped-query attention); 0 means `heads`.
        ffn_width: hidden units of each SwiGLU block; 0 means 8/3 of the width, rounded up to a multiple of 32.
        context: tokens the model sees at once.
        dropout: share of the embedding and of each block's output set to zero while training; 0 for none.
        tied: whether the embedding is also the output head.
        rope_theta: base of the rotary angles (Su et al. 2021).
        norm_epsilon: added to the mean square in every RMSNorm.
    """

    vocabulary_size: int = 4096
    width: int = 256
    layers: int = 4
    heads: int = 4
    key_value_heads: int = 0
    ffn_width: int = 0
    context: int = 256
    dropout: float = 0.0
    tied: bool = True
    rope_theta: float = 10000.0
    norm_epsilon: float = 1e-6


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a model learns to predict the next token.

    Attributes:
        steps: updates of the weights at the most; the schedule ends there.
        batch_size: sequences of one update, over all processes and accumulation together.
        accumulation: parts that an update's batch is computed in; changes memory, not meaning.
        optimizer: "muon" (hidden matrices by Muon, embeddings and vectors by AdamW) or "adamw".
        learning_rate: highest rate of AdamW; 0 takes a default that fits the width. muon_rate: the same of Muon.
        schedule: "cosine", or "trapezoid" (rise, plateau, fall). warmup_steps: of linear rise.
        final_share: the last rate as a part of the highest. decay_share: part of the steps that a trapezoid falls.
        weight_decay: of matrices only. max_norm: longer gradients are shortened to it.
        precision: "auto" takes bf16 only where a probe found it faster. compile: whether torch.compile is used.
        evaluate_every: steps between looks at held-out text. patience: looks without gain that end it, 0: never.
        save_every: steps between checkpoints. keep_last: checkpoints kept besides the best one and the last one.
        sample_every: steps between samples of text; 0 for none. seed: of weights, order of text and dropout.
        threads: of torch on the CPU; 0 for the machine's cores. device: "auto", "cpu", "cuda", "mps".
    """

    steps: int = 1000
    batch_size: int = 16
    accumulation: int = 1
    optimizer: OptimizerName = "muon"
    learning_rate: float = 0.0
    muon_rate: float = 0.02
    schedule: ScheduleName = "trapezoid"
    warmup_steps: int = 50
    final_share: float = 0.05
    decay_share: float = 0.4
    weight_decay: float = 0.1
    max_norm: float = 1.0
    precision: Precision = "auto"
    compile: bool = False
    evaluate_every: int = 100
    patience: int = 0
    save_every: int = 100
    keep_last: int = 3
    sample_every: int = 100
    seed: int = 0
    threads: int = 0
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class SelfPlaySettings:
    """How a trained model goes on learning from rewards for what it writes itself.

    Attributes:
        iterations: updates at the most. prompts: different prompts an update. group: samples of each prompt.
        new_tokens: written for each sample at the most. prompt_tokens: length of a prompt, taken from training text.
        temperature: of sampling (1: the model itself). advantage: "grpo" (centred and scaled in the group) or "rloo"
            (each sample against the mean of the others).
        weights: reward part -> weight; parts not named count nothing.
        learning_rate: of AdamW. max_norm: longer gradients are shortened to it.
        kl_coefficient: weight of the KL divergence from the frozen reference; kl_target: nats a token that an adaptive
            coefficient holds; 0 keeps the coefficient fixed.
        evaluate_every, save_every: updates between looks at held-out text, and between checkpoints.
        keep_last, seed, threads, device: as in TrainingSettings.
    """

    iterations: int = 100
    prompts: int = 8
    group: int = 8
    new_tokens: int = 48
    prompt_tokens: int = 16
    temperature: float = 1.0
    advantage: Literal["grpo", "rloo"] = "grpo"
    weights: tuple[tuple[str, float], ...] = (
        ("coherence", 1.0),
        ("diversity", 1.0),
        ("repetition", 1.0),
        ("length", 0.5),
        ("vocabulary", 0.5),
        ("naturalness", 1.0),
    )
    learning_rate: float = 1e-4
    max_norm: float = 1.0
    kl_coefficient: float = 0.05
    kl_target: float = 0.05
    evaluate_every: int = 10
    save_every: int = 10
    keep_last: int = 3
    seed: int = 0
    threads: int = 0
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class CorpusChoice:
    """One body of text to learn from.

    Attributes:
        source: "bundled:<name>", "library:<id>" (an uploaded text that was kept), a path, or "hub:<owner/name>".
        weight: how often a token of it is drawn, relative to a token of a corpus of weight 1.
        split, column: of a hub data set; "" takes "train" and the first text column. documents: at the most; 0 for all.
    """

    source: str
    weight: float = 1.0
    split: str = ""
    column: str = ""
    documents: int = 0

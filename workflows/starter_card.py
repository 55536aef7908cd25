"""The model card of a bundled checkpoint: how it was made, what it is worth, and how to make it again."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingface_hub import EvalResult, ModelCardData

from engine.training.corpus import OVERLAP_CHARACTERS, Document, Split, num_bytes
from engine.training.held_out import HeldOutLoss
from engine.training.optimizers import BETAS
from engine.training.settings import TrainingSettings
from engine.training.supervised import TrainingResult

if TYPE_CHECKING:
    from workflows.starter_checkpoints import StarterSettings


@dataclass(frozen=True, slots=True)
class Measured:
    """A saved checkpoint's loss on the three parts of the text."""

    training: HeldOutLoss
    validation: HeldOutLoss
    test: HeldOutLoss


@dataclass(frozen=True, slots=True)
class StarterFacts:
    """What the cards tell.

    Attributes:
        settings: what was chosen. python, torch, transformers: versions. processor: instruction set that torch used.
        corpus_hash: SHA-256 of the whole text before the split. parts: the split.
        num_parameters: of the decoder. num_tokens: of the training text. result: how the training went.
        measured: by checkpoint name. sample: what `starter` wrote. copied: its longest run in the training text.
    """

    settings: StarterSettings
    python: str
    torch: str
    transformers: str
    processor: str
    corpus_hash: str
    parts: Split
    num_parameters: int
    num_tokens: int
    result: TrainingResult
    measured: dict[str, Measured]
    sample: str
    copied: str


INTRODUCTION = {
    "starter-init": "A small Llama-style decoder with fresh random weights: `starter` before it learnt anything.",
    "starter": "A small Llama-style decoder that learnt the Python language reference: `starter-init` after training.",
}


def model_card(name: str, facts: StarterFacts) -> str:
    """The README.md of checkpoint `name`: front matter that the hub understands, then prose and tables."""
    sections = [_front_matter(name, facts), f"# {name}", INTRODUCTION[name], _purpose(), _measurements(facts)]
    if name == "starter":
        sections.append(_sample(facts))
    sections += [_data(facts), _making(facts)]
    return "\n\n".join(sections) + "\n"


def _front_matter(name: str, facts: StarterFacts) -> str:
    test = facts.measured[name].test
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type="pydoc_data.topics",
            dataset_name=f"Python {facts.python} language reference, held-out topics",
            metric_type=metric,
            metric_value=round(value, 4),
        )
        for metric, value in (("perplexity", test.perplexity), ("bits_per_byte", test.bits_per_byte))
    ]
    data = ModelCardData(
        language="en",
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="text-generation",
        model_name=name,
        eval_results=results,
    )
    return f"---\n{data.to_yaml().strip()}\n---"


def _purpose() -> str:
    return (
        "The two are a pair to look at: the same tensors before and after learning, small enough to come with the\n"
        "program. The text it writes has the look of the reference, not its sense; use it for nothing else."
    )


def _measurements(facts: StarterFacts) -> str:
    rows = [
        f"| {name} | {measured.test.perplexity:.1f} | {measured.test.bits_per_byte:.3f} "
        f"| {measured.validation.bits_per_byte:.3f} | {measured.training.bits_per_byte:.3f} |"
        for name, measured in facts.measured.items()
    ]
    test, context = facts.measured["starter"].test, facts.settings.model.context
    amount = f"{test.num_tokens:,} tokens, {test.num_bytes:,} bytes"
    return "\n".join(
        [
            "## How well it predicts",
            "",
            "| checkpoint | held-out perplexity | held-out bits per byte | validation, bits per byte | training text |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Measured on the saved bf16 weights, computed in fp32. Held-out text was neither learnt nor used to choose",
            f"anything ({amount}); validation text chose settings and step.",
            f"Every token is priced once, in windows of {context} that move by {context // 2}.",
            "Perplexity is per token of the model's own tokenizer; bits per byte compare between tokenizers.",
        ]
    )


def _sample(facts: StarterFacts) -> str:
    settings = facts.settings
    return "\n".join(
        [
            "## A sample",
            "",
            f"After `{settings.prompt}`, sampled as `generation_config.json` says, with seed {settings.seed}:",
            "",
            textwrap.indent(facts.sample, "    "),  # no fence: the reference underlines its titles with ~ and the like
            "",
            f"Its longest run that stands so in the training text has {len(facts.copied)} characters.",
        ]
    )


def _data(facts: StarterFacts) -> str:
    def names(documents: tuple[Document, ...]) -> str:
        return ", ".join(document.name for document in documents)

    parts = facts.parts
    return "\n".join(
        [
            "## Data",
            "",
            f"The language reference inside Python {facts.python} (`pydoc_data.topics`, the text behind `help()`),",
            "© Python Software Foundation, PSF License; read from the running Python, not part of this repository.",
            f"SHA-256 of all topics: `{facts.corpus_hash}`.",
            "",
            f"Whole topics are held out. Topics with {OVERLAP_CHARACTERS} characters in common (white space aside)",
            "stay on one side, and a paragraph that returns among them is kept once; all before windows are cut.",
            "",
            "| part | topics | bytes |",
            "|---|---|---|",
            f"| training | {len(parts.training)} | {num_bytes(parts.training):,} ({facts.num_tokens:,} tokens) |",
            f"| validation | {len(parts.validation)} | {num_bytes(parts.validation):,} |",
            f"| held-out | {len(parts.test)} | {num_bytes(parts.test):,} |",
            "",
            f"Validation: {names(parts.validation)}.",
            "",
            f"Held-out: {names(parts.test)}.",
        ]
    )


def _making(facts: StarterFacts) -> str:
    settings, training, shape = facts.settings, facts.settings.training, facts.settings.model
    seen = facts.result.best_step * training.batch_size * shape.context / facts.num_tokens
    return "\n".join(
        [
            "## How it was made",
            "",
            "`python -m workflows starter` makes both checkpoints again: the same bits with the same versions, number",
            "of threads and instruction set.",
            "",
            "| what | value |",
            "|---|---|",
            f"| architecture | `LlamaForCausalLM`, {facts.num_parameters:,} parameters, tied embeddings |",
            f"| shape | width {shape.width}, {shape.layers} layers, {shape.heads} heads, "
            f"feed-forward {shape.ffn_width}, context {shape.context} |",
            f"| fresh weights | normal, standard deviation {settings.initial_scale}, rounded to bf16; norms 1 |",
            f"| tokenizer | byte-level BPE, {shape.vocabulary_size} tokens, learnt from the training text only |",
            f"| optimizer | {_optimizer(training)}, weight decay {training.weight_decay:g} on matrices |",
            f"| learning rate | {_rate(training)} |",
            f"| batch | {training.batch_size} windows of {shape.context} tokens; gradient norm at most "
            f"{training.max_norm:g} |",
            f"| dropout | {shape.dropout} on embeddings and block outputs |",
            f"| steps | {facts.result.step} of at most {training.steps}; kept is step {facts.result.best_step}, "
            f"best on validation text ({seen:.0f} passes over the training text) |",
            f"| seed | {settings.seed} for split and weights, {training.seed} for batches and dropout |",
            "| precision | fp32 while training, bf16 as saved |",
            f"| software | Python {facts.python}, torch {facts.torch}, transformers {facts.transformers} |",
            f"| processor | {facts.processor}, threads: {training.threads} |",
            f"| time | {facts.result.elapsed_s / 60:.1f} minutes |",
        ]
    )


def _optimizer(training: TrainingSettings) -> str:
    adamw = f"AdamW, betas {BETAS[0]} and {BETAS[1]}"
    return adamw if training.optimizer == "adamw" else f"Muon for the matrices of the blocks; else {adamw}"


def _rate(training: TrainingSettings) -> str:
    highest = f"{training.learning_rate:g}"
    if training.optimizer == "muon":
        highest += f" (Muon {training.muon_rate:g})"
    fall = "a cosine"
    if training.schedule == "trapezoid":
        fall = f"a line over the last {training.decay_share:.0%} of the steps"
    end = f"{training.final_share:g} of it"
    return f"{highest} after {training.warmup_steps} steps of warm-up, falls along {fall} to {end}"

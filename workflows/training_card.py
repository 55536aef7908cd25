"""The model card of a trained model: what it learnt from, how, what it is worth, and how to make it again."""

from __future__ import annotations

import json
import platform
import shlex
import textwrap
from dataclasses import asdict, dataclass, fields
from pathlib import PurePath
from typing import TYPE_CHECKING

from huggingface_hub import EvalResult, ModelCardData

from engine.training.presets import PRESETS
from engine.training.settings import CorpusChoice, SelfPlaySettings
from workflows.product import signature
from workflows.trained_models import PARENT_HASH_KEY, PARENT_KEY
from workflows.training_request import TrainingRequest
from workflows.training_text import CorpusFacts, TextFacts
from workflows.training_words import USUAL_PRESET
from workflows.wording import duration_text

if TYPE_CHECKING:
    from engine.training.distributed import World


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the card tells: request, text, `outcome` and `parent` as the run's result has them, versions and machine."""

    request: TrainingRequest
    text: TextFacts
    outcome: dict
    parent: dict[str, str]
    environment: dict[str, str]


def environment(world: World, threads: int) -> dict[str, str]:
    """What computed: versions, device, instruction set, processes. Args: threads: asked for; 0 for the usual number."""
    import torch
    import transformers

    from engine.runners.devices import set_threads

    device = world.device
    if device.startswith("cuda"):
        device = torch.cuda.get_device_name(device)
    elif device == "cpu":
        device = f"CPU ({torch.backends.cpu.get_cpu_capability()}, {threads or set_threads()} threads)"
    return {
        "made with": signature(),
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": device,
        "processes": str(world.size),
    }


def model_card(facts: CardFacts) -> str:
    """The README.md of a trained model: front matter that the hub understands, then prose and tables."""
    sections = [
        _front_matter(facts),
        f"# {facts.request.name}",
        _introduction(facts),
        *([_notes(facts.request.notes)] if facts.request.notes.strip() else []),
        _results(facts.outcome),
        _data(facts.text),
        _settings(facts),
        _reproduction(facts),
    ]
    return "\n\n".join(sections) + "\n"


def command(request: TrainingRequest) -> str:
    """The words that train such a model in a terminal, with every setting that differs from the usual preset.

    Of paths only the last part is told: the card is there to be passed on.
    """
    words = ["python", "-m", "workflows", "train", "--name", request.name]
    if request.start_from:
        words += ["--start-from", _public(request.start_from)]
    for choice in request.corpora:
        usual = CorpusChoice(choice.source)
        told = [name for name in ("weight", "split", "column", "documents") if _differs(choice, usual, name)]
        words += ["--corpus", ",".join([_public(choice.source), *(f"{n}={_option(getattr(choice, n))}" for n in told)])]
    words += ["--held-out", f"{request.held_out_share:g}"]
    words += [] if request.training is not None else ["--no-training"]
    words += [] if request.self_play is None else ["--self-play"]
    begun = PRESETS[USUAL_PRESET]
    for part, usual in (
        ("model", begun.model),
        ("training", begun.training),
        ("self_play", SelfPlaySettings()),
    ):
        given = getattr(request, part)
        for field in fields(usual) if given is not None else ():
            if _differs(given, usual, field.name):
                words += ["--set", f"{part}.{field.name}={_option(getattr(given, field.name))}"]
    return shlex.join(words)


def _differs(given: object, usual: object, name: str) -> bool:
    return getattr(given, name) != getattr(usual, name)


def _option(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _public(source: str) -> str:
    """A source without the folders of this machine."""
    return source if source.startswith(("bundled:", "library:", "hub:")) else PurePath(source).name


def _front_matter(facts: CardFacts) -> str:
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type="held-out",
            dataset_name="Held-out text of the corpora below",
            metric_type=metric,
            metric_value=round(facts.outcome[metric], 4),
        )
        for metric in ("perplexity", "bits_per_byte")
    ]
    data = ModelCardData(
        license="other",
        library_name="transformers",
        pipeline_tag="text-generation",
        model_name=facts.request.name,
        base_model=facts.parent.get(PARENT_KEY) or None,
        tags=["weightscope"],
        eval_results=results,
    )
    return f"---\n{data.to_yaml().strip()}\n---"


def _introduction(facts: CardFacts) -> str:
    outcome, request = facts.outcome, facts.request
    begin = f"It went on from {_code(facts.parent[PARENT_KEY])}" if facts.parent else "It began with random weights"
    if facts.parent.get(PARENT_HASH_KEY):
        begin += f" (SHA-256 `{facts.parent[PARENT_HASH_KEY]}`)"
    did = [
        words for words, part in (("learnt to predict text", request.training), ("played", request.self_play)) if part
    ]
    return textwrap.fill(
        f"A Llama-style decoder with {outcome['num_parameters']:,} parameters. {begin}, {' and then '.join(did)}; what "
        f"is kept is step {outcome['best_step']:,} of {outcome['steps']:,}. {outcome['reason']}",
        120,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _notes(notes: str) -> str:
    quoted = "\n".join(f"> {line}".rstrip() for line in notes.strip().splitlines())
    return f"## Notes\n\n{quoted}"


def _results(outcome: dict) -> str:
    lines = [
        "## What it is worth",
        "",
        "| measured on held-out text | value |",
        "|---|---|",
        f"| bits per byte | {outcome['bits_per_byte']:.4f} |",
        f"| perplexity per token | {outcome['perplexity']:.2f} |",
        f"| bytes of that text | {outcome['test_bytes']:,} |",
    ]
    if outcome["verdict"]:
        verdict = outcome["verdict"]
        lines += [
            "",
            f"Self-play, judged after step {verdict['step']:,}: **{verdict['verdict']}**. {verdict['reason']}",
        ]
    lines += [
        "",
        "The text was set aside before anything was learnt and shares no long run with what was learnt. Bits per byte",
        "compare between tokenizers; perplexity does not.",
    ]
    return "\n".join(lines)


def _data(text: TextFacts) -> str:
    rows = [_corpus_row(corpus) for corpus in text.corpora]
    lines = [
        "## Data",
        "",
        "| corpus | weight | documents | bytes | training tokens | SHA-256 of names and texts |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"Held out: {text.validation_bytes:,} bytes to choose the step, {text.test_bytes:,} bytes to judge the result; "
        f"{text.dropped_bytes:,} bytes were copies or too like held-out text, and are in no part.",
        *(f"\n{note}" for note in text.notes),
        "",
        "The rights in these texts stay with their owners. Whoever uses or passes on this model is responsible for",
        "having the right to do so; that is why the licence above says `other`.",
    ]
    return "\n".join(lines)


def _corpus_row(corpus: CorpusFacts) -> str:
    return (
        f"| {_code(_public(corpus.name))} | {corpus.weight:g} | {corpus.num_documents:,} | {corpus.num_bytes:,} "
        f"| {corpus.num_tokens:,} | `{corpus.sha256}` |"
    )


def _settings(facts: CardFacts) -> str:
    lines = ["## Settings", "", "| what | value |", "|---|---|"]
    parts = (
        ("model", facts.outcome["model"]),
        *((name, _asdict(facts.request, name)) for name in ("training", "self_play")),
    )
    for part, values in parts:
        lines += [f"| {part}: {name} | {_value(value)} |" for name, value in values.items()]
    return "\n".join(lines)


def _reproduction(facts: CardFacts) -> str:
    rows = [f"| {name} | {value} |" for name, value in facts.environment.items()]
    return "\n".join(
        [
            "## How to make it again",
            "",
            "With the same texts, versions, device and number of threads the same bits come out on a CPU:",
            "",
            "```sh",
            command(facts.request),
            "```",
            "",
            "| what | value |",
            "|---|---|",
            *rows,
            f"| time | {duration_text(facts.outcome['elapsed_s'])} |",
        ]
    )


def _asdict(request: TrainingRequest, part: str) -> dict:
    settings = getattr(request, part)
    return asdict(settings) if settings is not None else {}


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{name} {weight:g}" for name, weight in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _code(text: str) -> str:
    """Text from outside as code in a table: nothing in it means anything."""
    plain = " ".join(text.replace("|", "/").replace("`", "'").split())
    return f"`{plain}`"

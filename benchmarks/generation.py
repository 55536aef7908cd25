"""Text generation against `transformers.generate` on the same loaded model, and how soon the first token comes.

python -m benchmarks.generation [--quick] [--json]

Both sides make the same number of tokens in the same type; ours also gives each token's probability and five
alternatives, and streams. One thread, and the processor time of it, which is what the clock shows where nothing else
runs. Loading and the first token are timed by the clock, on two threads.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import transformers

from benchmarks.harness import Result, main, timings_in_turns
from engine.runners import GenerationSettings, load
from engine.runners.text_generation import TextGenerator

STARTER = Path(__file__).resolve().parent.parent / "models" / "starter"
PROMPT = "The import statement"
REPETITIONS = 11
SETTINGS = {
    "greedy": GenerationSettings(temperature=0.0, top_k=0),
    "sampled": GenerationSettings(temperature=0.8, top_k=50, top_p=0.95, repetition_penalty=1.1),
}


def larger_model(folder: Path) -> Path:
    """A Llama of 50 million random weights with a vocabulary of 32,000, and the starter's tokenizer."""
    config = transformers.LlamaConfig(
        vocab_size=32_000,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=8,
        num_attention_heads=8,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    transformers.LlamaForCausalLM(config).eval().save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(STARTER, local_files_only=True).save_pretrained(folder)
    return folder


def compare(name: str, runner: TextGenerator, num_tokens: int, target: str = "≥ 1") -> dict[str, Result]:
    """Our tokens a second over those of `generate`, greedy and sampled. No end token, so that both go all the way."""
    model, results = runner.decoder.model, {}
    runner.decoder.end_ids, model.generation_config.eos_token_id = frozenset(), None
    prompt = torch.tensor([runner.prepare(PROMPT).token_ids])
    for way, settings in SETTINGS.items():
        own = replace(settings, max_new_tokens=num_tokens)
        options = {"attention_mask": torch.ones_like(prompt), "max_new_tokens": num_tokens, "pad_token_id": 0}
        works = {
            "own": partial(_write, runner, own),
            "generate": partial(model.generate, prompt, **options, **_as_options(settings)),
        }
        timings = timings_in_turns(works, repetitions=REPETITIONS)
        ours, theirs = (timings[each].cpu_s for each in works)
        rate = f"{num_tokens / ours:.0f}/s over {num_tokens / theirs:.0f}/s"
        how = f"tokens of ours over generate's, {rate}, {num_tokens} tokens, {runner.facts.dtype}, {way}"
        results[f"{name}.{way}"] = Result(theirs / ours, "×", target, how)
    return results


def _write(runner: TextGenerator, settings: GenerationSettings) -> None:
    for _ in runner.stream(PROMPT, settings):
        pass


def _as_options(settings: GenerationSettings) -> dict:
    """The same sampling for `generate`."""
    if settings.temperature == 0:
        return {"do_sample": False}
    names = ("temperature", "top_k", "top_p", "repetition_penalty")
    return {"do_sample": True} | {name: getattr(settings, name) for name in names}


def first_token(runner: TextGenerator) -> Result:
    """The very first one after loading: nothing is warm."""
    started = time.perf_counter()
    next(runner.stream(PROMPT, SETTINGS["sampled"]))
    return Result(time.perf_counter() - started, "s", "≤ 1", "first token of the starter, right after loading")


def measure(is_quick: bool) -> dict[str, Result]:
    torch.set_num_threads(2)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    started = time.perf_counter()
    runner = load(STARTER, "text-generation", device="cpu")
    results = {
        "starter.load": Result(time.perf_counter() - started, "s", "", "loading it, the first model of the process"),
        "starter.first_token": first_token(runner),
    }
    torch.set_num_threads(1)
    results |= compare("starter", runner, 40 if is_quick else 200)
    results |= compare(
        "starter_bf16", load(STARTER, "text-generation", device="cpu", dtype="bfloat16"), 30 if is_quick else 200
    )
    with tempfile.TemporaryDirectory() as folder:
        larger = load(larger_model(Path(folder)), "text-generation", device="cpu")
        # nearly all of the time is the same forward pass on both sides; ours also reads probabilities
        results |= compare("larger", larger, 8 if is_quick else 50, target="≥ 0.95")
    return results


if __name__ == "__main__":
    sys.exit(main("generation", measure, __doc__.splitlines()[0]))

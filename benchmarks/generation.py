"""Text generation against `transformers.generate` on the same loaded model, and how soon the first token comes.

python -m benchmarks.generation [--quick] [--json]

Two threads. Both sides make the same number of tokens in the same type; ours also gives each token's probability and
five alternatives, and streams.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers

from benchmarks.harness import Result, main, timings_in_turns
from engine.runners import GenerationSettings, load
from engine.runners.text_generation import TextGenerator

STARTER = Path(__file__).resolve().parent.parent / "models" / "starter"
PROMPT = "The import statement"
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
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(STARTER, local_files_only=True).save_pretrained(folder)
    return folder


def compare(name: str, runner: TextGenerator, num_tokens: int) -> dict[str, Result]:
    """Our tokens a second over those of `generate`, greedy and sampled. No end token, so that both go all the way."""
    model, results = runner.decoder.model, {}
    runner.decoder.end_ids, model.generation_config.eos_token_id = frozenset(), None
    prompt = torch.tensor([runner.prepare(PROMPT).token_ids])
    for way, settings in SETTINGS.items():
        own = GenerationSettings(**{**_fields(settings), "max_new_tokens": num_tokens})
        sampling = {"do_sample": False}
        if settings.temperature:
            sampling = {"do_sample": True, "temperature": settings.temperature, "top_k": settings.top_k}
            sampling |= {"top_p": settings.top_p, "repetition_penalty": settings.repetition_penalty}
        mask = torch.ones_like(prompt)
        works = {
            "own": lambda own=own: [token.text for token in runner.stream(PROMPT, own)],
            "generate": lambda sampling=sampling, mask=mask: model.generate(
                prompt, attention_mask=mask, max_new_tokens=num_tokens, pad_token_id=0, **sampling
            ),
        }
        times = timings_in_turns(works, repetitions=7)
        how = f"tokens/s of ours ({num_tokens / times['own'].wall_s:.0f}) over generate's, {num_tokens} tokens, {runner.facts.dtype}"
        results[f"{name}.{way}"] = Result(times["generate"].wall_s / times["own"].wall_s, "×", "≥ 1", how)
    return results


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
    results |= compare("starter", runner, 60 if is_quick else 200)
    results |= compare("starter_bf16", load(STARTER, "text-generation", device="cpu", dtype="bfloat16"), 60)
    with tempfile.TemporaryDirectory() as folder:
        larger = load(larger_model(Path(folder)), "text-generation", device="cpu")
        results |= compare("larger", larger, 30 if is_quick else 100)
    return results


def _fields(settings: GenerationSettings) -> dict:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


if __name__ == "__main__":
    sys.exit(main("generation", measure, __doc__.splitlines()[0]))

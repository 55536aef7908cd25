"""Training and writing against transformers and a nanoGPT-style model, memory against its estimate, and what is learnt.

python -m benchmarks.training [--quick] [--json]

All models have 4.3 million parameters, a vocabulary of 4096 and a context of 256. One thread, and the processor time of
it, which is what the clock shows where nothing else runs. Without --quick, the quick preset also learns the language
reference, for at most ten minutes of processor time: five on each of two cores.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import transformers
from torch import nn
from torch.nn import functional

from benchmarks.harness import Result, main, peak_bytes_afresh, timings_in_turns
from engine.training.footprint import training_memory
from engine.training.generation import generate
from engine.training.model import Decoder
from engine.training.optimizers import optimizers_for
from engine.training.precision import computing
from engine.training.presets import PRESETS
from engine.training.settings import ModelSettings, TrainingSettings

SHAPE = ModelSettings(vocabulary_size=4096, width=256, layers=4, heads=4, context=256)
SEQUENCES = 8
"""Of an update: 2048 tokens."""
PROMPT_TOKENS = 16
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
CPU_S = 600.0
"""Of the quick preset: five minutes on each of two cores, spent on one thread: two that wait for each other on a busy
machine would count that as work."""
SAMPLED = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}


class NanoBlock(nn.Module):
    """A block of nanoGPT: LayerNorm without bias, fused attention, and a GELU block four times as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, tokens, width = x.shape
        parts = self.qkv(self.first(x)).view(rows, tokens, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, tokens, width))
        return x + self.down(functional.gelu(self.up(self.second(x))))


class Nano(nn.Module):
    """A GPT as nanoGPT builds it: learnt positions, tied head, and the loss over all logits at once."""

    def __init__(self, shape: ModelSettings) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocabulary_size, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(NanoBlock(shape.width, shape.heads) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, bias=False)
        self.head = nn.Linear(shape.width, shape.vocabulary_size, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return functional.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def gpt2(shape: ModelSettings) -> nn.Module:
    """transformers' GPT-2 of the same width, depth and vocabulary, without dropout."""
    config = transformers.GPT2Config(
        vocab_size=shape.vocabulary_size,
        n_positions=shape.context,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        loss_type="ForCausalLM",
    )
    return transformers.GPT2LMHeadModel(config)


def llama(model: Decoder) -> nn.Module:
    """transformers' Llama with the same weights."""
    shape = model.settings
    config = transformers.LlamaConfig(
        vocab_size=shape.vocabulary_size,
        hidden_size=shape.width,
        intermediate_size=shape.ffn_width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_epsilon,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    theirs = transformers.LlamaForCausalLM(config).eval()
    weights = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    theirs.load_state_dict(weights | {"lm_head.weight": model.head})
    return theirs


def update(model: nn.Module, loss: Callable[[], torch.Tensor], precision: str) -> Callable[[], None]:
    """One step of training: forward, backward, clipping, AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with computing(precision, "cpu"):
            value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def training(repetitions: int) -> dict[str, Result]:
    """Tokens a second of a training step, ours over theirs."""
    ids, targets = torch.randint(SHAPE.vocabulary_size, (2, SEQUENCES, SHAPE.context))
    ours, nano, theirs = Decoder(SHAPE), Nano(SHAPE), gpt2(SHAPE)
    sizes = [sum(each.numel() for each in model.parameters()) for model in (ours, nano, theirs)]
    works = {
        "ours bf16": update(ours, lambda: ours.loss(ids, targets), "bf16"),
        "ours fp32": update(ours, lambda: ours.loss(ids, targets), "fp32"),
        "nano bf16": update(nano, lambda: nano(ids, targets), "bf16"),
        "gpt2 fp32": update(theirs, lambda: theirs(input_ids=ids, labels=ids).loss, "fp32"),
    }
    timings = timings_in_turns(works, repetitions)
    rates = {name: ids.numel() / timing.cpu_s for name, timing in timings.items()}

    def over(one: str, other: str, target: str) -> Result:
        return Result(rates[one] / rates[other], "×", target, f"{rates[one]:.0f}/s over {rates[other]:.0f}/s, {same}")

    same = f"{min(sizes) / 1e6:.2f} to {max(sizes) / 1e6:.2f} M parameters"
    return {
        "training.over_gpt2_fp32": over("ours bf16", "gpt2 fp32", "≥ 2.2"),
        "training.fp32_over_gpt2_fp32": over("ours fp32", "gpt2 fp32", ""),
        "training.over_nanogpt_bf16": over("ours bf16", "nano bf16", "≥ 1"),
        "training.bf16_over_fp32": over("ours bf16", "ours fp32", ""),
    }


def writing(rows: int, new_tokens: int, targets: dict[str, str], repetitions: int) -> dict[str, Result]:
    """Tokens a second of writing, ours over `transformers.generate` with the same weights, greedy and sampled.

    Args: targets: of each float type, the same on both sides.
    """
    ours = Decoder(SHAPE).eval()
    theirs = {name: llama(ours).to(dtype) for name, dtype in TYPES.items()}
    prompts = torch.randint(SHAPE.vocabulary_size, (rows, PROMPT_TOKENS))
    options = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": new_tokens, "pad_token_id": 0}
    results = {}
    for way, sampling in {"greedy": {"do_sample": False}, "sampled": SAMPLED}.items():
        temperature = 0.0 if way == "greedy" else 1.0
        works = {
            f"{who} {name}": work
            for name in TYPES
            for who, work in (
                ("ours", partial(_written, ours, prompts.tolist(), new_tokens, temperature, name)),
                ("theirs", partial(theirs[name].generate, prompts, **options, **sampling)),
            )
        }
        timings = timings_in_turns(works, repetitions)
        for name in TYPES:
            mine, peer = (rows * new_tokens / timings[f"{who} {name}"].cpu_s for who in ("ours", "theirs"))
            how = f"{mine:.0f}/s over {peer:.0f}/s of transformers.generate in {name}, {new_tokens} tokens, {way}"
            results[f"writing.batch{rows}.{way}.{name}"] = Result(mine / peer, "×", targets[name], how)
    return results


def _written(model: Decoder, prompts: list[list[int]], new_tokens: int, temperature: float, precision: str) -> None:
    with computing(precision, "cpu"):
        generate(model, prompts, new_tokens, temperature=temperature)


def train_a_little(shape: ModelSettings, settings: TrainingSettings) -> None:
    """Three updates on random tokens; at the module's top level, so that a new process can run it."""
    torch.set_num_threads(1)
    model = Decoder(shape).train()
    optimizers = optimizers_for(model, settings)
    ids = torch.randint(shape.vocabulary_size, (settings.batch_size, shape.context))
    for _ in range(3):
        with computing(settings.precision, "cpu"):
            loss = model(ids, ids)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


def memory() -> dict[str, Result]:
    """The estimate over what a new process was seen to take at most."""
    results = {}
    for precision in TYPES:
        settings = TrainingSettings(batch_size=SEQUENCES, precision=precision)
        estimate = training_memory(SHAPE, settings).total
        peak = peak_bytes_afresh(train_a_little, SHAPE, settings)
        how = f"estimate {estimate / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB, muon, {SEQUENCES} sequences"
        results[f"memory.estimate_over_peak.{precision}"] = Result(estimate / peak, "×", "", how)
    return results


def quick_preset() -> dict[str, Result]:
    """Perplexity on text set aside before anything was learnt, after the quick preset learnt the language reference."""
    from engine.training.corpora.bundled import bundled
    from engine.training.corpora.hold_out import held_out_split
    from engine.training.corpora.token_stream import TokenStream
    from engine.training.corpus import Corpus
    from engine.training.held_out import HeldOut
    from engine.training.supervised import train
    from engine.training.tokenizer import train_tokenizer

    preset = PRESETS["quick"]
    settings = dataclasses.replace(preset.training, threads=1, device="cpu", sample_every=0)
    split = held_out_split([Corpus("reference", bundled()["language-reference"].documents(), 1.0)])
    texts = [document.text for corpus in split.training for document in corpus.documents]
    tokenizer = train_tokenizer(texts, preset.model.vocabulary_size, preset.model.context)
    torch.manual_seed(settings.seed)
    model = Decoder(dataclasses.replace(preset.model, vocabulary_size=len(tokenizer)))
    stream = TokenStream.of(split.training, tokenizer, settings.seed)
    started, started_cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            model,
            tokenizer,
            stream,
            split.validation,
            settings,
            Path(folder),
            lambda event: None,
            lambda: time.process_time() - started_cpu > CPU_S,
        )
    elapsed_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    loss = HeldOut(tokenizer, split.test, preset.model.context).price(model)
    text = f"test text of the language reference, {loss.bits_per_byte:.3f} bits per byte, vocabulary {len(tokenizer)}"
    return {
        "quick.perplexity": Result(loss.perplexity, "", "≤ 60", f"{text}, best of {result.step} steps"),
        "quick.cpu_minutes": Result(cpu_s / 60, "min", "≤ 10.2", f"one thread, {elapsed_s:.0f} s by the clock"),
    }


def measure(is_quick: bool) -> dict[str, Result]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    transformers.utils.logging.set_verbosity_error()
    repetitions = 5 if is_quick else 15
    results = training(repetitions)
    results |= writing(1, 24 if is_quick else 128, dict.fromkeys(TYPES, "≥ 1.5"), repetitions)
    # in fp32 the products of 64 rows alone, the same on both sides, are a third of what generate takes
    results |= writing(64, 16 if is_quick else 128, {"fp32": "", "bf16": "≥ 2.5"}, 3 if is_quick else 5)
    results |= memory()
    if is_quick:
        how = "needs ten minutes of processor time; run without --quick"
        return results | {"quick.perplexity": Result(math.nan, "", "≤ 60", how)}
    return results | quick_preset()


if __name__ == "__main__":
    sys.exit(main("training", measure, __doc__.splitlines()[0]))

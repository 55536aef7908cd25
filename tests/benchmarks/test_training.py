"""The training benchmark runs to its end on a tiny model, with every metric it promises."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import torch

from benchmarks import training
from engine.training.corpora import bundled
from engine.training.corpus import language_reference
from engine.training.presets import PRESETS
from engine.training.settings import ModelSettings

TINY = ModelSettings(vocabulary_size=300, width=32, layers=1, heads=2, context=32, ffn_width=64)


def _peak(work, *arguments):
    work(*arguments)
    return 1 << 20


def test_every_metric_is_there_and_a_number(monkeypatch):
    monkeypatch.setattr(training, "SHAPE", TINY)
    monkeypatch.setattr(training, "PROMPT_TOKENS", 4)
    monkeypatch.setattr(training, "peak_bytes_afresh", _peak)
    threads = torch.get_num_threads()
    results = training.measure(is_quick=True)
    torch.set_num_threads(threads)
    assert math.isnan(results.pop("quick.perplexity").value)
    assert all(math.isfinite(each.value) and each.value > 0 for each in results.values())
    targets = {name: each.target for name, each in results.items() if each.target}
    assert targets["training.over_gpt2_fp32"] == "≥ 2.2" and targets["training.over_nanogpt_bf16"] == "≥ 1"
    assert sorted(targets.values()) == sorted(["≥ 2.2", "≥ 1"] + 4 * ["≥ 1.5"] + 2 * ["≥ 2.5"])


def test_the_peer_writes_the_same_tokens():
    model = training.Decoder(TINY).eval()
    prompt = torch.tensor([[5, 6, 7]])
    theirs = training.llama(model).generate(prompt, max_new_tokens=8, do_sample=False, pad_token_id=0)
    ours = training.generate(model, prompt.tolist(), 8, temperature=0)
    assert theirs[0, 3:].tolist() == ours[0].tokens


def test_perplexity_is_that_of_text_nobody_learnt(monkeypatch):
    quick = PRESETS["quick"]
    short = replace(quick.training, steps=2, batch_size=2, warmup_steps=1, evaluate_every=1, precision="fp32")
    monkeypatch.setitem(training.PRESETS, "quick", replace(quick, model=TINY, training=short))
    documents = language_reference()[:15]
    part = SimpleNamespace(documents=lambda: documents)
    monkeypatch.setattr(bundled, "bundled", lambda: {"language-reference": part})
    results = training.quick_preset()
    assert 1 < results["quick.perplexity"].value < 1000
    assert results["quick.perplexity"].target == "≤ 60"

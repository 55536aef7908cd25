"""Units find their partners through any permutation, and models of one origin are told from strangers."""

from __future__ import annotations

import itertools
import json
import math

import ml_dtypes
import numpy as np
import pytest

from benchmarks.lineage import _grid, _pruned, permuted
from engine.compare.agreement import fixed_points, p_value, unit_agreement
from engine.compare.alignment import AlignedSource, align
from engine.compare.lineage import VERDICTS, lineage
from engine.compare.matching import match_tensors
from engine.compare.pairs import compare_match
from engine.errors import Cancelled
from engine.sources import open as open_source

WIDTH, HIDDEN, HEADS, GROUPS, SIZE, LAYERS = 32, 64, 4, 2, 8, 2
CONFIG = {"num_attention_heads": HEADS, "num_key_value_heads": GROUPS, "model_type": "llama"}


def parts(seed: int, scale: float = 0.05) -> dict[str, np.ndarray]:
    """What chance, or a training, puts into each tensor of a small Llama with grouped queries."""
    random = np.random.default_rng(seed)
    shapes = {"self_attn.q_proj": (HEADS * SIZE, WIDTH), "self_attn.o_proj": (WIDTH, HEADS * SIZE)}
    shapes |= dict.fromkeys(("self_attn.k_proj", "self_attn.v_proj"), (GROUPS * SIZE, WIDTH))
    shapes |= {"mlp.gate_proj": (HIDDEN, WIDTH), "mlp.up_proj": (HIDDEN, WIDTH), "mlp.down_proj": (WIDTH, HIDDEN)}
    shapes |= {"input_layernorm": (WIDTH,), "post_attention_layernorm": (WIDTH,)}
    whole = {f"model.layers.{i}.{name}.weight": shape for i in range(LAYERS) for name, shape in shapes.items()}
    whole |= {"model.embed_tokens.weight": (100, WIDTH), "model.norm.weight": (WIDTH,)}
    return {name: (random.standard_normal(shape) * scale).astype(np.float32) for name, shape in whole.items()}


def fresh(seed: int) -> dict[str, np.ndarray]:
    """An untrained model: matrices from the seed, norms at 1."""
    return {name: each if each.ndim == 2 else np.ones_like(each) for name, each in parts(seed).items()}


def trained(start: dict[str, np.ndarray], seed: int, size: float = 1.0) -> dict[str, np.ndarray]:
    """A model after a training that shrinks what it began with and adds something of its own."""
    shrink = 1 - 0.2 * min(size, 1)
    return {
        name: each * shrink + parts(seed)[name] * size if each.ndim == 2 else each + parts(seed)[name] * size
        for name, each in start.items()
    }


A = trained(fresh(0), 10)


@pytest.fixture
def opened(tmp_path, write_safetensors):
    """Open arrays as a checkpoint: opened("a", arrays)."""
    sources = []

    def write(name: str, arrays: dict[str, np.ndarray], config: dict = CONFIG):
        path = write_safetensors(tmp_path / name / "model.safetensors", arrays)
        (path.parent / "config.json").write_text(json.dumps(config))
        sources.append(open_source(path.parent))
        return sources[-1]

    yield write
    for source in sources:
        source.close()


def changed(way, arrays=None) -> dict[str, np.ndarray]:
    return {n: way(each).astype(np.float32) if each.ndim == 2 else each for n, each in (arrays or A).items()}


NOISE = parts(99, 1.0)
ADAPTED = {
    name: each + NOISE[name][:, :2] @ NOISE["model.layers.0.mlp.gate_proj.weight"][:2, : each.shape[1]] * 0.02
    for name, each in A.items()
    if each.ndim == 2 and "embed" not in name and each.shape[1] == WIDTH
}
RESCALED = dict(A)
for _layer in range(LAYERS):
    _scale = np.exp(parts(5, 1.0)["model.norm.weight"])
    RESCALED[f"model.layers.{_layer}.post_attention_layernorm.weight"] = (
        A[f"model.layers.{_layer}.post_attention_layernorm.weight"] * _scale
    )
    for _name in ("gate", "up"):
        RESCALED[f"model.layers.{_layer}.mlp.{_name}_proj.weight"] = (
            A[f"model.layers.{_layer}.mlp.{_name}_proj.weight"] / _scale
        )

PAIRS = {
    "a copy": ("same weights", "equal", A),
    "permuted": ("same weights", "equal", permuted(A, CONFIG, 1)),
    "in bf16": ("derived", "rounded", {name: each.astype(ml_dtypes.bfloat16) for name, each in A.items()}),
    "rounded to 4 bits": ("derived", "quantised", permuted(changed(lambda each: _grid(each, 7)), CONFIG, 2)),
    "pruned": ("derived", "pruned", permuted(changed(_pruned), CONFIG, 3)),
    "fine-tuned": ("derived", "trained", trained(A, 20, 0.15)),
    "drowned in noise": (
        "derived",
        "trained",
        permuted({n: each + parts(98)[n] * 1.3 if each.ndim == 2 else each for n, each in A.items()}, CONFIG, 4),
    ),
    "adapted": ("derived", "low rank", A | ADAPTED),
    "with scales moved from matrices into norms": ("derived", "trained", RESCALED),
    "before its training": ("derived", "trained", fresh(0)),
    "of the same seed": ("same seed", None, trained(fresh(0), 11)),
    "of the same seed, permuted": ("same seed", None, permuted(trained(fresh(0), 11), CONFIG, 5)),
    "of another seed": ("same architecture", None, trained(fresh(1), 12)),
    "of another seed with the same training": ("same architecture", None, fresh(2)),
}


@pytest.mark.parametrize("way", PAIRS)
def test_the_origin_of_a_made_model_is_recognised(opened, way):
    verdict, hint, arrays = PAIRS[way]
    found = lineage(opened("a", A), opened("b", arrays))
    assert found.verdict == verdict, found.words
    kinds = {each.kind for each in found.hints}
    assert (hint in kinds) if hint else not kinds
    is_moved = way in ("permuted", "rounded to 4 bits", "pruned", "drowned in noise")
    assert ("permuted" in kinds) == is_moved
    is_related = verdict != "same architecture"
    assert (found.p_value < 1e-6) == is_related
    assert found.agreement.share > 0.3 if is_related else found.agreement.share < 0.1
    assert found.words.startswith(verdict.capitalize()) and VERDICTS[verdict] in found.words
    json.dumps(found.evidence)


def test_a_matching_of_either_side_with_itself_says_nothing_of_strangers(opened):
    """The share of agreement of unrelated models stays at one unit a layer, for many seeds."""
    a, shares, p_values = opened("a", fresh(0)), [], []
    for seed in range(1, 13):
        b = opened(f"b{seed}", fresh(seed))
        found = unit_agreement(a, b, match_tensors(a, b))
        shares.append(found.num_agreeing)
        p_values.append(found.p_value)
    assert np.mean(shares) == pytest.approx(LAYERS, abs=1.3)
    assert min(p_values) > 1e-4 and max(p_values) > 0.3


def test_the_p_value_counts_fixed_points_of_permutations_exactly():
    counts = np.bincount([sum(i == j for i, j in enumerate(p)) for p in itertools.permutations(range(6))], minlength=7)
    assert fixed_points(6) == pytest.approx(counts / math.factorial(6))
    assert fixed_points(500).sum() == pytest.approx(1)
    assert p_value(0, [(6, 1.0)]) == 1
    assert p_value(6, [(6, 1.0)]) == pytest.approx(1 / math.factorial(6))
    assert p_value(12, [(6, 1.0)] * 2) == pytest.approx(1 / math.factorial(6) ** 2)
    assert p_value(1, [(400, 1.0)] * 2) == pytest.approx(1 - math.exp(-2))
    assert p_value(1000, [(400, 1.0)] * 6) < 1e-300


def test_networks_without_matchable_units_are_judged_by_equal_places(opened):
    random = np.random.default_rng(1)
    a = {f"conv{i}.weight": random.standard_normal((16, 8, 3, 3)).astype(np.float32) for i in range(3)}
    near = {name: each + random.standard_normal(each.shape).astype(np.float32) * 0.3 for name, each in a.items()}
    far = {name: random.standard_normal(each.shape).astype(np.float32) for name, each in a.items()}
    source = opened("a", a)
    assert lineage(source, opened("near", near)).verdict == "derived"
    found = lineage(source, opened("far", far))
    assert found.verdict == "same architecture" and math.isnan(found.agreement.share) and found.p_value > 0.001


def test_what_cannot_be_compared_is_not_answered(opened):
    found = lineage(opened("a", A), opened("b", {"x": np.ones((3, 5), np.float32)}))
    assert found.verdict == "unanswered" and math.isnan(found.p_value) and found.hints == ()


def test_another_architecture_without_common_origin_is_unrelated(opened):
    other = {name: each for name, each in fresh(3).items() if "layers.0" in name}
    other |= {f"other.{i}.weight": np.ones((300, 300), np.float32) * i for i in range(4)}
    assert lineage(opened("a", A), opened("b", other)).verdict == "unrelated"


def test_the_judging_can_be_stopped(opened):
    def stop(_: int) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        lineage(opened("a", A), opened("b", A), on_bytes=stop)


@pytest.mark.parametrize("seed", range(3))
def test_alignment_undoes_any_permutation_of_heads_channels_and_units(opened, seed):
    a, b = opened("a", A), opened("b", permuted(A, CONFIG, seed))
    matching = match_tensors(a, b)
    before = sum(compare_match(a, b, match).num_changed for match in matching.matches)
    alignment = align(a, b, matching)
    aligned = AlignedSource(b, matching, alignment)
    again = match_tensors(a, aligned)
    assert before > 0 and len(again.matches) == len(A)
    assert sum(compare_match(a, aligned, match).num_changed for match in again.matches) == 0
    assert alignment.num_units == LAYERS * (HEADS + HIDDEN) and alignment.num_moved > LAYERS * HIDDEN / 2
    assert all(each.similarity > 0.999 for each in alignment.blocks)
    assert all(each.similarity_before < 0.5 for each in alignment.blocks if not each.block.is_attention)


def test_alignment_leaves_equal_models_alone(opened):
    alignment = align(opened("a", A), opened("b", A), match_tensors(opened("c", A), opened("d", A)))
    assert alignment.num_moved == 0
    assert all((order == np.arange(len(order))).all() for order in alignment.rows.values())


def test_an_aligned_model_computes_what_it_did(opened):
    """A feed-forward block gives the same output, whichever order its units are in."""
    a, b = opened("a", A), opened("b", permuted(A, CONFIG, 6))
    matching = match_tensors(a, b)
    aligned = AlignedSource(b, matching, align(a, b, matching))
    x = np.random.default_rng(0).standard_normal(WIDTH)
    outputs = []
    for source in (a, b, aligned):
        gate, up, down = (source.read(f"model.layers.1.mlp.{name}_proj.weight") for name in ("gate", "up", "down"))
        outputs.append(down @ (np.maximum(gate @ x, 0) * (up @ x)))
    assert outputs[0] == pytest.approx(outputs[1], rel=1e-4) and outputs[0] == pytest.approx(outputs[2], rel=1e-4)


def test_models_without_a_head_count_align_their_feed_forward_units_alone(opened):
    a, b = opened("a", A, {}), opened("b", A, {})
    alignment = align(a, b, match_tensors(a, b))
    assert alignment.num_units == LAYERS * HIDDEN and not any(each.block.is_attention for each in alignment.blocks)


def test_the_bundled_starter_was_trained_from_its_init():
    with open_source("models/starter-init") as a, open_source("models/starter") as b:
        found = lineage(a, b)
    assert found.verdict == "derived" and found.agreement.share == 1.0
    assert found.likeness.b_on_a > found.likeness.a_on_b


@pytest.mark.real
def test_real_models_and_their_copies_are_recognised(real_dir):
    hub, derived = real_dir / "stories260K-hf", real_dir / "stories260K-gguf-derived"
    pairs = {
        (hub, real_dir / "stories260K-gguf"): "same weights",
        (hub, derived / "stories260K-Q4_0.gguf"): "derived",
        (hub, derived / "stories260K-Q8_0.gguf"): "derived",
        (real_dir / "bert-tiny-sst2-encoder", real_dir / "bert-tiny-emotion-encoder"): "derived",
        (hub, real_dir / "g2p-en"): "unanswered",
    }
    for (first, second), verdict in pairs.items():
        with open_source(first) as a, open_source(second) as b:
            assert lineage(a, b).verdict == verdict, second


def test_minilm_permuted_and_rounded_is_still_itself(minilm_path, opened):
    """Two of its layers, so that it takes a second."""
    config = {"num_attention_heads": 12, "model_type": "bert"}
    with open_source(minilm_path) as whole:
        names = [info.name for info in whole.infos() if ".layer.0." in info.name or ".layer.3." in info.name]
        arrays = {name: np.array(whole.read(name)) for name in names}
    rounded = {name: _grid(each, 127).astype(np.float32) if each.ndim == 2 else each for name, each in arrays.items()}
    found = lineage(opened("a", arrays, config), opened("b", permuted(rounded, config, 1), config))
    assert found.verdict == "derived" and found.agreement.share > 0.99
    assert {hint.kind for hint in found.hints} == {"permuted", "quantised"}

"""Tensors of two checkpoints find each other through every kind of renaming, and never by a silent guess."""

from __future__ import annotations

import json
import math

import ml_dtypes
import numpy as np
import pytest

from engine.compare.lora import is_adapter, merge_adapter
from engine.compare.matching import match_tensors
from engine.compare.pairs import compare_match
from engine.compare.views import DeltaSource, MatchedSource
from engine.errors import MeasureError, SourceError, TensorNotFoundError
from engine.heatmaps import full_view, read_grid
from engine.sources import open as open_source

WIDTH, HIDDEN, VOCABULARY = 16, 40, 50


def decoder(num_layers: int = 3, seed: int = 0, prefix: str = "model.") -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def made(*shape):
        return random.standard_normal(shape).astype(np.float32)

    arrays = {f"{prefix}embed_tokens.weight": made(VOCABULARY, WIDTH)}
    for layer in range(num_layers):
        at = f"{prefix}layers.{layer}"
        arrays |= {f"{at}.self_attn.{name}_proj.weight": made(WIDTH, WIDTH) for name in "qkvo"}
        arrays[f"{at}.mlp.up_proj.weight"] = made(HIDDEN, WIDTH)
        arrays[f"{at}.mlp.down_proj.weight"] = made(WIDTH, HIDDEN)
        arrays[f"{at}.input_layernorm.weight"] = np.ones(WIDTH, np.float32)
    return arrays | {f"{prefix}norm.weight": made(WIDTH)}


@pytest.fixture
def opened(tmp_path, write_safetensors):
    """Open arrays as a checkpoint: opened("a", arrays)."""
    sources = []

    def write(name: str, arrays: dict[str, np.ndarray], config: dict | None = None):
        path = write_safetensors(tmp_path / name / "model.safetensors", arrays)
        if config is not None:
            (path.parent / "config.json").write_text(json.dumps(config))
        sources.append(open_source(path))
        return sources[-1]

    yield write
    for source in sources:
        source.close()


def names(matching) -> dict[str, str]:
    return {match.name_a: match.name_b for match in matching.matches}


def test_equal_names_match_and_equal_content_differs_in_nothing(opened):
    a, b = opened("a", decoder()), opened("b", decoder())
    matching = match_tensors(a, b)
    assert {match.matched_by for match in matching.matches} == {"name"}
    assert [match.name_a for match in matching.matches] == [info.name for info in a.infos()]
    assert not matching.only_a and not matching.only_b and not matching.notes
    assert all(compare_match(a, b, match).num_changed == 0 for match in matching.matches)


@pytest.mark.parametrize("prefix", ["", "module.model.", "_orig_mod.model.", "base_model.model.model."])
def test_wrappers_around_the_network_do_not_matter(opened, prefix):
    matching = match_tensors(opened("a", decoder()), opened("b", decoder(prefix=prefix)))
    assert {match.matched_by for match in matching.matches} == {"prefix"}
    assert not matching.only_a and not matching.only_b


def test_another_writers_names_match_by_layer_and_role(opened):
    words = {
        "model.embed_tokens": "token_embd",
        "model.layers": "blk",
        "model.norm": "output_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
    }
    renamed = {}
    for name, array in decoder().items():
        for old, new in words.items():
            name = name.replace(old, new)
        renamed[name] = array
    a, b = opened("a", decoder()), opened("b", renamed)
    matching = match_tensors(a, b)
    assert {match.matched_by for match in matching.matches} == {"place"}
    assert all(compare_match(a, b, match).num_changed == 0 for match in matching.matches)


def test_names_that_say_nothing_match_by_content(opened):
    arrays = {name: array for name, array in decoder().items() if "norm" not in name}
    renamed = {f"tensor_{i}": array + 0.1 for i, array in enumerate(arrays.values())}
    matching = match_tensors(opened("a", arrays), opened("b", renamed))
    assert names(matching) == dict(zip(arrays, renamed, strict=True))
    assert {match.matched_by for match in matching.matches} == {"content"}


def test_what_could_be_several_stays_unmatched_and_is_said(opened):
    ones = {"first": np.ones((4, 4), np.float32), "second": np.ones((4, 4), np.float32)}
    others = {"x": np.ones((4, 4), np.float32), "y": np.ones((4, 4), np.float32)}
    matching = match_tensors(opened("a", ones), opened("b", others))
    assert not matching.matches
    assert matching.only_a == ("first", "second") and matching.only_b == ("x", "y")


def test_copies_of_one_content_are_not_told_apart_by_chance(opened):
    same = np.random.default_rng(3).standard_normal((8, 8)).astype(np.float32)
    matching = match_tensors(opened("a", {"first": same}), opened("b", {"x": same, "y": same}))
    assert not matching.matches
    assert "first could be any of x, y" in matching.notes[0]


def test_unrelated_content_is_not_matched(opened):
    random = np.random.default_rng(4)
    a = {"first": random.standard_normal((30, 30)).astype(np.float32)}
    b = {"x": random.standard_normal((30, 30)).astype(np.float32)}
    matching = match_tensors(opened("a", a), opened("b", b))
    assert (matching.matches, matching.only_a, matching.only_b) == ((), ("first",), ("x",))


def test_a_grown_vocabulary_is_compared_on_the_common_rows(opened):
    grown = decoder()
    table = grown["model.embed_tokens.weight"]
    grown["model.embed_tokens.weight"] = np.concatenate([table, np.ones((2, WIDTH), np.float32)])
    a, b = opened("a", decoder()), opened("b", grown)
    for first, second, added, removed in ((a, b, 2, 0), (b, a, 0, 2)):
        match = match_tensors(first, second).match("model.embed_tokens.weight")
        assert (match.num_added, match.num_removed, match.compared_shape) == (added, removed, (VOCABULARY, WIDTH))
        assert f"{added - removed:+d} rows" in match.note
        found = compare_match(first, second, match)
        assert (found.count, found.num_changed) == (VOCABULARY * WIDTH, 0)


def test_an_output_head_meets_the_embedding_that_is_tied_to_it(opened):
    table = decoder()["model.embed_tokens.weight"]
    with_head = decoder() | {"lm_head.weight": table + 1}
    a, b = opened("a", decoder()), opened("b", with_head)
    tied = [match for match in match_tensors(a, b).matches if match.matched_by == "tied"]
    assert [(match.name_a, match.name_b) for match in tied] == [("model.embed_tokens.weight", "lm_head.weight")]
    assert "no output head" in tied[0].note
    assert compare_match(a, b, tied[0]).max_abs == pytest.approx(1, rel=1e-6)
    assert np.array_equal(MatchedSource(b, match_tensors(a, b)).read("model.embed_tokens.weight"), table)


@pytest.mark.parametrize("gone", [0, 1, 2, 3])
def test_the_layers_around_a_removed_one_are_found_by_content(opened, gone):
    whole, cut = decoder(4), {}
    for name, array in whole.items():
        words = name.split(".")
        if words[1] == "layers":
            if int(words[2]) == gone:
                continue
            words[2] = str(int(words[2]) - (int(words[2]) > gone))
        cut[".".join(words)] = array
    a, b = opened("a", whole), opened("b", cut)
    matching = match_tensors(a, b)
    assert all(compare_match(a, b, match).num_changed == 0 for match in matching.matches)
    assert len(matching.matches) == len(cut) and not matching.only_b
    assert all(f"layers.{gone}." in name for name in matching.only_a)
    assert f"layers {gone} of A are missing in B" in matching.notes[0]
    back = match_tensors(b, a)
    assert f"layers {gone} of B are new" in back.notes[0] and not back.only_a


def test_layers_whose_contents_tell_nothing_are_paired_by_number_and_it_is_said(opened):
    matching = match_tensors(opened("a", decoder(2)), opened("b", decoder(3, seed=9)))
    assert "paired by number" in matching.notes[0]
    assert all(name.startswith("model.layers.2.") for name in matching.only_b)


def test_transposed_storage_is_found_also_where_matrices_are_square(opened):
    random = np.random.default_rng(5)
    wide, square = random.standard_normal((24, 8)).astype(np.float32), random.standard_normal((8, 8)).astype(np.float32)
    a = opened("a", {"h.0.mlp.c_fc.weight": wide.T.copy(), "h.0.attn.c_proj.weight": square.T.copy()})
    b = opened("b", {"layers.0.mlp.fc1.weight": wide, "layers.0.self_attn.out_proj.weight": square})
    matching = match_tensors(a, b)
    assert len(matching.matches) == 2
    for match in matching.matches:
        assert match.is_transposed and match.is_sure
        assert compare_match(a, b, match).num_changed == 0


def test_other_shapes_are_matched_but_not_compared(opened):
    a = opened("a", {"classifier.weight": np.ones((2, 8), np.float32)})
    b = opened("b", {"classifier.weight": np.ones((6, 8), np.float32)})
    match = match_tensors(a, b).matches[0]
    assert not match.is_comparable and match.num_compared == 0 and "Shapes differ" in match.note
    with pytest.raises(MeasureError, match="no entry"):
        compare_match(a, b, match)


def test_rows_and_entries_of_size_one_do_not_matter(opened):
    flat = np.arange(12, dtype=np.float32).reshape(4, 3)
    a = opened("a", {"conv.weight": flat.reshape(4, 3, 1, 1), "scale": np.float32(2).reshape(())})
    b = opened("b", {"conv.weight": flat, "scale": np.array([3], np.float32)})
    for match in match_tensors(a, b).matches:
        found = compare_match(a, b, match)
        assert found.max_abs == (1 if match.name_a == "scale" else 0)


def test_the_difference_is_a_source_that_heatmaps_read(opened):
    other = decoder()
    other["model.layers.1.mlp.up_proj.weight"][7, 3] += 5
    a, b = opened("a", decoder()), opened("b", other)
    matching = match_tensors(a, b)
    delta = DeltaSource(a, b, matching)
    info = delta.info("model.layers.1.mlp.up_proj.weight")
    grid = read_grid(delta, info, full_view(info))
    assert np.argwhere(grid.values).tolist() == [[7, 3]] and grid.values[7, 3] == pytest.approx(5)
    assert np.array_equal(delta.read_rows(info.name, 6, 9), grid.values[6:9])
    with pytest.raises(TensorNotFoundError, match="Did you mean"):
        delta.info("model.layers.1.mlp.up_proj")
    with pytest.raises(SourceError, match="rows 0 … 41"):
        delta.read_rows(info.name, 0, 41)


def adapter(opened, tmp_path, config: dict, arrays: dict[str, np.ndarray]):
    source = opened("adapter", arrays)
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    return source


def factors(module: str, out: int, into: int, rank: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(6)
    name = f"base_model.model.{module}.lora_{{}}.weight"
    return {
        name.format("A"): random.standard_normal((rank, into)).astype(np.float32),
        name.format("B"): random.standard_normal((out, rank)).astype(np.float32),
    }


@pytest.mark.parametrize("stabilised", [False, True])
def test_an_adapter_is_merged_while_it_is_read(opened, tmp_path, stabilised):
    module = "model.layers.1.mlp.up_proj"
    made = factors(module, HIDDEN, WIDTH)
    base = opened("base", decoder())
    part = adapter(opened, tmp_path, {"r": 3, "lora_alpha": 6, "use_rslora": stabilised}, made)
    assert is_adapter(part) and not is_adapter(base)
    merged = merge_adapter(base, part)
    a, b = made.values()
    update = (6 / (math.sqrt(3) if stabilised else 3)) * (b.astype(np.float64) @ a)
    whole = merged.read(f"{module}.weight")
    assert np.allclose(whole - decoder()[f"{module}.weight"], update, atol=1e-5)
    assert np.allclose(merged.read_rows(f"{module}.weight", 5, 9), whole[5:9], atol=1e-5)
    matching = match_tensors(base, merged)
    changed = [m.name_a for m in matching.matches if compare_match(base, merged, m).num_changed]
    assert changed == [f"{module}.weight"]


def test_an_adapter_of_conv1d_and_whole_tensors_fits_too(opened, tmp_path):
    base = opened("base", {"transformer.h.0.attn.c_attn.weight": np.zeros((4, 12), np.float32),
                           "score.weight": np.zeros((2, 4), np.float32)})  # fmt: skip
    made = factors("transformer.h.0.attn.c_attn", 12, 4, 2)
    made["base_model.model.score.modules_to_save.weight"] = np.ones((2, 4), np.float32)
    part = adapter(
        opened, tmp_path, {"r": 8, "rank_pattern": {"c_attn": 2}, "lora_alpha": 2, "fan_in_fan_out": True}, made
    )
    merged = merge_adapter(base, part)
    a, b = list(made.values())[:2]
    assert np.allclose(merged.read("transformer.h.0.attn.c_attn.weight"), (b @ a).T, atol=1e-5)
    assert np.allclose(merged.read_rows("transformer.h.0.attn.c_attn.weight", 1, 3), (b @ a).T[1:3], atol=1e-5)
    assert merged.read("score.weight").all()


@pytest.mark.parametrize(
    ("config", "module", "message"),
    [
        ({"r": 3, "lora_alpha": 6, "use_dora": True}, "model.layers.1.mlp.up_proj", "DoRA"),
        ({"r": 3, "lora_alpha": 6}, "model.layers.9.mlp.up_proj", "does not have"),
        ({"r": 3, "lora_alpha": 6}, "model.layers.1.mlp.down_proj", "factors of"),
        ({"r": 4, "lora_alpha": 6}, "model.layers.1.mlp.up_proj", "rank 3"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(opened, tmp_path, config, module, message):
    part = adapter(opened, tmp_path, config, factors(module, HIDDEN, WIDTH))
    with pytest.raises(SourceError, match=message):
        merge_adapter(opened("base", decoder()), part)


def test_an_adapter_without_its_configuration_is_refused(opened):
    part = opened("lone", factors("model.layers.1.mlp.up_proj", HIDDEN, WIDTH))
    with pytest.raises(SourceError, match=r"adapter_config\.json"):
        merge_adapter(opened("base", decoder()), part)


@pytest.mark.real
def test_the_same_model_as_gguf_and_as_safetensors_is_the_same(real_dir):
    with open_source(real_dir / "stories260K-hf") as hub, open_source(real_dir / "stories260K-gguf") as gguf:
        for a, b in ((hub, gguf), (gguf, hub)):
            matching = match_tensors(a, b)
            assert len(matching.matches) == 48 and not matching.only_a and not matching.only_b
            assert sum(compare_match(a, b, match).num_changed for match in matching.matches) == 0
            assert sum(match.rope_heads > 0 for match in matching.matches) == 10


@pytest.mark.real
def test_a_quantised_file_is_compared_with_its_original(real_dir):
    quantised = real_dir / "stories260K-gguf-derived" / "stories260K-Q8_0.gguf"
    with open_source(real_dir / "stories260K-hf") as a, open_source(quantised) as b:
        matching = match_tensors(a, b)
        found = {match.name_a: compare_match(a, b, match) for match in matching.matches if match.dtype_b == "Q8_0"}
        assert len(found) == 31 and all(0.001 < each.relative_change < 0.01 for each in found.values())


def test_types_with_other_names_are_said_to_be_compared_as_values(opened):
    a = opened("a", {"x.weight": np.ones((4, 4), np.float32)})
    b = opened("b", {"x.weight": np.ones((4, 4), ml_dtypes.bfloat16)})
    match = match_tensors(a, b).matches[0]
    assert match.note == "Types differ: F32 against BF16; compared as values."
    assert compare_match(a, b, match).num_changed == 0

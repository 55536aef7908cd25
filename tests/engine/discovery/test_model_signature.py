"""A model's signature does not depend on how many layers it has, and standardised ones compare as they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.discovery.signature import FEATURES, MODEL_FEATURES, fit_standardisation, model_signature
from engine.discovery.signature.model import (
    KINDS,
    LEAST_MODELS,
    common_cosine,
    depths,
    fit_model_standardisation,
    kind_of,
)
from engine.discovery.signature.reading import has_signature, head_runs
from engine.discovery.signature.registry import transformed
from engine.discovery.signature.standardisation import CLIP, resolutions
from engine.naming import ROLES, Place
from engine.sources import open as open_source
from engine.sources.base import TensorInfo

N = len(FEATURES)


def random_features(count: int, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).standard_normal((count, N)))


def course(num_layers: int) -> tuple[list[Place], np.ndarray]:
    """Queries and feed-forward matrices whose transformed features run in straight lines over depth."""
    places, values = [], []
    for layer in range(num_layers):
        for role, rise in (("query", 1.0), ("ffn_out", -2.0)):
            x = 0.5 + rise * (layer / (num_layers - 1) - 0.5)
            row = [
                np.exp(x) if f.transform == "log" else np.expm1(x) if f.transform == "log1p" else x
                for f in FEATURES.values()
            ]
            places.append(Place(layer, role, "weight"))
            values.append(row)
    return places, np.array(values)


def number(whole: np.ndarray, name: str) -> float:
    return float(whole[MODEL_FEATURES.index(name)])


@pytest.mark.parametrize("num_layers", [3, 6, 25])
def test_the_same_course_over_depth_gives_the_same_signature(num_layers):
    whole = model_signature(*course(num_layers))
    assert whole.shape == (len(MODEL_FEATURES),)
    for feature in ("rms", "kurtosis", "far_weights", "mean_shift"):
        assert number(whole, f"attention_in.{feature}.level") == pytest.approx(0.5)
        assert number(whole, f"attention_in.{feature}.slope") == pytest.approx(1.0)
        assert number(whole, f"ffn_out.{feature}.slope") == pytest.approx(-2.0)
        assert np.isnan(number(whole, f"convolution.{feature}.level"))
    np.testing.assert_allclose(whole, model_signature(*course(4)), atol=1e-12)


def test_level_and_slope_agree_with_the_textbook():
    places = [Place(layer, "query", "weight") for layer in (0, 1, 3, 4)]
    values = random_features(4)
    whole, found = model_signature(places, values), transformed(values)
    column = list(FEATURES).index("kurtosis")
    assert number(whole, "attention_in.kurtosis.level") == pytest.approx(np.median(found[:, column]))
    slope = stats.linregress(np.array([0, 1, 3, 4]) / 4, found[:, column]).slope
    assert number(whole, "attention_in.kurtosis.slope") == pytest.approx(slope)


def test_fused_and_separate_queries_are_one_kind():
    values = random_features(3)
    separate = model_signature([Place(i, "query", "weight") for i in range(3)], values)
    fused = model_signature([Place(i, "qkv", "weight") for i in range(3)], values)
    np.testing.assert_array_equal(separate, fused)


def test_undefined_features_stay_undefined_and_move_nothing_else():
    places = [Place(i, "query", "weight") for i in range(5)]
    values = random_features(5)
    whole = model_signature(places, values)
    values[:, 3] = np.nan
    values[1, 4] = np.nan
    holed = model_signature(places, values)
    names = list(FEATURES)
    for name in (f"attention_in.{names[3]}.{aspect}" for aspect in ("level", "slope")):
        assert np.isnan(number(holed, name))
    assert np.isfinite(number(holed, f"attention_in.{names[4]}.level"))
    assert number(holed, f"attention_in.{names[5]}.level") == number(whole, f"attention_in.{names[5]}.level")


def test_too_few_depths_have_a_level_and_no_slope_and_no_matrix_gives_nothing():
    whole = model_signature([Place(i, "query", "weight") for i in (0, 1)], random_features(2))
    assert np.isfinite(number(whole, "attention_in.rms.level"))
    assert np.isnan(number(whole, "attention_in.rms.slope"))
    assert np.isnan(model_signature([], np.zeros((0, N)))).all()
    outside = model_signature([Place(None, "token_embedding", "weight")] * 3, random_features(3))
    assert np.isfinite(number(outside, "embedding.rms.level")) and np.isnan(number(outside, "embedding.rms.slope"))


def test_every_stack_has_its_own_depth():
    places = [Place(0, "query", "weight", "encoder"), Place(4, "query", "weight", "encoder")]
    places += [Place(1, "query", "weight", "decoder"), Place(None, "lm_head", "weight"), Place(0, "key", "weight", "x")]
    np.testing.assert_array_equal(depths(places), [0, 1, 1, np.nan, 0])


def test_every_role_has_a_kind():
    kinds = {role: kind_of(role) for role in ROLES}
    assert set(kinds.values()) == set(KINDS)
    assert kinds["cross_query"] == "attention_in" and kinds["cross_output"] == "attention_out"
    assert kinds["shared_expert_ffn_gate_in"] == kinds["expert_ffn_in"] == kinds["ffn_gate"] == "ffn_in"
    assert kinds["lm_head"] == "other" and kinds["ssm_in"] == "recurrence"
    assert kind_of("something nobody knows") == "other"


def test_standardised_features_have_median_zero_and_unit_spread():
    values = random_features(301)
    fitted = fit_standardisation(values)
    standard = fitted.apply(transformed(values))
    assert standard.dtype == np.float32
    np.testing.assert_allclose(np.median(standard, axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(stats.median_abs_deviation(standard, axis=0, scale="normal"), 1, rtol=1e-5)
    assert np.abs(standard).max() <= CLIP


def test_noise_below_the_resolution_is_not_stretched():
    values = random_features(50)
    column = list(FEATURES).index("row_lag_1")
    values[:, column] = 1e-6 * np.random.default_rng(0).standard_normal(50)
    fitted = fit_standardisation(values)
    assert fitted.spread[column] == FEATURES["row_lag_1"].resolution
    assert np.abs(fitted.apply(transformed(values))[:, column]).max() < 1e-3


def test_undefined_features_count_as_typical():
    values = random_features(20)
    values[3, 5] = np.nan
    values[:, 7] = np.nan
    standard = fit_standardisation(values).apply(transformed(values))
    assert standard[3, 5] == 0 and not standard[:, 7].any() and np.isfinite(standard).all()


def test_without_any_matrix_there_is_still_a_unit():
    fitted = fit_standardisation(np.zeros((0, N)))
    assert not fitted.centre.any()
    np.testing.assert_array_equal(fitted.spread, resolutions())


def test_few_models_are_held_against_the_typical_matrix_and_many_against_each_other():
    tensors = fit_standardisation(random_features(100))
    few = np.random.default_rng(1).standard_normal((LEAST_MODELS - 1, len(MODEL_FEATURES)))
    fitted = fit_model_standardisation(few, tensors)
    np.testing.assert_array_equal(fitted.centre[:N], tensors.centre)
    assert not fitted.centre[len(KINDS) * N :].any()
    many = np.random.default_rng(1).standard_normal((LEAST_MODELS + 4, len(MODEL_FEATURES)))
    many[:, 0] = np.nan
    fitted = fit_model_standardisation(many, tensors)
    assert fitted.centre[0] == tensors.centre[0]
    np.testing.assert_allclose(fitted.centre[1:], np.median(many[:, 1:], axis=0))


def test_models_are_compared_by_what_both_have():
    random = np.random.default_rng(2)
    a, b = random.standard_normal((2, 40)).astype(np.float32)
    known_a, known_b = random.random((2, 40)) < 0.7
    a, b = a * known_a, b * known_b
    both = known_a & known_b
    assert common_cosine(a, b, known_a, known_b) == pytest.approx(
        np.corrcoef(np.concatenate([a[both], -a[both]]), np.concatenate([b[both], -b[both]]))[0, 1]
    )
    assert np.isnan(common_cosine(a, b, known_a, ~known_a))


def test_heads_are_found_where_the_config_says_them(tmp_path, write_safetensors):
    import json

    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    shapes = ((32, 16), (16, 16), (16, 16), (16, 32))
    arrays = {
        f"model.layers.0.self_attn.{name}.weight": np.ones(shape, np.float32)
        for name, shape in zip(names, shapes, strict=True)
    }
    path = write_safetensors(tmp_path / "model.safetensors", arrays)
    with open_source(path) as source:
        assert head_runs(source) == {}
    config = {
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 16,
        "head_dim": 8,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with open_source(path) as source:
        found = {name.split(".")[-2]: runs for name, runs in head_runs(source).items()}
    assert [(run.axis, run.start, run.stop) for run in found["q_proj"]] == [(0, i, i + 8) for i in range(0, 32, 8)]
    assert [(run.axis, run.start) for run in found["k_proj"]] == [(0, 0), (0, 8)]
    assert [(run.axis, run.start) for run in found["o_proj"]] == [(1, 0), (1, 8), (1, 16), (1, 24)]


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "has"),
    [
        ("layers.0.mlp.up_proj.weight", (8, 4), "BF16", True),
        ("conv.weight", (8, 4, 3, 3), "F32", True),
        ("layers.0.mlp.up_proj.bias", (8,), "F32", False),
        ("layers.0.mlp.up_proj.weight", (8, 1), "F32", False),
        ("layers.0.attn.bias", (1, 1, 64, 64), "BOOL", False),
        ("layers.0.mlp.up_proj.qweight", (8, 4), "I32", False),
        ("embeddings.position_ids", (2, 512), "I64", False),
    ],
)
def test_only_matrices_of_weights_have_signatures(name, shape, dtype, has):
    assert has_signature(TensorInfo(name, shape, dtype, 1, "f")) is has

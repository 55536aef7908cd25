"""What changed is said in words that a person would use, and the same rows give the same words."""

from __future__ import annotations

import numpy as np
import pytest

from engine.compare.comparison import compare_tensors
from engine.compare.delta_spectrum import spectrum_of_gram
from engine.compare.matching import match_tensors
from engine.compare.summary import summary
from engine.compare.wording import numbers, percent
from engine.sources import open as open_source

NAMES = {"q": "self_attn.q_proj", "o": "self_attn.o_proj", "up": "mlp.up_proj", "norm": "input_layernorm"}


def model(num_layers: int = 12) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    arrays = {"model.embed_tokens.weight": random.normal(size=(60, 32))}
    for layer in range(num_layers):
        for name in NAMES.values():
            shape = 32 if "norm" in name else (32, 32)
            arrays[f"model.layers.{layer}.{name}.weight"] = random.normal(size=shape)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.fixture
def words(tmp_path, write_safetensors):
    """The sentences about two models given as arrays."""

    def say(a: dict, b: dict) -> list[str]:
        paths = [write_safetensors(tmp_path / f"{name}.safetensors", arrays) for name, arrays in (("a", a), ("b", b))]
        with open_source(paths[0]) as one, open_source(paths[1]) as other:
            matching = match_tensors(one, other)
            rows = list(compare_tensors(one, other, matching))
            assert summary(matching, rows) == summary(matching, rows)
            return summary(matching, rows)

    return say


def test_nothing_changed(words):
    assert words(model(), model()) == ["Nothing changed: all 39,168 weights in 49 tensors are equal to the last bit."]


def test_one_role_of_some_layers_and_a_grown_vocabulary(words):
    other = model()
    for layer in range(8, 12):
        other[f"model.layers.{layer}.self_attn.o_proj.weight"][3] += 1
    table = other["model.embed_tokens.weight"]
    other["model.embed_tokens.weight"] = np.concatenate([table, table[:2]])
    said = words(model(), other)
    assert said[0] == "0.33 % of 39,168 weights differ in a bit."
    assert said[1] == (
        "Only the attention output of layers 8–11 changed; embeddings, attention projections, feed-forward and norms "
        "are identical."
    )
    assert "the most in model.layers." in said[2]
    assert said[-1] == "The vocabulary grew by 2 rows."


def test_everything_changed(words):
    said = words(model(), {name: array * 2 for name, array in model().items()})
    assert said[:2] == ["100 % of 39,168 weights differ in a bit.", "All 49 tensors changed."]
    assert said[2].startswith("‖Δ‖ is 100 % of ‖A‖")


def test_a_low_rank_change_is_recognised(words):
    other, random = model(), np.random.default_rng(5)
    for layer in range(12):
        change = random.normal(size=(32, 2)) @ random.normal(size=(2, 32)) * 0.01
        other[f"model.layers.{layer}.self_attn.q_proj.weight"] += change.astype(np.float32)
    said = words(model(), other)
    assert "Every changed matrix changed in at most 2 directions, as a low-rank adapter does." in said


def test_broken_numbers_other_types_and_lonely_tensors_are_named(words):
    import ml_dtypes

    other = {name: array.astype(ml_dtypes.bfloat16) for name, array in model().items()}
    other["model.layers.0.mlp.up_proj.weight"][0, 0] = np.nan
    other["extra"] = other.pop("model.layers.3.input_layernorm.weight")
    said = " ".join(words(model(), other))
    assert "once both are converted to one type" in said
    assert "B holds 1 entries that are NaN or infinite, A holds 0." in said
    assert "Stored types differ: F32 in A, BF16 in B." in said


def test_two_models_with_nothing_in_common(words):
    said = words({"x": np.ones((4, 5), np.float32)}, {"y": np.ones((6, 7), np.float32)})
    assert said == ["No tensor of one can be compared with a tensor of the other.", "Only A has x.", "Only B has y."]


def test_signed_zeros_are_no_change_of_value(words):
    zeros = {"model.layers.0.mlp.up_proj.weight": np.zeros((4, 4), np.float32)}
    assert words(zeros, {name: -array for name, array in zeros.items()})[0] == (
        "All values are equal; only the signs of zeros differ."
    )


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"), (1, "100 %"), (0.031, "3.1 %"), (0.99999, "more than 99.9 %"), (1e-9, "less than 0.0001 %"),
        (0.5, "50 %"),
        (0.1234, "12.3 %"), (2.9855, "299 %"), (0.0995, "9.95 %"), (1.4, "140 %"), (12345, "1,234,500 %"),
    ],
)  # fmt: skip
def test_shares_are_never_rounded_to_all_or_nothing(share, text):
    assert percent(share) == text


def test_rising_numbers_are_written_as_runs():
    assert numbers([0, 3, 4, 5, 8, 9]) == "0, 3–5, 8–9"
    assert numbers([]) == ""


@pytest.mark.parametrize("rank", [1, 3, 20])
def test_the_spectrum_of_a_change_counts_its_directions(rank):
    random = np.random.default_rng(rank)
    left = np.linalg.qr(random.normal(size=(40, rank)))[0]
    right = np.linalg.qr(random.normal(size=(60, rank)))[0]
    delta = left @ right.T  # all singular values are 1
    found = spectrum_of_gram(delta @ delta.T)
    assert found.effective_rank == pytest.approx(rank, rel=1e-6)
    assert (found.rank_99, found.full_rank) == (rank, 40)


def test_no_change_has_no_directions():
    found = spectrum_of_gram(np.zeros((5, 5)))
    assert np.isnan(found.effective_rank) and found.rank_99 == 0 and not found.is_low_rank

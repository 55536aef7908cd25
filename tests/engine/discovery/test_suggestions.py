"""What the ideas expect to gain is what really coding gives."""

import math

import ml_dtypes
import numpy as np
import pytest

import engine.sources
from engine.discovery.suggestions import ModelFacts, Relative, Spectrum, TensorFacts, all_ideas, suggestions
from engine.discovery.suggestions.bits import bit_facts, entropy, mask_entropy
from engine.discovery.suggestions.ideas.row_scales import mixture_information
from engine.health.findings import Finding
from engine.naming import place
from engine.sources.base import TensorInfo

NAME = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def facts_of(tmp_path, write_safetensors):
    """The facts of one array, as the job gathers them, by plain numpy."""

    def gather(array, name=NAME, with_spectrum=False):
        with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {name: array})) as source:
            info = source.info(name)
            exact = array.astype(np.float64)
            bits = bit_facts(source, info, exact.mean(), exact.std())
        spectrum = None
        if with_spectrum:
            values = np.linalg.svd(exact, compute_uv=False)
            spectrum = Spectrum(values, float(np.square(exact).sum()))
        return TensorFacts(
            info=info,
            place=place(name, info.shape),
            values={"zero_fraction": float((exact == 0).mean()), "nan": 0.0, "posinf": 0.0, "neginf": 0.0},
            row_l2=np.linalg.norm(exact, axis=1).astype(np.float32),
            row_abs_max=np.abs(exact).max(axis=1).astype(np.float32),
            bits=bits,
            spectrum=spectrum,
        )

    return gather


def told(tensor, idea, **model):
    return next(one for one in suggestions(ModelFacts((tensor,), **model)) if one.idea == idea)


def coded_bits(symbols, frequencies):
    """Bits of a real asymmetric-numeral-systems code in one large integer; decoded again to prove it."""
    total, starts = int(frequencies.sum()), np.r_[0, np.cumsum(frequencies)[:-1]].tolist()
    counts, state = frequencies.tolist(), 1
    for symbol in symbols[::-1].tolist():
        state = state // counts[symbol] * total + starts[symbol] + state % counts[symbol]
    length, order = state.bit_length(), np.repeat(np.arange(len(counts)), frequencies).tolist()
    for symbol in symbols.tolist():
        slot = state % total
        assert order[slot] == symbol
        state = counts[symbol] * (state // total) + slot - starts[symbol]
    return length


@pytest.mark.parametrize(
    ("dtype", "mantissa", "usual"), [(ml_dtypes.bfloat16, 7, 0.66), (np.float32, 23, 0.83), (np.float16, 10, 0.85)]
)
def test_exponents_really_coded_take_what_was_expected(facts_of, dtype, mantissa, usual):
    array = np.random.default_rng(0).normal(0, 0.02, (48, 100)).astype(dtype)
    found = told(facts_of(array), "exponent_coding")
    stored = 8 * array.itemsize
    patterns = array.reshape(-1).view(f"u{array.itemsize}").astype(np.int64) >> mantissa & (
        2 ** (stored - 1 - mantissa) - 1
    )
    counts = np.bincount(patterns)
    real = coded_bits(patterns, counts) + 16 * (counts > 0).sum() + (1 + mantissa) * array.size
    assert found.gain_bytes * 8 == pytest.approx(array.size * stored - real, abs=16)
    assert found.evidence["ratio"] == pytest.approx(usual, abs=0.02)
    assert found.state == "found" and found.confidence == "exact"


def test_every_exponent_is_counted_and_outliers_are_those_of_numpy(facts_of):
    array = np.random.default_rng(1).normal(0, 1, (300, 40)).astype(np.float32)
    array[7, 3], array[200, 39], array[5, 5], array[6, 6] = 50, -60, np.nan, np.inf
    with np.errstate(invalid="ignore"):
        bits = facts_of(np.nan_to_num(array, nan=0, posinf=0)).bits
    assert bits.exponents.sum() == array.size
    assert (bits.num_outliers, bits.largest) == (2, 60.0)
    inside = np.abs(np.nan_to_num(array, nan=0, posinf=0)).ravel()
    assert bits.largest_inside == np.sort(inside)[-3]


def test_a_sparse_matrix_really_coded_takes_what_was_expected(facts_of):
    random = np.random.default_rng(2)
    array = random.normal(size=(60, 100)).astype(np.float16) * (random.random((60, 100)) < 0.3)
    found = told(facts_of(array), "sparse_zeros")
    mask = (array != 0).reshape(-1).astype(np.int64)
    real = coded_bits(mask, np.bincount(mask)) + 16 * mask.sum()
    assert found.gain_bytes * 8 == pytest.approx(16 * array.size - real, abs=16)
    assert told(facts_of(random.normal(size=(60, 100))), "sparse_zeros").state == "nothing"


def levels_bits(values, step):
    """Bits of each integer that holds values in steps, symmetric about zero."""
    return math.log2(2 * np.abs(values).max() / step)


def test_outliers_kept_apart_save_at_the_same_error_what_was_expected(facts_of):
    array = np.random.default_rng(3).normal(0, 1, (200, 100)).astype(np.float32)
    array[3, 4], array[150, 90] = 40, -33
    found = told(facts_of(array), "outliers_apart")
    step = 0.02
    far = np.abs(array - array.mean()) > 8 * array.std()
    rounded = np.where(far, array.astype(np.float16), np.round(array / step) * step)
    error = np.square(rounded - array).mean() / np.square(np.round(array / step) * step - array).mean()
    assert error == pytest.approx(1, abs=0.01)
    mask = far.reshape(-1).astype(np.int64)
    apart = levels_bits(array[~far], step) + (coded_bits(mask, np.bincount(mask)) + 16 * far.sum()) / array.size
    assert found.gain_bits == pytest.approx(levels_bits(array, step) - apart, abs=0.0005)
    assert found.gain_bits > 3
    assert told(facts_of(array.clip(-3, 3)), "outliers_apart").state == "nothing"


def test_a_scale_for_each_row_saves_at_the_same_error_what_was_expected(facts_of):
    random = np.random.default_rng(4)
    array = (random.normal(size=(256, 400)) * np.exp(random.normal(0, 0.8, (256, 1)))).astype(np.float32)
    found = told(facts_of(array), "row_scales")
    largest = np.abs(array).max(axis=1, keepdims=True).astype(np.float64)
    steps = 2.0 ** np.arange(-9, -6)  # of the largest weight: 7 to 9 bits

    def error(step):
        return np.square(np.round(array / step) * step - array).mean()

    for step in steps:
        by_tensor = error(step * largest.max())
        factor = 2.0**found.gain_bits * 2 ** (16 / 400)
        by_row = error(step * factor * largest)  # so many fewer levels in each row
        assert 0.5 * math.log2(by_row / by_tensor) == pytest.approx(0, abs=0.03)
    assert found.gain_bits > 1


def test_row_norms_save_an_entropy_coder_what_was_expected(facts_of):
    random = np.random.default_rng(5)
    scales = np.exp(random.normal(0, 0.7, 512))
    array = (random.normal(size=(512, 800)) * scales[:, None]).astype(np.float32)
    found = told(facts_of(array), "row_norms")
    step = 0.2
    symbols = np.round(array / step).astype(np.int64)
    pooled = entropy(np.bincount((symbols - symbols.min()).ravel()))
    norms = np.float16(np.linalg.norm(array, axis=1) / math.sqrt(800)).astype(np.float64)[:, None]
    from scipy.special import ndtr

    mass = ndtr((symbols + 0.5) * step / norms) - ndtr((symbols - 0.5) * step / norms)
    given = -np.log2(np.maximum(mass, 1e-30)).mean() + 16 / 800
    assert found.gain_bits == pytest.approx(pooled - given, abs=0.02)


def test_equal_scales_tell_nothing_and_two_scales_at_most_one_bit():
    assert mixture_information(np.ones(100)) == pytest.approx(0, abs=1e-4)
    assert mixture_information(np.r_[np.ones(50), np.full(50, 1e-4)]) == pytest.approx(1, abs=0.01)
    scales = np.exp(np.random.default_rng(6).normal(0, 0.5, 3000))
    samples = np.linspace(-12, 12, 200_001)
    density = np.mean([np.exp(-0.5 * (samples / s) ** 2) / s for s in scales[:200]], axis=0) / math.sqrt(2 * math.pi)
    mixture = -np.sum(density * np.log2(np.maximum(density, 1e-300))) * (samples[1] - samples[0])
    own = np.mean(np.log2(scales[:200] * math.sqrt(2 * math.pi * math.e)))
    assert mixture_information(scales[:200]) == pytest.approx(mixture - own, abs=1e-3)


def test_factors_of_a_low_rank_matrix_really_reach_the_error_at_that_cost(facts_of):
    random = np.random.default_rng(7)
    array = random.normal(size=(96, 3)) @ random.normal(size=(3, 128)) + 0.05 * random.normal(size=(96, 128))
    found = told(facts_of(array, with_spectrum=True), "low_rank")
    rank = found.recipe["ranks"][NAME]
    assert (found.state, rank) == ("found", 3)
    left, values, right = np.linalg.svd(array, full_matrices=False)
    factors = left[:, :rank] * np.sqrt(values[:rank]), np.sqrt(values[:rank])[:, None] * right[:rank]
    rounded = [np.round(f / (np.abs(f).max() / 127)) * (np.abs(f).max() / 127) for f in factors]
    error = np.linalg.norm(rounded[0] @ rounded[1] - array) / np.linalg.norm(array)
    assert error == pytest.approx(found.tensors[0].evidence["error"], abs=0.01)
    step = error * array.std() * math.sqrt(12)
    symbols = np.round(array / step).astype(np.int64).ravel()
    integers = entropy(np.bincount(symbols - symbols.min()))
    cost = sum(f.size for f in factors) * 8 / array.size
    assert found.gain_bits <= integers - cost + 0.05  # the bound claims no more than integers really lose


def test_noise_is_not_of_low_rank(facts_of):
    array = np.random.default_rng(8).normal(size=(96, 128))
    found = told(facts_of(array, with_spectrum=True), "low_rank")
    assert found.state == "nothing" and "more" in found.words
    assert told(facts_of(array), "low_rank").state == "unknown"


def test_what_nobody_looked_for_is_unknown_and_what_is_not_there_is_nothing(facts_of):
    array = np.random.default_rng(9).normal(size=(20, 30)).astype(np.float32)
    states = {one.idea: one.state for one in suggestions(ModelFacts((facts_of(array),)))}
    assert all(states[name] == "unknown" for name in ("sharing", "trimming", "stored_wide", "delta_coding", "low_rank"))
    looked = ModelFacts((facts_of(array),), findings=(), is_upcast=False, relatives=())
    states = {one.idea: one.state for one in suggestions(looked)}
    assert all(states[name] == "nothing" for name in ("sharing", "trimming", "stored_wide", "delta_coding"))
    assert set(states) == set(all_ideas())


def test_repeated_and_dead_rows_save_their_bytes(facts_of):
    tensor = facts_of(np.random.default_rng(10).normal(size=(20, 30)).astype(np.float32))
    twice = Finding("repeated_lines", "warning", NAME, "", axis="row", lines=(4, 5), num_lines=2)
    dead = Finding("dead_lines", "warning", NAME, "", axis="column", lines=(1,), num_lines=1)
    assert told(tensor, "sharing", findings=[twice]).gain_bytes == 2 * 30 * 4 - 2 * 4
    assert told(tensor, "trimming", findings=[dead]).gain_bytes == 20 * 4


def test_never_updated_tokens_and_positions_can_go():
    info = TensorInfo("embeddings.word_embeddings.weight", (100, 8), "F32", 3200, "m")
    words = TensorFacts(info, place(info.name), shorter="F16", num_never=10)
    info = TensorInfo("embeddings.position_embeddings.weight", (64, 8), "F32", 2048, "m")
    positions = TensorFacts(info, place(info.name), shorter="F16", num_never=48)
    model = ModelFacts((words, positions), is_upcast=False, training_length=16)
    by_idea = {one.idea: one for one in suggestions(model)}
    assert by_idea["trimming"].gain_bytes == 10 * 32 + 48 * 32
    assert by_idea["stored_wide"].gain_bytes == pytest.approx((10 + 48) * 16 - (100 + 64) / 8)
    widened = ModelFacts((words, positions), is_upcast=True)
    assert {one.idea: one.state for one in suggestions(widened)}["trimming"] == "nothing"


def test_the_nearest_relative_counts_and_a_strange_one_does_not(facts_of):
    tensor = facts_of(np.ones((4, 4), np.float32))
    child = Relative("parent", "b" * 64, 0.96, 1.85, True, 1000)
    stranger = Relative("stranger", "c" * 64, 0.01, 0.0001, False, 1000)
    found = told(tensor, "delta_coding", relatives=[stranger, child])
    assert (found.recipe["given"], found.confidence, found.gain_bits) == ("b" * 64, "measured", 1.85)
    assert told(tensor, "delta_coding", relatives=[stranger]).state == "nothing"


def test_the_entropy_of_a_mask_is_that_of_its_counts():
    assert mask_entropy(0.3) == pytest.approx(entropy(np.array([3, 7])))
    assert mask_entropy(0) == mask_entropy(1) == 0


def test_hostile_tensors_give_suggestions_without_numbers(facts_of):
    for array in (np.zeros((5, 6), np.float32), np.full((5, 6), 1e38, np.float32), np.ones((1, 1), np.float16)):
        for one in suggestions(ModelFacts((facts_of(array, with_spectrum=True),), findings=(), is_upcast=False)):
            assert one.state != "found" or math.isfinite(one.gain_bytes)

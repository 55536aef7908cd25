"""The distribution is exact, whatever the type, the values, the memory layout and the number of threads."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from engine.errors import Cancelled, MeasureError
from engine.measures.distribution import distribution
from engine.measures.results import NUM_BINS
from tests.engine.measures.conftest import DTYPES, FLOATS, assert_exact, assert_same, random_array

SIZES = (1, 2, 3, 17, 1000, 20001)

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_agrees_with_numpy_in_float64(dtype, way):
    for size in SIZES:
        assert_exact(distribution(random_array(dtype, size, seed=size)), random_array(dtype, size, seed=size))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_nan_and_infinities_are_counted_apart(dtype, way):
    array = random_array(dtype, 20001, special=True)
    assert_exact(distribution(array), array)


SHAPES_OF_DATA = {
    "far from zero": lambda g: 1000 + 0.001 * g,
    "very far from zero": lambda g: 1e6 + g,
    "first value an outlier": lambda g: np.concatenate(([1e6], g * 1e-3)),
    "last value an outlier": lambda g: np.concatenate((g * 1e-3, [-1e6])),
    "half zeros": lambda g: np.where(g > 0, g, 0),
    "half negative zeros": lambda g: np.where(g > 0, g, -0.0),
    "zeros of both signs": lambda g: np.where(g > 0, 0.0, -0.0),
    "all but one zero": lambda g: np.where(np.arange(g.size) == 7, 1.0, 0.0),
    "ternary": lambda g: np.round(np.clip(g, -1, 1)),
    "positive": np.abs,
    "negative": lambda g: -np.abs(g),
    "heavy tails": lambda g: g**9,
    "constant": lambda g: np.full_like(g, 0.1),
    "sorted": np.sort,
    "huge for float32": lambda g: g / np.abs(g).max() * 3.4e38,
    "denormal in float32": lambda g: g * 1e-42,
    "two neighbouring floats": lambda g: np.where(g > 0, 1.0, np.nextafter(np.float32(1), np.float32(2))),
    "one top": lambda g: 1 + np.abs(g) * 1e-4,
    "few tops": lambda g: 1 + np.abs(g) * 1e-2,
    "rounded to bfloat16": lambda g: g.astype(ml_dtypes.bfloat16).astype(np.float64),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SHAPES_OF_DATA)
def test_difficult_data_stay_exact(name, dtype, way):
    array = SHAPES_OF_DATA[name](np.random.default_rng(3).standard_normal(30011)).astype(dtype)
    assert_exact(distribution(array), array)


def test_all_of_one_block_may_be_nonfinite(way):
    array = np.random.default_rng(0).standard_normal(50000).astype(np.float32)
    array[8192:16384] = np.nan
    array[30000:] = -np.inf
    assert_exact(distribution(array), array)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_nothing_finite_gives_nan_and_no_histogram(dtype):
    if not np.isnan(np.array([np.nan]).astype(dtype).astype(np.float64)).all():
        pytest.skip("the type has no NaN")
    assert_exact(distribution(np.full(5000, np.nan).astype(dtype)), np.full(5000, np.nan))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
def test_an_empty_tensor_has_an_empty_distribution(dtype, shape):
    assert_exact(distribution(np.zeros(shape, dtype)), np.zeros(0))


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, -1e-3, 3.4e38, 1e300, -1e-310, 5.0])
@pytest.mark.parametrize("size", [1, 7, 30000])
def test_a_constant_has_no_spread_and_its_own_value_everywhere(value, size, way):
    found = distribution(np.full(size, value))
    assert (found.mean, found.m2, found.m3, found.m4) == (value, 0, 0, 0)
    assert (found.quantiles == value).all()
    assert (found.bin_low, found.bin_high) == (value - 0.5, value + 0.5)
    assert found.bin_counts.sum() == size
    assert found.l2 == pytest.approx(abs(value) * size**0.5, rel=1e-15)


def test_the_moments_of_a_known_set_are_those_of_the_textbook():
    found = distribution(np.array([[0, 0, 0, 4]], dtype=np.int8))
    assert (found.mean, found.m2, found.m3, found.m4) == (1, 3, 6, 21)
    assert (found.l1, found.l2, found.num_zero) == (4, 4, 3)
    assert found.bin_counts[[0, NUM_BINS - 1]].tolist() == [3, 1]


def test_values_whose_squares_overflow_float64_keep_what_can_be_kept(way):
    array = np.random.default_rng(0).uniform(-1, 1, 30000) * 1.7e308
    found, small = distribution(array), distribution(array * 2.0**-1000)
    assert found.mean == small.mean * 2.0**1000
    assert found.l2 == small.l2 * 2.0**1000 or np.isinf(found.l2)
    assert np.isinf([found.m2, found.m4]).all()
    assert np.isfinite(found.quantiles).all()
    assert found.bin_counts.sum() == 30000
    np.testing.assert_allclose(found.bin_counts, small.bin_counts, atol=1)


def test_edges_that_fall_together_leave_bins_empty_and_lose_nothing(way):
    array = np.where(np.arange(20000) % 3 == 0, 1.0, np.nextafter(1.0, 2.0))
    found = distribution(array)
    assert found.bin_counts.sum() == 20000
    assert np.count_nonzero(found.bin_counts) == 2
    with pytest.raises(ValueError, match="Too many bins"):
        np.histogram(array, NUM_BINS)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_number_of_threads_does_not_change_a_bit(dtype, way):
    array = random_array(dtype, 60001)
    one = distribution(array, threads=1)
    for threads in (2, 3, 8, None):
        assert_same(one, distribution(array, threads=threads))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_layout_in_memory_does_not_matter_and_nothing_is_written(dtype, way, tmp_path):
    matrix = random_array(dtype, (173, 91))
    before = matrix.tobytes()

    mapped = tmp_path / "weights"
    mapped.write_bytes(b"x" + before)
    unaligned = np.frombuffer(np.memmap(mapped, dtype=np.uint8, mode="r"), dtype, offset=1).reshape(matrix.shape)
    padded = np.zeros((173, 100), dtype)
    padded[:, 5:96] = matrix
    frozen = matrix.copy()
    frozen.flags.writeable = False
    for each in (unaligned, padded[:, 5:96], np.asfortranarray(matrix), frozen, matrix.reshape(7, 13, 173)):
        assert_exact(distribution(each), matrix)
    assert matrix.tobytes() == before


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">f2"])
def test_foreign_byte_order_is_read_as_its_values(dtype, way):
    array = (np.random.default_rng(0).standard_normal(5000) * 100).astype(dtype)
    assert_exact(distribution(array), array)


@pytest.mark.parametrize("dtype", [np.complex64, np.longdouble, "U3", "M8[s]", [("a", "f4")]])
def test_types_without_order_are_refused_by_name(dtype):
    with pytest.raises(MeasureError, match="cannot be measured"):
        distribution(np.zeros(3, dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_progress_adds_up_to_the_bytes_of_the_tensor(dtype, threads, way):
    for array in (random_array(dtype, 60001), np.zeros(30000, dtype), np.zeros(0, dtype)):
        told: list[int] = []
        distribution(array, threads=threads, on_bytes=told.append)
        assert sum(told) == array.nbytes
        assert all(each > 0 for each in told)


def test_cancelling_stops_between_two_spans(monkeypatch):
    calls: list[int] = []

    def cancel(num_bytes: int) -> None:
        calls.append(num_bytes)
        raise Cancelled("Stopped.")

    array = np.random.default_rng(0).standard_normal(4 << 20).astype(np.float32)
    for threads in (1, 4):
        with pytest.raises(Cancelled):
            distribution(array, threads=threads, on_bytes=cancel)
    assert len(calls) == 2
    assert all(each < array.nbytes for each in calls)


finite_floats = st.floats(-1e60, 1e60, allow_subnormal=True) | st.sampled_from([0.0, -0.0, 1.0, 1e-300, np.nan, np.inf])


@many
@given(npst.arrays(np.float64, st.integers(1, 300), elements=finite_floats))
def test_any_float64_agrees_with_numpy(way, array):
    assert_exact(distribution(array), array)


@many
@given(npst.arrays(np.float32, st.integers(1, 300), elements=st.floats(width=32)))
def test_any_float32_agrees_with_numpy(way, array):
    assert_exact(distribution(array), array)


@many
@given(npst.arrays(np.uint16, st.integers(1, 300)), st.sampled_from([np.float16, ml_dtypes.bfloat16, np.int16]))
def test_any_16_bit_patterns_agree_with_numpy(way, patterns, dtype):
    assert_exact(distribution(patterns.view(dtype)), patterns.view(dtype))


@many
@given(
    st.integers(1, 300),
    st.floats(0, 2.0**100, width=32),
    st.integers(1, 3000),
    st.integers(0, 2**32),
    st.sampled_from([np.float32, np.float64]),
)
def test_narrow_ranges_bin_as_in_numpy(way, size, start, num_steps, seed, dtype):
    """Steps of single bits from a start: where bins are hardly wider than the distance of two floats."""
    bits = np.dtype(f"i{np.dtype(dtype).itemsize}")
    first = np.array([start], dtype).view(bits)[0]
    array = (first + np.random.default_rng(seed).integers(0, num_steps, size).astype(bits)).view(dtype)
    assume(np.ptp(array.astype(np.float64)) > 1e-300 or np.ptp(array) == 0)  # else numpy contradicts its own edges
    found = distribution(array)
    finite = array.astype(np.float64)
    try:
        counts, _ = np.histogram(finite, NUM_BINS, range=(finite.min(), finite.max()))
    except ValueError:
        assert found.bin_counts.sum() == size
    else:
        np.testing.assert_array_equal(found.bin_counts, counts)


@many
@given(npst.arrays(np.float32, st.integers(2, 200), elements=st.floats(-100, 100, width=32)), st.integers(-20, 20))
def test_scaling_by_a_power_of_two_scales_everything(way, array, exponent):
    scale = np.float32(2.0**exponent)
    array = np.where(np.abs(array) < 1e-20, np.float32(0), array)
    one, other = distribution(array), distribution(array * scale)
    np.testing.assert_array_equal(other.quantiles, one.quantiles * scale)
    np.testing.assert_allclose(other.m2, one.m2 * float(scale) ** 2, rtol=1e-12)
    if one.minimum < one.maximum:
        np.testing.assert_array_equal(other.bin_counts, one.bin_counts)

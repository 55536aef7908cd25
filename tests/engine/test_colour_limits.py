"""The range of a colour map: robust, symmetric about zero for signed data, and the same however it is found."""

import numpy as np
import pytest

import engine.sources
from engine.colour_limits import PERCENTS, ColourLimits, colour_limits
from engine.measures.reading import measure_array


@pytest.fixture
def limits_of(tmp_path, write_safetensors):
    """limits_of(array, percent=…, is_measured=…): the limits with the stored distribution, or from the sample."""

    def find(array, *, is_measured, **options):
        path = write_safetensors(tmp_path / "m.safetensors", {"w": array})
        with engine.sources.open(path) as source:
            distribution = measure_array(array).distribution if is_measured else None
            return colour_limits(source, source.info("w"), distribution, **options)

    return find


BOTH = pytest.mark.parametrize("is_measured", [True, False], ids=["stored", "sampled"])


@BOTH
@pytest.mark.parametrize("percent", PERCENTS)
def test_signed_data_get_the_larger_magnitude_of_both_quantiles_on_both_sides(limits_of, percent, is_measured):
    values = np.random.default_rng(0).gamma(2, size=(60, 500)).astype(np.float32) - np.float32(0.3)
    expected = np.abs(np.percentile(values.astype(np.float64), [100 - percent, percent])).max()
    limits = limits_of(values, percent=percent, is_measured=is_measured)
    assert limits == ColourLimits(-limits.high, limits.high, is_signed=True)
    assert limits.high == pytest.approx(expected, rel=1e-12)


@BOTH
def test_the_full_range_reaches_the_largest_finite_magnitude(limits_of, is_measured):
    values = np.random.default_rng(1).standard_normal((700, 90)).astype(np.float32)
    values[333, 44] = -50.0
    assert limits_of(values, percent=None, is_measured=is_measured).low == -50.0


@BOTH
def test_data_without_negatives_run_from_zero_or_from_where_they_begin(limits_of, is_measured):
    rng = np.random.default_rng(2)
    from_zero = limits_of(rng.random((40, 40), np.float32), is_measured=is_measured)
    assert from_zero.low == 0.0 and not from_zero.is_signed and 0.98 < from_zero.high < 1
    scales = limits_of((1 + 0.1 * rng.random(400)).astype(np.float32), is_measured=is_measured)
    assert 1.0 < scales.low < 1.01 and 1.09 < scales.high < 1.1 and not scales.is_signed


@BOTH
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((3, 3)), ColourLimits(-1.0, 1.0, True)),
        (np.full((3, 3), np.nan), ColourLimits(-1.0, 1.0, True)),
        (np.zeros((0, 3)), ColourLimits(-1.0, 1.0, True)),
        (np.full((3, 3), 0.25), ColourLimits(0.0, 0.25, False)),
        (np.full((3, 3), -0.25), ColourLimits(-0.25, 0.25, True)),
        (np.array([2.0, np.inf, -np.inf, np.nan]), ColourLimits(0.0, 2.0, False)),
    ],
    ids=["zeros", "nan", "empty", "constant", "negative constant", "one finite entry"],
)
def test_data_with_nothing_to_spread_still_get_a_range(limits_of, values, expected, is_measured):
    assert limits_of(values.astype(np.float32), is_measured=is_measured) == expected
    assert limits_of(values.astype(np.float32), percent=None, is_measured=is_measured) == expected


@BOTH
def test_nearly_all_zeros_get_the_full_range(limits_of, is_measured):
    values = np.zeros((50, 300), np.float32)
    values[0, 0], values[49, 299] = 3.0, -4.0
    assert limits_of(values, is_measured=is_measured) == ColourLimits(-4.0, 4.0, True)
    values[49, 299] = 0.0
    assert limits_of(values, is_measured=is_measured) == ColourLimits(0.0, 3.0, False)


@pytest.mark.parametrize("shape", [(5000, 700), (3, 100_000), (2_000_000,)])
def test_a_sample_of_a_large_tensor_is_close_to_the_exact_limits_and_always_the_same(limits_of, shape):
    values = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    sampled = limits_of(values, is_measured=False)
    assert sampled == limits_of(values, is_measured=False)
    assert sampled.high == pytest.approx(limits_of(values, is_measured=True).high, rel=0.05)


def test_twice_the_weights_have_twice_the_limits(limits_of):
    values = np.random.default_rng(4).standard_normal((64, 64)).astype(np.float32)
    once, twice = (limits_of(k * values, is_measured=False) for k in (1, 2))
    assert twice.high == pytest.approx(2 * once.high, rel=1e-12)

"""The slow, obvious float64 answers that every fast one is held against."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from engine.measures import spans, wide
from engine.measures.results import NUM_BINS, QUANTILE_PERCENTS, Distribution

DTYPES = tuple(
    np.dtype(each)
    for each in (
        *(np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64),
        *(np.float16, np.float32, np.float64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
        *(ml_dtypes.float8_e8m0fnu, ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn, ml_dtypes.float4_e2m1fn),
    )
)
"""Every type that a source can return and that has an order."""

FLOATS = tuple(each for each in DTYPES if each.kind == "f" or each.type.__module__ == "ml_dtypes")


@pytest.fixture(params=["sorted", "selected"])
def way(request, monkeypatch) -> str:
    """Run a test twice: with the way of small tensors, and with that of large ones, in many spans of many segments."""
    if request.param == "selected":
        monkeypatch.setattr(wide, "FEW", 0)
        monkeypatch.setattr(spans, "SPAN_BYTES", (1 << 15, 1 << 15))
        monkeypatch.setattr(spans, "SEGMENT_BYTES", 1 << 13)
    return request.param


def random_array(dtype: np.dtype, shape, seed: int = 0, special: bool = False) -> np.ndarray:
    """Values that a type of this kind would hold: normal for floats, all patterns for integers."""
    random = np.random.default_rng(seed)
    if dtype == np.bool_:
        return random.random(shape) < 0.3
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    values = random.standard_normal(shape)
    if special:
        values = np.where(values > 2, np.nan, np.where(values < -2, -np.inf, np.where(values > 1.5, np.inf, values)))
        values = np.where(np.abs(values) < 0.1, 0.0, values)
    with np.errstate(all="ignore"):
        return values.astype(dtype)


def oracle_moments(finite: np.ndarray) -> dict[str, float]:
    """Moments, by numpy's widest floats; the deviations centred twice, for the mean is rounded too."""
    x = finite.astype(np.longdouble)
    deviation = x - x.mean()
    deviation -= deviation.mean()
    return {
        "mean": x.mean(),
        **{f"m{power}": (deviation**power).mean() for power in (2, 3, 4)},
        "l1": np.abs(x).sum(),
        "l2": np.sqrt((x * x).sum()),
    }


def assert_exact(found: Distribution, array: np.ndarray) -> None:
    """Hold a distribution against numpy: counts, quantiles and histogram to the bit, moments to 10⁻¹²."""
    with np.errstate(all="ignore"):
        values = np.asarray(array).astype(np.float64).reshape(-1)
    finite = values[np.isfinite(values)]
    assert found.count == values.size
    assert found.num_nan == np.isnan(values).sum()
    assert found.num_posinf == (values == np.inf).sum()
    assert found.num_neginf == (values == -np.inf).sum()
    assert found.num_zero == (values == 0).sum()
    if finite.size == 0:
        assert np.isnan([found.minimum, found.maximum, found.mean, found.m2, found.m3, found.m4]).all()
        assert np.isnan([*found.quantiles, found.bin_low, found.bin_high]).all()
        assert (found.l1, found.l2, found.bin_counts.sum()) == (0, 0, 0)
        return
    assert (found.minimum, found.maximum) == (finite.min(), finite.max())
    np.testing.assert_array_equal(found.quantiles, np.percentile(finite, QUANTILE_PERCENTS))
    try:
        counts, edges = np.histogram(finite, NUM_BINS, range=(finite.min(), finite.max()))
    except ValueError:  # numpy refuses edges that fall together
        assert found.bin_counts.sum() == finite.size
    else:
        np.testing.assert_array_equal(found.bin_counts, counts)
        assert (found.bin_low, found.bin_high) == (edges[0], edges[-1])
    assert_moments(found, finite)


def assert_moments(found: Distribution, finite: np.ndarray) -> None:
    """To 10⁻¹² of the exact number; odd moments near zero, to that of their natural scale m2^(k/2)."""
    wanted = oracle_moments(finite)
    std = np.sqrt(wanted["m2"])
    scale = {"mean": max(std, abs(wanted["mean"])), "m3": max(std**3, abs(wanted["m3"]))}
    for name, value in wanted.items():
        error = abs(np.longdouble(getattr(found, name)) - value)
        smallest_normal = 2.3e-308  # below it, float64 has no digits to agree in
        assert error <= max(1e-12 * scale.get(name, value), smallest_normal), (name, getattr(found, name), value)


def assert_same(one: Distribution, other: Distribution) -> None:
    """Equal to the bit, NaN included."""
    for name in Distribution.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)

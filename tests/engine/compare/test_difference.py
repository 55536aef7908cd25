"""Every metric of a difference agrees with a slow, obvious float64 version, for every type and every odd tensor."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.compare.difference import METRICS, Difference, DifferenceSum, difference, num_changed
from engine.errors import Cancelled, MeasureError

TYPES = [
    ml_dtypes.bfloat16,
    np.float16,
    np.float32,
    np.float64,
    np.int8,
    np.int32,
    np.int64,
    np.bool_,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
]


def obvious(a: np.ndarray, b: np.ndarray, tolerance: float) -> dict[str, float]:
    """The same metrics, each as its definition says, in float64."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    finite = np.isfinite(x) & np.isfinite(y)
    p, q = x[finite], y[finite]
    delta = np.abs(q - p)
    longs = p.astype(np.longdouble), q.astype(np.longdouble)
    norms = [np.sqrt((values**2).sum()) for values in longs]
    return {
        "above_fraction": (delta > tolerance).mean(),
        "flip_fraction": (np.sign(p) * np.sign(q) < 0).mean(),
        "relative_change": np.linalg.norm(delta) / np.linalg.norm(p),
        "one_minus_cosine": float(1 - (longs[0] * longs[1]).sum() / (norms[0] * norms[1])),
        "max_abs": delta.max(),
        "num_excluded": (~finite).sum(),
    }


def made(dtype, shape=(61, 130), seed=0, scale=1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    a = (random.standard_normal(shape) * 3 * scale).astype(dtype)
    moved = random.random(shape) < 0.3
    b = np.where(moved, a.astype(np.float64) + random.standard_normal(shape) * scale, a.astype(np.float64))
    return a, b.astype(dtype)


def check(found: Difference, a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    for metric, value in obvious(a, b, tolerance).items():
        loose = {"rel": 1e-6, "abs": 1e-7 if metric == "one_minus_cosine" else 0.0}
        assert getattr(found, metric) == pytest.approx(value, **loose, nan_ok=True), metric


@pytest.mark.parametrize("dtype", TYPES)
def test_every_metric_agrees_with_float64(dtype):
    a, b = made(dtype)
    found = difference(a, b, tolerance=0.1)
    check(found, a, b, 0.1)
    assert found.count == a.size and found.is_bitwise
    assert found.num_changed == np.count_nonzero(a.view(f"u{a.itemsize}") != b.view(f"u{a.itemsize}"))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("other", [np.float32, ml_dtypes.bfloat16, np.float64])
def test_different_types_are_compared_as_values(dtype, other):
    a, b = made(dtype)
    b = b.astype(other)
    found = difference(a, b, tolerance=0.1)
    check(found, a, b, 0.1)
    assert found.num_changed == np.count_nonzero(a.astype(np.float64) != b.astype(np.float64))
    assert found.is_bitwise == (a.dtype == b.dtype)


def test_a_file_converted_to_a_wider_type_has_not_changed():
    a = made(ml_dtypes.bfloat16)[0]
    found = difference(a, a.astype(np.float32))
    assert found.num_changed == 0 and found.relative_change == 0 and not found.is_bitwise


@pytest.mark.parametrize("dtype", TYPES)
def test_the_largest_change_is_found_with_its_place(dtype):
    a = np.ones((300, 70), dtype)
    b = a.copy()
    b[211, 13] = b[250, 1] = 0
    found = difference(a, b)
    assert (found.row, found.column, found.max_abs) == (211, 13, 1.0)


def test_the_place_counts_over_several_runs_of_a_tensor():
    a, b = made(np.float32, (64, 50))
    sums = DifferenceSum(threads=1)
    for start in range(0, 64, 7):
        sums.add(a[start : start + 7], b[start : start + 7])
    parted, whole = sums.result(50), difference(a, b)
    assert (parted.row, parted.column, parted.num_changed) == (whole.row, whole.column, whole.num_changed)
    assert parted.l2_delta == pytest.approx(whole.l2_delta, rel=1e-7)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32, np.float64])
def test_what_is_no_number_is_counted_apart_and_spoils_nothing(dtype):
    a, b = made(dtype, (40, 100))
    a[3, 5], a[7, 1], b[7, 1], b[9, 9], b[20, 2] = np.nan, np.inf, np.nan, -np.inf, np.nan
    a[30, 3] = b[30, 3] = np.nan
    found = difference(a, b, tolerance=0.1)
    check(found, a, b, 0.1)
    assert (found.num_nan_a, found.num_inf_a, found.num_nan_b, found.num_inf_b) == (2, 1, 3, 1)
    assert found.num_excluded == 5


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        (np.float32, 1e-30),
        (np.float32, 1e25),
        (np.float32, 1e-42),
        (ml_dtypes.bfloat16, 1e-28),
        (ml_dtypes.bfloat16, 1e30),
        (np.float16, 3e-7),
        (np.float16, 3000),
        (np.float64, 1e-140),
    ],
)
def test_tiny_and_huge_weights_keep_their_metrics(dtype, scale):
    a, b = made(dtype, scale=scale)
    check(difference(a, b, tolerance=scale / 10), a, b, scale / 10)


def test_a_sign_flip_needs_two_values_that_are_not_zero():
    a = np.array([0.0, -0.0, 1.0, -1.0, 1e-44, 0.0, 2.0], np.float32)
    b = np.array([-0.0, 0.0, -1.0, 1.0, -1e-44, -3.0, 0.0], np.float32)
    found = difference(a, b)
    assert found.num_flips == 3
    assert found.num_changed == 7


def test_signed_zeros_differ_in_a_bit_and_in_nothing_else():
    a = np.zeros((4, 9), np.float32)
    found = difference(a, -a)
    assert found.changed_fraction == 1.0 and found.relative_change == 0 and found.max_abs == 0
    assert found.row is None and found.num_above == 0


def test_a_zero_tensor_has_no_direction_and_no_scale():
    zeros, ones = np.zeros((3, 5), np.float32), np.ones((3, 5), np.float32)
    assert math.isnan(difference(zeros, ones).relative_change)
    assert math.isnan(difference(zeros, ones).one_minus_cosine)
    assert difference(zeros, zeros).relative_change == 0
    assert difference(ones, zeros).relative_change == 1


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0)])
def test_an_empty_tensor_leaves_everything_undefined(shape):
    empty = np.zeros(shape, ml_dtypes.bfloat16)
    found = difference(empty, empty)
    assert found.count == 0
    assert all(math.isnan(getattr(found, metric)) for metric in METRICS if metric != "num_excluded")


def test_a_tensor_without_a_finite_pair_leaves_everything_but_the_bits_undefined():
    nothing = np.full((2, 3), np.nan, np.float16)
    found = difference(nothing, nothing)
    assert found.changed_fraction == 0 and found.num_excluded == 6
    assert math.isnan(found.relative_change) and math.isnan(found.max_abs) and math.isnan(found.above_fraction)


def test_a_scalar_is_compared():
    found = difference(np.float32(2.0).reshape(()), np.float32(3.0).reshape(()))
    assert (found.relative_change, found.row, found.column) == (0.5, 0, 0)


def test_constant_tensors_keep_the_cosine_to_seven_digits():
    """Equal entries round in the same direction, the worst case for sums in float32."""
    for value, factor in ((0.1, 1.3), (0.013, 0.7), (3.3, 1.001)):
        a = np.full((512, 512), value, np.float32)
        b = (a * np.float32(factor)).astype(np.float32)
        assert difference(a, b).one_minus_cosine == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32])
def test_slices_and_transposes_need_no_special_treatment(dtype):
    a, b = made(dtype, (60, 70))
    check(difference(a.T, b.T, tolerance=0.1), a, b, 0.1)
    check(difference(a[1::2, 3:], b[1::2, 3:], tolerance=0.1), a[1::2, 3:], b[1::2, 3:], 0.1)
    shifted = np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)
    assert difference(shifted, a).num_changed == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(TYPES[:4]), st.integers(1, 3000), st.floats(0.01, 100))
def test_self_difference_is_zero_and_the_difference_is_symmetric_and_scales(seed, dtype, size, scale):
    a, b = made(dtype, (size,), seed)
    same = difference(a, a)
    assert (same.num_changed, same.l2_delta, same.max_abs, same.num_flips) == (0, 0, 0, 0)
    there, back = difference(a, b), difference(b, a)
    assert (there.num_changed, there.num_flips, there.max_abs) == (back.num_changed, back.num_flips, back.max_abs)
    assert there.l2_delta == pytest.approx(back.l2_delta, rel=1e-6)
    assert there.one_minus_cosine == pytest.approx(back.one_minus_cosine, abs=1e-7)
    x, y = a.astype(np.float64), b.astype(np.float64)
    wide, scaled = difference(x, y), difference(x * scale, y * scale)
    assert scaled.one_minus_cosine == pytest.approx(wide.one_minus_cosine, abs=1e-9)
    assert scaled.relative_change == pytest.approx(wide.relative_change, rel=1e-9)
    if there.l2_a:
        assert abs(there.l2_b - there.l2_a) <= there.l2_delta * (1 + 1e-6) <= (there.l2_a + there.l2_b) * (1 + 1e-5)


@pytest.mark.parametrize("dtype", [*TYPES, np.uint16])
def test_counting_changed_entries_alone_gives_the_same_number(dtype):
    a, b = made(dtype, (300, 701))
    assert num_changed(a, b) == difference(a, b).num_changed


def test_the_numbers_do_not_depend_on_the_threads():
    a, b = made(ml_dtypes.bfloat16, (1500, 1024))
    assert difference(a, b, threads=1) == difference(a, b, threads=4)


def test_bytes_are_reported_and_may_stop_the_work():
    a, b = made(np.float32, (700, 1000))
    seen: list[int] = []
    difference(a, b, on_bytes=seen.append)
    assert sum(seen) == a.nbytes + b.nbytes

    def stop(_: int) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        difference(a, b, on_bytes=stop)


def test_other_shapes_and_complex_numbers_are_refused():
    with pytest.raises(MeasureError, match="shapes"):
        difference(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(MeasureError, match="shapes"):
        num_changed(np.zeros(2), np.zeros(3))
    with pytest.raises(MeasureError, match="complex64"):
        difference(np.zeros(2, np.complex64), np.zeros(2, np.complex64))

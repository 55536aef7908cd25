"""Frames: the same cells everywhere, true statistics, one scale, and changes that hide no entry."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.sources
from engine.animation import LARGEST_FRAME, MOST_CELLS, MOST_FRAMES, Change, frame_window, read_frame, shared_scale
from engine.colour_limits import colour_limits
from engine.colour_scales import linear_scale
from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.heatmaps import exact_value, full_view, read_grid

RNG = np.random.default_rng(0)
ARRAYS = {
    "a": RNG.normal(0, 0.1, (40, 30)).astype(np.float32),
    "b": RNG.normal(0, 0.3, (40, 30)).astype(np.float32),
    "half": RNG.normal(0, 0.3, (40, 30)).astype(ml_dtypes.bfloat16),
    "wide": RNG.normal(size=(5, 4)),
    "ids": (2**53 + np.arange(20)).reshape(5, 4),
    "vector": RNG.normal(size=50).astype(np.float32),
    "scalar": np.array(2.5, np.float32),
    "empty": np.zeros((0, 4), np.float32),
    "positive": RNG.uniform(1, 2, (8, 8)).astype(np.float32),
}
ARRAYS["broken"] = ARRAYS["a"].copy()
ARRAYS["broken"][0, 0], ARRAYS["broken"][1, 1] = np.nan, np.inf


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    from safetensors.numpy import save_file

    path = tmp_path_factory.mktemp("frames") / "model.safetensors"
    save_file(ARRAYS, path)
    with engine.sources.open(path) as opened:
        yield opened


def frame(source, name, num_frames=1):
    info = source.info(name)
    return read_frame(source, info, frame_window(matrix_shape(info.shape), num_frames), num_frames)


@given(shape=st.tuples(st.integers(1, 200_000), st.integers(1, 200_000)), count=st.integers(1, MOST_FRAMES))
@settings(max_examples=200, deadline=None)
def test_all_frames_together_stay_in_bounds(shape, count):
    window = frame_window(shape, count)
    assert 1 <= window.max_rows <= LARGEST_FRAME[0] and 1 <= window.max_columns <= LARGEST_FRAME[1]
    assert count * window.max_rows * window.max_columns <= MOST_CELLS
    assert (window.row_stop, window.column_stop) == shape


def test_too_many_frames_are_refused():
    with pytest.raises(MeasureError, match="257"):
        frame_window((4, 4), MOST_FRAMES + 1)


@pytest.mark.parametrize("name", ["a", "half", "wide", "vector", "scalar", "positive"])
def test_norm_and_deviation_are_those_of_the_whole_tensor(source, name):
    values = ARRAYS[name].astype(np.float64)
    read = frame(source, name)
    assert read.norm == pytest.approx(np.linalg.norm(values), rel=1e-12)
    assert read.std == pytest.approx(values.std(), rel=1e-12)


def test_norm_and_deviation_pass_over_what_is_no_number_and_are_undefined_without_any(source):
    finite = ARRAYS["broken"][np.isfinite(ARRAYS["broken"])].astype(np.float64)
    assert frame(source, "broken").std == pytest.approx(finite.std(), rel=1e-12)
    read = read_frame(source, source.info("empty"), frame_window((0, 4), 1))
    assert np.isnan(read.norm) and np.isnan(read.std) and read.grid.values.shape == (0, 4)


def test_a_deviation_far_from_zero_keeps_its_digits(tmp_path, write_safetensors, monkeypatch):
    monkeypatch.setattr("engine.animation.READ_BYTES", 8 * 64 * 3)  # many blocks
    values = 1e6 + RNG.normal(size=(300, 64))
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"w": values})) as opened:
        read = read_frame(opened, opened.info("w"), frame_window((300, 64), 1))
    assert read.std == pytest.approx(values.std(), rel=1e-9)


def test_a_shared_scale_is_that_of_all_entries_and_one_frame_alone_has_that_of_its_tensor(source):
    frames = [frame(source, name, 2) for name in ("a", "b")]
    both = np.concatenate([ARRAYS[name].ravel() for name in ("a", "b")]).astype(np.float64)
    bound = np.abs(np.percentile(both, [0.5, 99.5])).max()
    assert shared_scale(frames, "linear", 99.5).limits.high == pytest.approx(bound)
    assert shared_scale(frames, "linear", None).limits.high == np.abs(both).max()
    assert shared_scale(frames, "symmetric log", 99.5).kind == "symmetric log"
    own = linear_scale(colour_limits(source, source.info("a")))
    np.testing.assert_allclose(shared_scale(frames[:1], "linear", 99.5).knots, own.knots)
    counts = np.bincount(shared_scale(frames, "rank", 99.5).colour_numbers(both), minlength=256)
    assert counts.max() < 30


def test_a_change_is_the_exact_difference_and_pools_to_the_largest_change(source):
    change = Change(source, source.info("b"), source, source.info("a"))
    info = change.info("b")
    expected = (ARRAYS["b"].astype(np.float64) - ARRAYS["a"]).astype(np.float32)
    np.testing.assert_array_equal(read_grid(change, info, full_view(info)).values, expected)
    pooled = read_grid(change, info, full_view(info, 4, 3)).values
    for i in range(4):
        for j in range(3):
            cell = expected[10 * i : 10 * i + 10, 10 * j : 10 * j + 10]
            assert pooled[i, j] == cell.flat[np.abs(cell).argmax()]
    read = read_frame(change, info, frame_window((40, 30), 1))
    assert read.norm == pytest.approx(np.linalg.norm(expected.astype(np.float64)), rel=1e-6)


def test_a_change_between_types_and_of_what_is_no_number(source):
    change = Change(source, source.info("half"), source, source.info("a"))
    expected = (ARRAYS["half"].astype(np.float64) - ARRAYS["a"]).astype(np.float32)
    np.testing.assert_array_equal(change.read_rows("half", 0, 40), expected)
    broken = Change(source, source.info("broken"), source, source.info("broken")).read("broken")
    assert np.isnan(broken[0, 0]) and np.isnan(broken[1, 1]) and not broken[2:].any()
    same = Change(source, source.info("ids"), source, source.info("ids")).read("ids")
    assert same.dtype == np.float64 and not same.any()
    assert exact_value(Change(source, source.info("wide"), source, source.info("wide")), source.info("wide"), 1, 1) == 0


def test_a_change_between_shapes_is_refused(source):
    with pytest.raises(MeasureError, match="cannot be compared"):
        Change(source, source.info("a"), source, source.info("wide"))

"""Signatures agree with slow float64 versions, and every feature has the invariances that it claims."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest

from engine.discovery.nulls import null_matrix
from engine.discovery.signature import FEATURES, GROUPS, VERSION, HeadRun, SignatureSettings, signature
from engine.discovery.signature.facts import NUM_RANKS
from engine.discovery.signature.registry import Traits, feature, line_feature, transformed
from engine.discovery.signature.taking import sample_runs
from engine.errors import Cancelled, MeasureError
from tests.engine.discovery.slow_features import slow_features

HEADS = tuple(HeadRun(0, start, start + 8) for start in range(0, 64, 8))


def weights(seed: int = 0, shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    """Like trained ones: scales of rows and columns, strong directions, outliers, a zero, a mean, a slow wave."""
    random = np.random.default_rng(seed)
    rows, columns = shape
    noise = random.standard_t(4, shape) * np.exp(0.4 * random.standard_normal(rows))[:, None]
    noise *= np.exp(0.3 * random.standard_normal(columns))
    noise += np.outer(random.standard_normal(rows), random.standard_normal(columns)) + 0.05
    noise += 0.3 * np.sin(np.arange(rows) / 9)[:, None]
    noise[random.random(shape) < 0.003] *= 12
    noise[1, 2] = 0.0
    return 0.02 * noise


def by_name(values: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, values.tolist(), strict=True))


@pytest.mark.parametrize("shape", [(64, 96), (101, 40), (80, 80)])
def test_every_feature_agrees_with_the_slow_version(shape):
    matrix = weights(3, shape)
    heads = HEADS if shape[0] == 64 else ()
    expected = slow_features(matrix, [matrix[head.start : head.stop] for head in heads])
    found = signature(matrix, heads=heads).as_dict()
    assert set(found) == set(expected)
    for name, value in found.items():
        tolerance = 1e-4 if name == "student_t_df" else 1e-8
        assert value == pytest.approx(expected[name], rel=tolerance, abs=1e-10, nan_ok=True), name


def test_narrow_types_are_taken_as_the_numbers_they_hold():
    for dtype in (np.float32, np.float16, ml_dtypes.bfloat16):
        narrow = weights().astype(dtype)
        wide = signature(narrow.astype(np.float64), heads=HEADS).as_dict()
        for name, value in signature(narrow, heads=HEADS).as_dict().items():
            assert value == pytest.approx(wide[name], rel=1e-6, abs=1e-9, nan_ok=True), name


CHANGES = {
    "scale": [lambda w: w * 2.0**-9, lambda w: w * 2.0**700, lambda w: w * 3.7],
    "sign": [lambda w: -w],
    "rows": [lambda w: w[np.random.default_rng(1).permutation(len(w))]],
    "columns": [lambda w: w[:, np.random.default_rng(2).permutation(w.shape[1])]],
    "entries": [lambda w: null_matrix("entry_shuffle", w, 3)],
    "rotation": [
        lambda w: np.linalg.qr(np.random.default_rng(4).standard_normal((len(w),) * 2))[0] @ w,
        lambda w: w @ np.linalg.qr(np.random.default_rng(5).standard_normal((w.shape[1],) * 2))[0],
    ],
}


@pytest.mark.parametrize("invariance", CHANGES)
def test_features_have_the_invariances_they_claim(invariance):
    matrix = weights()
    before = signature(matrix, heads=HEADS).as_dict()
    claimed = [name for name, entry in FEATURES.items() if invariance in entry.invariances]
    assert claimed
    for change in CHANGES[invariance]:
        after = signature(change(matrix), heads=HEADS).as_dict()
        for name in claimed:
            assert math.isfinite(before[name]), name
            assert after[name] == pytest.approx(before[name], rel=1e-6, abs=1e-6), name


@pytest.mark.parametrize("invariance", ["rows", "columns", "scale"])
def test_no_spectral_feature_moves_by_more_than_a_millionth(invariance):
    for seed in range(4):
        matrix = weights(seed, (50, 70))
        before = signature(matrix).as_dict()
        for change in CHANGES[invariance]:
            after = signature(change(matrix)).as_dict()
            for name in (name for name, entry in FEATURES.items() if entry.group == "spectrum"):
                assert abs(after[name] - before[name]) <= 1e-6, name


def test_features_that_claim_nothing_do_move():
    """Else the tests above would hold for features that never move at all."""
    matrix = weights()
    before = signature(matrix, heads=HEADS).as_dict()
    for invariance in CHANGES:
        after = signature(CHANGES[invariance][0](matrix), heads=HEADS).as_dict()
        moved = {name for name in FEATURES if abs(after[name] - before[name]) > 1e-6 * max(1, abs(before[name]))}
        assert moved or all(invariance in entry.invariances for entry in FEATURES.values()), invariance
    shuffled = signature(null_matrix("entry_shuffle", matrix, 3)).as_dict()
    assert abs(shuffled["top_over_scaled_edge"] - before["top_over_scaled_edge"]) > 0.01
    assert abs(shuffled["row_lag_1"] - before["row_lag_1"]) > 0.01


def test_transposing_exchanges_rows_and_columns():
    matrix = weights()
    turned = tuple(HeadRun(1, head.start, head.stop) for head in HEADS)
    before, after = signature(matrix, heads=HEADS).as_dict(), signature(matrix.T, heads=turned).as_dict()
    for name, entry in FEATURES.items():
        assert after[entry.transposed] == pytest.approx(before[name], rel=1e-6, abs=1e-9, nan_ok=True), name
        assert FEATURES[entry.transposed].transposed == name
        assert FEATURES[entry.transposed].resolution == entry.resolution


def test_the_registry_is_documented_and_pinned_to_its_version():
    for name, entry in FEATURES.items():
        assert entry.name == name and entry.title and len(entry.description) > 30
        assert entry.group in GROUPS and entry.resolution > 0
        assert "{" not in entry.title + entry.description.replace("{lines}", "{"), name
    groups = [entry.group for entry in FEATURES.values()]
    assert list(dict.fromkeys(groups)) == list(GROUPS)
    told = " ".join(f"{f.name}/{f.transform}" for f in FEATURES.values())
    pinned = {1: "976d3588b9d2"}
    assert hashlib.sha256(told.encode()).hexdigest()[:12] == pinned[VERSION], "raise VERSION, add a migration"


def test_a_feature_needs_words_and_a_name_of_its_own():
    traits = Traits("norms", frozenset())
    with pytest.raises(MeasureError, match="has no docstring"):
        feature(traits, "Nothing")(lambda facts: 0.0)

    def separability(facts):
        """Taken."""

    with pytest.raises(MeasureError, match="registered twice"):
        feature(traits, "Twice")(separability)

    def norm_cv(facts, axis):
        """Taken for {lines}."""

    with pytest.raises(MeasureError, match="row_norm_cv is registered twice"):
        line_feature(traits, "Twice")(norm_cv)


def test_closed_forms_of_the_identity():
    found = signature(np.eye(40))
    assert found["stable_rank_share"] == pytest.approx(1)
    assert found["effective_rank_share"] == pytest.approx(1)
    assert found["energy_entropy"] == pytest.approx(1)
    assert found["row_norm_cv"] == found["row_energy_gini"] == found["row_scale_bits"] == 0
    assert found["zero_share"] == 39 / 40
    assert math.isnan(found["max_sigmas"]) and math.isnan(found["tail_95"]) and math.isnan(found["student_t_df"])


def test_closed_forms_of_a_rank_one_matrix():
    random = np.random.default_rng(0)
    u, v = random.standard_normal(30), random.standard_normal(50)
    found = signature(np.outer(u, v))
    assert found["stable_rank_share"] == pytest.approx(1 / 30)
    assert found["separability"] == pytest.approx(1)
    assert found["scaled_kurtosis"] == pytest.approx(1)
    assert found["quiet_share"] == pytest.approx(29 / 30)
    assert math.isnan(found["top_gap"])
    assert found["half_energy_rank"] == pytest.approx(0.5 / 30)


def test_closed_forms_of_scaled_noise():
    """Heavy tails made of scales alone are explained by the scales, and so are the eigenvalues beyond the iid edge."""
    random = np.random.default_rng(1)
    scales = np.repeat([1.0, 8.0], 200)
    found = signature(random.standard_normal((400, 500)) * scales[:, None])
    assert found["kurtosis"] == pytest.approx(3 * (1 + 8**4) / 2 / ((1 + 8**2) / 2) ** 2, rel=0.05)
    assert found["scaled_kurtosis"] == pytest.approx(3, rel=0.02)
    assert found["row_scale_bits"] == pytest.approx(0.5 * np.log2(65 / 2 / 8), rel=0.01)
    assert found["column_scale_bits"] < 0.01
    assert found["iid_spike_share"] > 0.05
    assert found["scaled_spike_share"] <= 1 / 400
    assert found["separability"] == pytest.approx(1 / math.sqrt(3), abs=0.01)


def test_white_noise_is_typical_in_all_that_is_about_order():
    found = signature(np.random.default_rng(2).standard_normal((300, 400))).as_dict()
    for name, value in found.items():
        if "_band_" in name:
            assert value == pytest.approx(1, abs=0.06), name
        elif "_lag_" in name:
            assert value == pytest.approx(0, abs=0.015), name
        elif name.endswith("_flatness"):
            assert value > 0.99
        elif name.endswith("_common"):
            assert 0.7 < value < 1.4


def test_a_wave_down_the_rows_is_found_in_its_band_and_nowhere_along_the_columns():
    random = np.random.default_rng(3)
    wave = np.sin(2 * np.pi * np.arange(240) / 10)[:, None] * random.standard_normal(200)
    found = signature(random.standard_normal((240, 200)) + wave).as_dict()
    assert found["row_band_8_16"] > 3 and found["row_band_2_4"] < 0.8
    assert found["row_peak"] > 30
    assert found["row_lag_1"] == pytest.approx(np.cos(2 * np.pi / 10) / 3, abs=0.02)
    assert 0.8 < found["column_band_8_16"] < 1.2


def test_outliers_in_one_column_are_told_from_scattered_ones():
    matrix = np.random.default_rng(4).standard_normal((200, 200))
    gathered, scattered = matrix.copy(), matrix.copy()
    gathered[:40, 7] += 30
    scattered.reshape(-1)[np.random.default_rng(5).choice(matrix.size, 40, replace=False)] += 30
    assert signature(gathered)["column_outlier_concentration"] > 0.9
    assert signature(gathered)["row_outlier_concentration"] < 0.2
    assert signature(scattered)["column_outlier_concentration"] < 0.2
    assert signature(gathered)["very_far_weights"] == pytest.approx(1000)


def test_heads_that_differ_are_told_from_heads_that_do_not():
    matrix = np.random.default_rng(6).standard_normal((64, 96))
    same = signature(matrix, heads=HEADS)
    matrix[8:16] *= 5
    assert signature(matrix, heads=HEADS)["head_norm_max"] > 3 * same["head_norm_max"]
    assert math.isnan(signature(matrix)["head_norm_max"])


def test_undefined_features_are_nan_and_none_is_infinite():
    for matrix in (
        np.zeros((20, 30)),
        np.ones((20, 30)),
        np.full((2, 2), 1e-300),
        np.diag([1.0, 0, 0]),
        np.full((9, 9), 3e38, np.float32),
        np.arange(6, dtype=np.int8).reshape(2, 3),
    ):
        values = signature(matrix).values
        assert not np.isinf(values).any()
    zero = signature(np.zeros((20, 30)))
    assert zero["zero_share"] == 1 and zero["row_zero_lines"] == 1
    assert math.isnan(zero["rms"]) and math.isnan(zero["stable_rank_share"])


def test_extreme_scales_change_nothing_but_the_scale():
    matrix = weights()
    plain = signature(matrix).as_dict()
    for factor in (2.0**-1000, 2.0**1000):
        found = signature(matrix * factor).as_dict()
        assert found.pop("rms") == pytest.approx(plain["rms"] * factor)
        for name, value in found.items():
            assert value == pytest.approx(plain[name], rel=1e-12, nan_ok=True), name


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.ones((1, 5)), "at least 2 × 2, got 1 × 5"),
        (np.ones(5), "at least 2 × 2, got 1 × 5"),
        (np.array([[1, np.nan], [np.inf, 1]]), "2 NaN or infinite values"),
        (np.ones((2, 2), complex), "real numbers, got complex128"),
        (np.ones((2, 2), bool), "real numbers, got bool"),
    ],
)
def test_what_has_no_signature_is_refused_with_the_reason(matrix, words):
    with pytest.raises(MeasureError, match=words):
        signature(matrix)


def test_a_convolution_is_folded():
    kernels = np.random.default_rng(7).standard_normal((8, 4, 3, 3))
    np.testing.assert_array_equal(signature(kernels).values, signature(kernels.reshape(8, 36)).values)


def test_a_signature_is_the_same_every_time_and_leaves_the_matrix_alone():
    matrix = weights()
    before = matrix.copy()
    np.testing.assert_array_equal(signature(matrix).values, signature(matrix).values)
    np.testing.assert_array_equal(matrix, before)


def test_the_work_can_be_stopped():
    def stop(_num_bytes):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        signature(weights(), on_bytes=stop)


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_large_matrix_is_sampled_and_says_how_far_it_may_be_off(is_wide):
    matrix = weights(8, (4000, 32))
    whole = signature(matrix).as_dict()
    sampled = signature(matrix.T if is_wide else matrix, SignatureSettings(max_elements=32 * 1024))
    assert sampled.is_estimate and sampled.share == pytest.approx(1024 / 4000)
    errors = by_name(sampled.errors)
    found = sampled.as_dict()
    if is_wide:
        found = {FEATURES[name].transposed: value for name, value in found.items()}
        errors = {FEATURES[name].transposed: value for name, value in errors.items()}
    checked = ("rms", "kurtosis", "tail_95", "student_t_df", "mean_magnitude", "column_scale_bits", "stable_rank_share")
    for name in checked:
        assert errors[name] > 0
        assert abs(found[name] - whole[name]) < 4 * errors[name], name
    assert not signature(matrix).errors.any()


def test_a_sample_sees_every_part_and_stays_inside():
    for shape, most in (((1000, 7), 1000), ((7, 999), 500), ((200, 50), 9999), ((5000, 3), 8000)):
        axis, runs = sample_runs(shape, most)
        length = shape[axis]
        assert axis == int(shape[1] > shape[0])
        assert all(0 <= run.start < run.stop <= length for run in runs)
        assert all(before.stop <= after.start for before, after in pairwise(runs))
        assert sum(run.stop - run.start for run in runs) * shape[1 - axis] <= most
        assert len(runs) % 4 == 0
    with pytest.raises(MeasureError, match="too small"):
        sample_runs((100, 90), 100)


def test_many_entries_are_fitted_by_evenly_spread_ranks():
    matrix = np.random.default_rng(9).standard_t(5, (160, 160))
    assert matrix.size > NUM_RANKS
    from engine.student_t import student_t_parameters

    whole = student_t_parameters(np.sort(matrix, axis=None)).df
    assert signature(matrix)["student_t_df"] == pytest.approx(whole, rel=3e-3)


def test_settings_that_change_numbers_change_the_hash():
    assert SignatureSettings().hash == SignatureSettings().hash
    assert SignatureSettings().hash != SignatureSettings(max_elements=5).hash


def test_what_has_no_logarithm_is_undefined_when_compared():
    values = np.zeros((1, len(FEATURES)))
    found = by_name(transformed(values)[0])
    assert math.isnan(found["rms"]) and found["far_weights"] == 0 and found["mean_shift"] == 0
    assert not np.isinf(transformed(values)).any()

"""Normal and Student-t fits against scipy's own likelihood, generated data, and real weights."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

import engine.sources
from engine import distribution_fits as fitting
from engine.distribution_fits import MAX_ENTRIES, NUM_POINTS, Law, distribution_fits, fits_of, sample, verdict
from engine.naming import place
from engine.student_t import NUM_GROUPS, derivatives, student_t_parameters


def student_t(df, size, seed=0, location=0.01, scale=0.05):
    return np.random.default_rng(seed).standard_t(df, size) * scale + location


def test_the_likelihood_is_scipys_and_its_derivatives_are_those_of_finite_differences():
    values, theta, h = student_t(4, 300), np.array([0.02, math.log(0.07), math.log(6.0)]), 1e-5
    value, gradient, hessian = derivatives(values, theta)
    assert value == pytest.approx(stats.t.logpdf(values, 6.0, 0.02, 0.07).mean(), rel=1e-12)
    for k, unit in enumerate(np.eye(3)):
        above, below = derivatives(values, theta + h * unit), derivatives(values, theta - h * unit)
        assert gradient[k] == pytest.approx((above[0] - below[0]) / (2 * h), rel=1e-6, abs=1e-8)
        np.testing.assert_allclose(hessian[k], (above[1] - below[1]) / (2 * h), rtol=1e-6, atol=1e-8)


def test_counting_a_number_twice_is_writing_it_twice():
    values, theta, counts = student_t(4, 50), np.array([0.0, -3.0, 1.0]), np.arange(1, 51) % 3 + 1
    for once, written in zip(
        derivatives(values, theta, counts), derivatives(np.repeat(values, counts), theta), strict=True
    ):
        np.testing.assert_allclose(once, written, rtol=1e-12)


@pytest.mark.parametrize("df", [0.8, 1.5, 3.0, 10.0])
@pytest.mark.parametrize("size", [90, 700])
def test_the_parameters_are_those_that_scipy_finds(df, size):
    values = np.sort(student_t(df, size, seed=5))
    found = student_t_parameters(values)
    assert found.df < 100

    def careful(f, start, args=(), disp=0):
        return optimize.fmin(f, start, args=args, disp=disp, xtol=1e-10, ftol=1e-14, maxiter=4000, maxfun=4000)

    expected = stats.t.fit(values, optimizer=careful)
    assert found.df == pytest.approx(expected[0], rel=1e-4)
    assert found.location == pytest.approx(expected[1], abs=1e-4 * expected[2])
    assert found.scale == pytest.approx(expected[2], rel=1e-4)
    assert found.log_likelihood == pytest.approx(stats.t.logpdf(values, *expected).mean(), rel=1e-9)


@pytest.mark.parametrize("df", [1.0, 2.5, 10.3, 60.0])
def test_generated_data_give_back_their_degrees_of_freedom_within_the_standard_error(df):
    law = fits_of(student_t(df, 200_000, seed=3)).student_t
    assert abs(law.df - df) < 4 * law.df_error < df
    assert law.location == pytest.approx(0.01, abs=1e-3)
    assert law.scale == pytest.approx(0.05, rel=0.02)


def test_the_standard_error_is_the_spread_of_repeated_fits():
    found = [fits_of(student_t(5, 2000, seed=seed)).student_t for seed in range(120)]
    spread = np.std([law.df for law in found])
    assert np.median([law.df_error for law in found]) == pytest.approx(spread, rel=0.25)


def test_groups_of_neighbours_leave_no_trace_in_the_result():
    values = np.sort(student_t(7, 20 * NUM_GROUPS))
    found = student_t_parameters(values)
    _, gradient, _ = derivatives(values, np.log([math.e**found.location, found.scale, found.df]))
    np.testing.assert_allclose(gradient * [found.scale, 1, 1], 0, atol=1e-9)
    assert found.log_likelihood == pytest.approx(
        stats.t.logpdf(values, found.df, found.location, found.scale).mean(), rel=1e-10
    )


@settings(max_examples=25, deadline=None)
@given(factor=st.sampled_from([1e-30, 1e-3, -7.0, 1e20]), shift=st.floats(-3, 3), seed=st.integers(0, 20))
def test_scaling_and_moving_the_weights_moves_the_laws_with_them(factor, shift, seed):
    values = student_t(4, 500, seed)
    one, other = fits_of(values).student_t, fits_of(factor * (values + shift)).student_t
    assert other.df == pytest.approx(one.df, rel=1e-5)
    assert other.scale == pytest.approx(abs(factor) * one.scale, rel=1e-5)
    assert other.location == pytest.approx(factor * (one.location + shift), abs=1e-5 * abs(factor))
    assert other.log_likelihood == pytest.approx(one.log_likelihood - math.log(abs(factor)), abs=1e-8)


def test_the_normal_is_mean_and_standard_deviation():
    values = student_t(20, 5000)
    law = fits_of(values).normal
    assert (law.location, law.scale) == pytest.approx((values.mean(), values.std()), rel=1e-12)
    expected = stats.norm.logpdf(values, values.mean(), values.std()).mean()
    assert law.log_likelihood == pytest.approx(expected, rel=1e-12)


def test_heavy_tails_are_told_from_a_normal_by_aic_and_in_bits():
    values = student_t(5, 30_000)
    fits = fits_of(values)
    assert fits.better is fits.student_t
    by_t = stats.t.logpdf(values, fits.student_t.df, fits.student_t.location, fits.student_t.scale).sum()
    by_normal = stats.norm.logpdf(values, fits.normal.location, fits.normal.scale).sum()
    assert fits.aic_difference == pytest.approx(2 * (by_t - by_normal) - 2, rel=1e-9)
    assert fits.bits_gained == pytest.approx((by_t - by_normal) / values.size / math.log(2), rel=1e-9)
    df, error = fits.student_t.df, fits.student_t.df_error
    assert verdict(fits).startswith(f"A Student-t with {df:.1f} ± {error:.1f} degrees of freedom describes these")


@pytest.mark.parametrize("values", [stats.norm.ppf((np.arange(1000) + 0.5) / 1000), np.linspace(-1, 1, 1000)])
def test_what_has_no_heavy_tails_is_called_normal(values):
    fits = fits_of(values)
    assert math.isinf(fits.student_t.df) and math.isnan(fits.student_t.df_error)
    assert fits.student_t.log_likelihood == fits.normal.log_likelihood
    assert fits.better is fits.normal
    assert verdict(fits).startswith("A normal describes these weights;")


def test_a_handful_of_numbers_is_no_evidence_for_heavy_tails():
    fits = fits_of([-1.0, -0.4, -0.3, 0.0, 0.1, 0.3, 0.5, 2.0])
    assert fits.better is fits.normal
    assert "as well as anything" in verdict(fits) or math.isinf(fits.student_t.df)


def test_nan_and_infinity_are_passed_over():
    values = student_t(4, 1000)
    broken = np.concatenate([values, [np.nan, np.inf, -np.inf]])
    assert fits_of(broken).student_t == fits_of(values).student_t
    assert fits_of(broken).num_weights == 1000


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(100), "100 % of the weights are exactly 0"),
        (np.full(9, 2.5), "exactly 2.5"),
        (np.concatenate([np.zeros(50), np.arange(1, 51)]), "50 % of the weights are exactly 0"),
        (np.arange(7), "there are 7"),
        (np.zeros(0), "there are 0"),
        (np.full(50, np.nan), "there are 0"),
    ],
)
def test_weights_without_a_law_say_why(values, words):
    fits = fits_of(values)
    assert fits.normal is None and fits.student_t is None and fits.better is None
    assert math.isnan(fits.bits_gained) and math.isnan(fits.aic_difference)
    assert words in verdict(fits)


def test_tied_numbers_short_of_the_limit_still_give_a_finite_fit():
    values = np.concatenate([np.zeros(330), np.random.default_rng(0).standard_normal(670)])
    law = fits_of(values).student_t
    assert all(map(math.isfinite, (law.location, law.scale, law.df, law.log_likelihood)))
    assert law.scale > 0


def test_a_law_gives_every_bin_its_probability_also_far_out():
    law = Law("Student-t", 0.1, 2.0, 3.0, math.nan, 0.0)
    edges = np.array([-1e6, -50.0, 0.0, 0.1, 0.2, 40.0, 1e6])
    expected = -np.diff(stats.t(3, 0.1, 2).sf(edges))
    np.testing.assert_allclose(law.shares_between(edges), expected, rtol=1e-9)
    normal = Law("normal", 0.0, 1.0, math.inf, math.nan, 0.0)
    np.testing.assert_allclose(normal.shares_between(np.array([20.0, 22.0])), stats.norm.sf(20), rtol=1e-9)
    np.testing.assert_allclose(normal.shares_between(np.array([-22.0, -20.0])), stats.norm.sf(20), rtol=1e-9)


@pytest.mark.parametrize("df", [0.5, 3.7, math.inf])
def test_quantiles_of_a_law_are_the_inverse_of_its_probabilities(df):
    law, shares = Law("Student-t", -1.0, 0.3, df, math.nan, 0.0), np.array([1e-6, 0.01, 0.5, 0.9, 1 - 1e-6])
    expected = stats.norm.ppf(shares) if math.isinf(df) else stats.t.ppf(shares, df)
    np.testing.assert_allclose(law.quantiles(shares), -1.0 + 0.3 * expected, rtol=1e-8)


@pytest.mark.parametrize("size", [8, 100, 50_000])
def test_the_points_are_order_statistics_with_both_ends(size):
    values = student_t(4, size)
    fits, ordered = fits_of(values), np.sort(values)
    assert fits.shares.size == fits.values.size <= NUM_POINTS
    assert fits.values[0] == ordered[0] and fits.values[-1] == ordered[-1]
    ranks = fits.shares * size + 0.5
    np.testing.assert_allclose(ranks, ranks.round(), atol=1e-6)
    np.testing.assert_array_equal(fits.values, ordered[ranks.round().astype(int) - 1])


@pytest.fixture
def opened(tmp_path, write_safetensors):
    """opened({name: array}) -> a source."""

    def open_(arrays):
        return engine.sources.open(write_safetensors(tmp_path / "model.safetensors", arrays))

    return open_


def test_a_small_tensor_is_fitted_whole_in_any_float_type(opened):
    values = student_t(6, (40, 50))
    arrays = {
        "f64": values,
        "f32": values.astype(np.float32),
        "bf16": values.astype(ml_dtypes.bfloat16),
        "f16": values.astype(np.float16).reshape(-1),
    }
    with opened(arrays) as source:
        for name, array in arrays.items():
            fits = distribution_fits(source, source.info(name))
            assert fits.is_whole and fits.num_weights == 2000
            assert fits.student_t == fits_of(array).student_t


def test_whole_numbers_and_scalars_are_not_fitted(opened):
    arrays = {"i": np.arange(100), "b": np.ones(50, bool), "c": np.ones(50, np.complex64), "s": np.float32(3.0)}
    with opened({name: np.asarray(array) for name, array in arrays.items()}) as source:
        for name in "ibc":
            assert "real numbers" in verdict(distribution_fits(source, source.info(name)))
        assert "there are 1" in verdict(distribution_fits(source, source.info("s")))


@pytest.mark.parametrize("shape", [(3000, 500), (40, 60_000), (3_000_001,), (600, 50, 70), (2, 1_500_000)])
def test_a_large_tensor_is_sampled_evenly_and_always_alike(opened, shape, monkeypatch):
    entries = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    with opened({"w": entries}) as source:
        found = sample(source, source.info("w")).astype(np.int64)
        np.testing.assert_array_equal(found, sample(source, source.info("w")))
        reads = []
        read_rows = source.read_rows
        monkeypatch.setattr(source, "read_rows", lambda *arguments: reads.append(arguments) or read_rows(*arguments))
        source.is_remote = True
        assert sample(source, source.info("w")).size <= MAX_ENTRIES
        assert len(reads) <= fitting.NUM_REMOTE_RUNS
    assert MAX_ENTRIES / 2 < found.size <= MAX_ENTRIES
    assert np.unique(found).size == found.size
    tenths = np.histogram(found, 10, (0, entries.size))[0] / found.size
    np.testing.assert_allclose(tenths, 0.1, atol=0.05)


def test_a_sample_finds_the_law_of_the_whole(opened):
    values = student_t(8, (4000, 700)).astype(np.float32)
    with opened({"w": values}) as source:
        fits = distribution_fits(source, source.info("w"))
    whole = fits_of(values).student_t
    assert not fits.is_whole and fits.share == pytest.approx(fits.num_weights / values.size)
    assert abs(fits.student_t.df - whole.df) < 4 * fits.student_t.df_error


def test_minilms_matrices_have_ten_degrees_of_freedom(minilm_path):
    degrees, excesses = [], []
    with engine.sources.open(minilm_path) as source:
        for info in source.infos():
            if len(info.shape) == 2 and place(info.name, info.shape).layer is not None:
                law = distribution_fits(source, info).student_t
                degrees.append(law.df)
                excesses.append(stats.kurtosis(source.read(info.name), axis=None))
    assert len(degrees) == 36
    assert np.median(degrees) == pytest.approx(10.3, abs=0.15)
    assert np.median(excesses) == pytest.approx(1.00, abs=0.01)

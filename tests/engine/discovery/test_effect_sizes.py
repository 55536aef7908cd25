"""Effects have one number a model, p-values that hold under the null, and intervals that are not blind."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, spearmanr

from engine.discovery.effect_sizes import (
    adjusted,
    bootstrap_interval,
    cliffs_delta,
    concordance,
    effect,
    eta_squared,
    rank_correlations,
    sign_flip_p,
)
from engine.discovery.power import models_needed, power, simulated_power, smallest_p

numbers = st.lists(st.integers(-5, 5), min_size=1, max_size=12)


def most_false_positives(studies: int, alpha: float = 0.05) -> int:
    """What so many studies of nulls exceed once in a million."""
    return int(binom.ppf(1 - 1e-6, studies, alpha))


@given(numbers, numbers)
def test_cliffs_delta_counts_the_pairs(x, y):
    pairs = [np.sign(a - b) for a, b in itertools.product(x, y)]
    assert cliffs_delta(np.array(x), np.array(y)) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert cliffs_delta(np.array(y), np.array(x)) == pytest.approx(-np.mean(pairs), abs=1e-12)


def test_cliffs_delta_leaves_out_what_is_undefined():
    assert cliffs_delta(np.array([1.0, np.nan]), np.array([0.0, np.inf])) == 1.0
    assert math.isnan(cliffs_delta(np.array([np.nan]), np.array([0.0])))


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_the_exact_p_is_the_share_of_all_signs(size):
    values = np.random.default_rng(size).normal(0.4, 1, size)
    every = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=size)]
    expected = np.mean(np.array(every) >= abs(values.sum()) - 1e-12)
    assert sign_flip_p(values) == pytest.approx(expected)


def test_the_smallest_p_of_n_models_is_what_power_promises():
    for size in range(2, 10):
        assert sign_flip_p(np.linspace(0.1, 1, size)) == smallest_p(size) == 2 / 2**size
    assert math.isnan(sign_flip_p(np.array([1.0])))
    assert sign_flip_p(np.ones(20)) == pytest.approx(1e-4)


def test_ties_do_not_make_a_p_smaller():
    assert sign_flip_p(np.zeros(6)) == 1.0


@pytest.mark.parametrize("size", [6, 16])
def test_models_like_their_nulls_are_found_at_most_as_often_as_allowed(size):
    random, studies = np.random.default_rng(size), 400
    p = [sign_flip_p(random.standard_normal(size)) for _ in range(studies)]
    assert sum(each <= 0.05 for each in p) <= most_false_positives(studies)


def test_whole_studies_of_nulls_find_anything_at_most_as_often_as_allowed():
    random, studies = np.random.default_rng(1), 150
    found = [
        (adjusted([sign_flip_p(row) for row in random.standard_normal((20, 8))]) <= 0.05).any() for _ in range(studies)
    ]
    assert sum(found) <= most_false_positives(studies)


def test_bootstrap_intervals_hold_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        low, high = bootstrap_interval(np.clip(random.normal(0.2, 0.3, 12), -1, 1))
        held += low <= 0.2 <= high
    assert held >= 175


def test_where_all_models_agree_the_interval_is_that_of_so_few_models():
    low, high = bootstrap_interval(np.ones(6))
    assert high == 1.0
    assert low == pytest.approx(2 * 0.025 ** (1 / 6) - 1)
    assert bootstrap_interval(-np.ones(6)) == pytest.approx((-1.0, -low))
    assert all(math.isnan(end) for end in bootstrap_interval(np.ones(1)))


def test_an_effect_of_nothing_is_undefined():
    found = effect([math.nan])
    assert found.num_models == 0
    assert math.isnan(found.effect)
    assert math.isnan(found.p_value)


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg():
    np.testing.assert_allclose(adjusted([0.01, math.nan, 0.04, 0.03]), [0.03, np.nan, 0.04, 0.04])
    assert np.isnan(adjusted([math.nan])).all()


def test_rank_correlations_are_spearmans_over_what_both_have():
    values = np.random.default_rng(3).standard_normal((4, 9))
    values[1, 2] = values[2, :7] = np.nan
    table = rank_correlations(values)
    for i, j in itertools.combinations(range(4), 2):
        both = np.isfinite(values[i]) & np.isfinite(values[j])
        expected = spearmanr(values[i, both], values[j, both]).statistic if both.sum() >= 3 else np.nan
        assert table[i, j] == pytest.approx(expected, nan_ok=True)
    assert math.isnan(rank_correlations(np.ones((2, 5)))[0, 1])


def test_agreement_on_positions_is_found_and_counted_beyond_that_of_nulls():
    random = np.random.default_rng(4)
    common = random.standard_normal(20)
    trained = common + 0.5 * random.standard_normal((6, 20))
    found = concordance(trained, random.standard_normal((2, 6, 20)), range(6))
    assert found.effect > 0.5
    assert found.p_value == 1 / 2**6
    as_alike = concordance(trained, common + 0.5 * random.standard_normal((2, 6, 20)), range(6))
    assert abs(as_alike.effect) < 0.2
    assert as_alike.p_value > 0.05


def test_models_that_agree_no_more_than_their_nulls_are_found_as_often_as_allowed():
    random, studies = np.random.default_rng(5), 150
    found = 0
    for _ in range(studies):
        common = random.standard_normal(12)  # the shapes make all of them agree
        draws = common + random.standard_normal((3, 5, 12))
        found += concordance(draws[0], draws[1:2], range(5)).p_value <= 0.05
    assert found <= most_false_positives(studies)


def test_relatives_are_swapped_together_and_make_no_pair():
    random = np.random.default_rng(6)
    one, other = random.standard_normal((2, 15))
    trained = np.stack([one, one, one, other])
    found = concordance(trained, random.standard_normal((1, 4, 15)), [0, 0, 0, 1])
    assert found.num_models == 2
    assert found.p_value >= 1 / 4
    assert abs(found.effect) < 0.9
    alone = concordance(trained, random.standard_normal((1, 4, 15)), [0, 0, 0, 0])
    assert alone.num_models == 0
    assert math.isnan(alone.p_value)


def test_eta_squared_is_1_between_and_0_within():
    assert eta_squared(np.array([1.0, 1, 2, 2]), "aabb") == 1.0
    assert eta_squared(np.array([1.0, 2, 1, 2]), "aabb") == 0.0
    assert math.isnan(eta_squared(np.array([1.0, 1, np.nan]), "aab"))


def test_too_few_models_are_told_so_with_how_many_are_missing():
    found = power(3, 100)
    assert not found.can_answer
    assert found.power == 0.0
    assert "With 3 independent models this cannot be answered" in found.words
    assert "Add at least 3" in found.words
    assert models_needed(1) == 6
    assert smallest_p(models_needed(100)) * 100 <= 0.05 < smallest_p(models_needed(100) - 1) * 100


def test_power_grows_with_models_and_with_the_effect():
    powers = [simulated_power(size, 20) for size in (6, 10, 16)]
    assert powers == sorted(powers)
    assert powers[-1] > 0.8
    assert simulated_power(10, 20, shift=2.0) > simulated_power(10, 20, shift=0.5)
    assert simulated_power(10, 20, shift=0.0) < 0.05

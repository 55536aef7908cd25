"""Planted patterns are found, noise is not, and the verdict says in words what the numbers say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from engine.discovery.coding_gain import CodingGain
from engine.discovery.nulls import null_matrix
from engine.discovery.power import Power, power
from engine.discovery.shared_patterns import Measured, by_lineage, matched_delta, pattern_test, position_profiles
from engine.discovery.sharing_dividend import Dividend
from engine.discovery.signature import FEATURES, signature
from engine.discovery.subspace import Subspace
from engine.discovery.verdict import VERDICTS, PairDividend, bits_text, num_found, verdict
from engine.naming import Place

COLUMN = list(FEATURES).index("skewness")
OTHER = list(FEATURES).index("alpha")


def made(
    number: int, layers: int = 4, draws: int = 3, shift: float = 0.0, slope: float = 0.0, **labels: str
) -> Measured:
    """A model of which two features are known: `shift` above the null, and rising by `slope` a layer."""
    random = np.random.default_rng(number)
    places = tuple(Place(layer, role, "weight") for layer in range(layers) for role in ("query", "ffn_in"))
    values = np.full((1 + draws, len(places), len(FEATURES)), np.nan)
    values[..., COLUMN] = random.standard_normal(values.shape[:2])
    values[..., OTHER] = np.exp(random.standard_normal(values.shape[:2]))
    values[0, :, COLUMN] += shift + slope * np.array([place.layer for place in places])
    return Measured(str(number), places, values[0], values[1:], labels)


def test_a_planted_level_is_found_in_its_feature_and_nowhere_else():
    found = pattern_test([made(seed, shift=2.0) for seed in range(9)], range(9))
    beyond = {(one.feature, one.role) for one in found.effects if one.q_value <= 0.05}
    assert beyond == {("skewness", "query"), ("skewness", "ffn_in")}
    assert found.effects[0].delta.effect > 0.7
    assert found.effects[0].typical > found.effects[0].typical_null + 1


def test_a_planted_profile_over_layers_is_agreed_on_though_levels_differ():
    models = [made(seed, layers=6, slope=1.0, shift=-2.5) for seed in range(7)]
    found = pattern_test(models, range(7))
    agreeing = {one.feature: one for one in found.concordances}
    assert agreeing["skewness"].q_value <= 0.05
    assert agreeing["skewness"].excess.effect > 0.4
    assert agreeing["alpha"].q_value > 0.05


def test_models_that_are_their_nulls_give_at_most_as_many_false_findings_as_allowed():
    studies, found = 60, 0
    for study in range(studies):
        models = [made(1000 * study + seed, layers=3) for seed in range(7)]
        found += num_found(pattern_test(models, range(7))) > 0
    # Levels and agreement are two questions, each allowed to err in one study of twenty.
    assert found <= binom.ppf(1 - 1e-6, studies, 0.1)


def test_matrices_of_noise_show_no_pattern_against_their_own_nulls_and_planted_directions_do():
    """The whole way: real matrices, real signatures, real nulls."""

    def measured(seed: int, is_planted: bool) -> Measured:
        random = np.random.default_rng(seed)
        places = tuple(Place(layer, "query", "weight") for layer in range(2))
        values, nulls = [], []
        for place in places:
            matrix = random.standard_normal((48, 48))
            if is_planted:
                matrix += 3 * np.outer(*random.standard_normal((2, 48)) / np.sqrt(3))
            values.append(signature(matrix).values)
            draws = [null_matrix("row_column_gaussian", matrix, 10_000 * seed + 10 * place.layer + d) for d in range(2)]
            nulls.append([signature(draw).values for draw in draws])
        return Measured(str(seed), places, np.array(values), np.array(nulls).swapaxes(0, 1), {})

    noise = pattern_test([measured(seed, False) for seed in range(7)], range(7))
    assert num_found(noise) == 0
    planted = pattern_test([measured(seed, True) for seed in range(7)], range(7))
    beyond = {one.feature for one in planted.effects if one.q_value <= 0.05}
    assert "stable_rank_share" in beyond
    assert "rms" not in {one.feature for one in planted.effects}  # the null keeps it: that is no question


def test_a_layer_is_compared_with_its_own_nulls_and_ties_count_for_nobody():
    values = np.array([[1.0], [100.0], [3.0]])
    nulls = np.array([[[0.0], [99.0], [3.0 * (1 + 1e-9)]]])
    assert matched_delta(values, nulls)[0] == pytest.approx(2 / 3)
    assert math.isnan(matched_delta(np.array([[np.nan]]), np.array([[[1.0]]]))[0])


def test_relatives_are_averaged():
    assert by_lineage([1.0, 0.0, math.nan, 0.5], [0, 0, 1, 2]) == [0.5, 0.5]
    models = [made(seed, shift=2.0) for seed in range(9)]
    found = pattern_test(models, [0] * 7 + [1, 2])
    assert found.num_lineages == 3
    assert max(one.delta.num_models for one in found.effects) == 3
    assert num_found(found) == 0


def test_models_of_other_depths_meet_at_the_same_relative_depth():
    profiles, positions = position_profiles([made(0, layers=2), made(1, layers=5)])
    assert len(positions) == 4
    deep = made(1, layers=5)
    last = [place.layer == 4 and place.role == "query" for place in deep.places].index(True)
    where = positions.index(("", "query", 1))
    assert profiles[1, where, COLUMN] == deep.values[last, COLUMN]


def test_variance_is_laid_to_what_it_comes_from():
    models = [made(seed, layers=6, slope=3.0 * (seed % 2), data="ab"[seed % 2], seed=str(seed)) for seed in range(8)]
    found = {(one.feature, one.factor): one for one in pattern_test(models, range(8)).variances}
    assert found["skewness", "data"].p_value <= 0.05
    assert found["skewness", "data"].eta_squared > 2 * found["skewness", "data"].chance
    assert found["alpha", "data"].p_value > 0.05
    assert ("skewness", "seed") not in found  # every model has its own: nothing can be said
    assert math.isnan(found["skewness", "position"].p_value)


def dividend(net: float, low: float = math.nan) -> Dividend:
    return Dividend("units", 0.0, 0.1, net + 0.02, 0.02, (0.02,), net, low, net + 0.001, {}, 10, "row_column_gaussian")


WEAK, STRONG = power(3, 100), power(20, 100)
STRANGERS = PairDividend(0, 1, False, dividend(0.0001, -0.001))
RELATIVES = PairDividend(0, 2, True, dividend(1.85, 1.8), CodingGain(5, 3.1, 1.86, 1.85, 0.01, 10, True))
TOO_DEAR = CodingGain(3.0, 3.01, -0.01, 0.02, 0.03, 10, True)
NOISE = pattern_test([made(seed) for seed in range(8)], range(8))
FORM = pattern_test([made(seed, shift=3.0) for seed in range(9)], range(9))


@pytest.mark.parametrize(
    ("kind", "test", "expected", "pairs"),
    [
        ("unanswered", NOISE, WEAK, [STRANGERS]),
        ("nothing", NOISE, STRONG, [STRANGERS]),
        ("unanswered", NOISE, power(8, 500), [STRANGERS]),
        ("form", FORM, STRONG, [STRANGERS, RELATIVES]),
        ("weights", FORM, STRONG, [PairDividend(0, 1, False, dividend(0.01, 0.008))]),
        ("form", FORM, STRONG, [PairDividend(0, 1, False, dividend(0.004, 0.0035), TOO_DEAR)]),
        ("apart", None, WEAK, [STRANGERS]),
        ("unanswered", None, WEAK, [RELATIVES]),
    ],
)
def test_the_verdict_follows_from_the_numbers(kind, test, expected, pairs):
    found = verdict(["one", "two", "three"], test, expected, pairs)
    assert found.kind == kind
    assert found.sentences[0] == VERDICTS[kind]


def test_the_verdict_tells_its_grounds_and_its_limits():
    subspace = Subspace((1, 2), (0.3, 0.4), (0.0002, 0.0003), 0.0001, (0.0002, 0.0003), (0.5, 0.9), 10, 3, 2)
    found = verdict(["one", "two", "three"], FORM, STRONG, [STRANGERS, RELATIVES], subspace)
    assert "1.85 bits per weight: one and three; really coding one given the other saved 1.86" in found.words
    assert "one does not help to compress another" in found.words
    assert "explain 0.03 % of a model they have not seen" in found.words
    assert "common origin, not a universal subspace" in found.words
    assert any("not a random sample" in limit for limit in found.limits)
    assert any("linear likeness" in limit for limit in found.limits)


def test_too_few_models_are_told_how_many_are_missing():
    found = verdict(["one", "two", "three"], NOISE, WEAK, [STRANGERS])
    assert "With 3 independent models this cannot be answered" in found.words
    assert "Add at least 3" in found.words


def test_a_weak_study_does_not_call_nothing_a_result():
    weak = Power(7, 100, 0.05, 0.01, 1.0, 6, 12, 0.1, "With 7 models little can be seen.")
    assert "That says little: with 7 models" in verdict(["a", "b"], NOISE, weak, []).words


@pytest.mark.parametrize(
    ("value", "text"), [(1.854, "1.85"), (0.0221, "0.022"), (-0.00021, "−0.0002"), (-1e-6, "0.0000")]
)
def test_bits_are_written_as_people_read_them(value, text):
    assert bits_text(value) == text
    assert bits_text(math.nan) == "?"

"""What models share is found in whatever order it is, what noise seems to share is taken away, and a coder agrees."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from engine.compare.matching import match_tensors
from engine.discovery.coding_gain import coding_gain, distribution, probabilities, written
from engine.discovery.sharing_dividend import MOST_BITS, SHARED_BITS, bits, dividend, group_dividend, interval
from engine.discovery.weight_matching import layout, read_matrices
from engine.errors import Cancelled, MeasureError
from engine.sources import open as open_source
from tests.engine.discovery.made_models import CONFIG, HEADS, decoder, mixed, reordered, shuffled

A = decoder(0)


@pytest.fixture
def opened(tmp_path, write_safetensors):
    """Open arrays as a checkpoint: opened("a", arrays)."""
    sources = []

    def write(name: str, arrays, config=CONFIG):
        path = write_safetensors(tmp_path / name / "model.safetensors", arrays)
        (path.parent / "config.json").write_text(json.dumps(config))
        sources.append(open_source(path.parent))
        return sources[-1]

    yield write
    for source in sources:
        source.close()


@pytest.mark.parametrize("groups", [HEADS, 2])
@pytest.mark.parametrize("with_stream", [True, False])
def test_a_model_laid_over_itself_in_another_order_correlates_by_1(opened, groups, with_stream):
    model = decoder(0, groups)
    config = CONFIG | {"num_key_value_heads": groups}
    other = reordered(model, 3, groups, with_stream)
    found, laid = dividend(opened("a", model, config), opened("b", other, config), draws=1)
    assert found.alignment == ("units and stream" if with_stream else "units")
    assert found.aligned_correlation == pytest.approx(1, abs=1e-6)
    assert found.correlation < 0.5
    for name, array in laid.a.items():
        np.testing.assert_array_equal(laid.fit.placed(name, laid.b[name], laid.plan), array)


OTHERS = {
    "an independent start": decoder(1),
    "another independent start": decoder(2),
    "its own entries shuffled": shuffled(A, 4),
    "a shuffled child": shuffled(mixed(A, 0.9, 5), 6),
    "heavy tails of its own": mixed(decoder(7), 0.1, 8, tail=3),
}


@pytest.mark.parametrize(
    ("name", "null"),
    [(name, "row_column_gaussian") for name in OTHERS]
    + [("a shuffled child", null) for null in ("random_init", "entry_shuffle")],
)
def test_models_with_nothing_in_common_show_no_dividend(opened, name, null):
    found, _ = dividend(opened("a", A), opened("b", OTHERS[name]), null=null, draws=2)
    assert found.gross > 0.005  # alignment finds this much in noise
    assert abs(found.net) < SHARED_BITS
    assert not found.is_shared
    assert found.low < found.net < found.high


@pytest.mark.parametrize("correlation", [0.5, 0.961, 0.9999])
def test_a_known_child_saves_what_its_correlation_says_and_a_coder_really_saves_it(opened, correlation):
    found, laid = dividend(opened("a", A), opened("b", mixed(A, correlation, 9)), draws=2)
    coded = coding_gain(laid)
    assert found.alignment == "as stored"
    assert found.gross == pytest.approx(bits(correlation), abs=0.01)
    assert found.is_shared
    assert coded.is_exact
    assert coded.gain == pytest.approx(found.net, abs=0.03)
    assert coded.gain == pytest.approx(coded.predicted, abs=0.03)


def test_a_child_in_another_order_is_coded_with_the_order_counted(opened):
    child = reordered(mixed(A, 0.961, 9), 10)
    found, laid = dividend(opened("a", A), opened("b", child), draws=1)
    coded = coding_gain(laid)
    assert found.alignment == "units and stream"
    assert laid.fit.side_bits > 2 * math.log2(math.factorial(96))
    assert coded.gain == pytest.approx(bits(0.961), abs=0.06)


def test_where_changes_have_heavy_tails_the_prediction_from_their_shape_holds(opened):
    _, laid = dividend(opened("a", A), opened("b", mixed(A, 0.95, 11, tail=3)), draws=1)
    coded = coding_gain(laid)
    assert coded.gain > bits(0.95) + 0.05
    assert coded.gain == pytest.approx(coded.predicted, abs=0.05)


def test_strangers_save_nothing_when_really_coded(opened):
    _, laid = dividend(opened("a", A), opened("b", decoder(1)), draws=1)
    assert coding_gain(laid).gain < 0.003


def test_equal_models_save_all_but_are_never_infinite(opened):
    found, laid = dividend(opened("a", A), opened("b", A), draws=1)
    assert 14 < found.gross <= MOST_BITS
    assert coding_gain(laid).bits_given < 0.05


def test_models_without_common_shapes_have_no_dividend(opened):
    narrow = {name: each[:50] for name, each in A.items()}
    found, laid = dividend(opened("a", {"x.weight": np.ones((3, 5), np.float32)}), opened("b", narrow), draws=1)
    assert found.num_weights == 0
    assert math.isnan(found.net)
    assert math.isnan(coding_gain(laid).gain)


def test_weights_that_are_no_numbers_do_not_spoil_the_others(opened):
    broken = dict(A) | {
        "model.layers.0.mlp.up_proj.weight": np.full_like(A["model.layers.0.mlp.up_proj.weight"], np.nan)
    }
    found, laid = dividend(opened("a", A), opened("b", broken), draws=1)
    assert 0.5 < found.aligned_correlation < 1
    assert coding_gain(laid).is_exact


def test_a_large_pair_is_looked_at_in_evenly_spaced_layers(opened):
    a = opened("a", A)
    matching = match_tensors(a, a)
    whole, part = layout(a, matching), layout(a, matching, 200_000)
    assert part.num_weights <= 200_000 < whole.num_weights
    assert "model.embed_tokens.weight" in part.matches
    assert {match.place.layer for match in part.matches.values()} == {None, 0}
    assert layout(a, matching, 10).num_weights == 0


def test_the_stream_runs_along_the_columns_of_every_matrix(opened):
    a = opened("a", A)
    matching = match_tensors(a, a)
    plan = layout(a, matching)
    assert plan.stream == set(plan.matches)
    matrices = read_matrices(a, matching, plan, is_b=False)
    assert {array.shape[1] for array in matrices.values()} == {96}
    np.testing.assert_array_equal(
        matrices["model.layers.0.mlp.down_proj.weight"], A["model.layers.0.mlp.down_proj.weight"].T
    )


def test_the_work_can_be_stopped(opened):
    def stop():
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        dividend(opened("a", A), opened("b", decoder(1)), check=stop)


def test_a_group_is_written_along_its_nearest_relatives():
    nets = np.array(
        [[np.nan, 1.0, 0.2, -0.1], [1.0, np.nan, 0.5, np.nan], [0.2, 0.5, np.nan, 0.0], [-0.1, np.nan, 0.0, 0]]
    )
    whole, pairs = group_dividend(nets)
    assert whole == pytest.approx((1.0 + 0.5) / 4)
    assert {frozenset(pair) for pair in pairs} == {frozenset({0, 1}), frozenset({1, 2})}
    assert group_dividend(np.zeros((3, 3))) == (0.0, [])


def test_the_interval_is_that_of_one_more_draw():
    low, high = interval(0.02, [0.01, 0.012, 0.014])
    assert (low + high) / 2 == pytest.approx(0.008)
    assert high - low == pytest.approx(2 * 4.3027 * 0.002 * math.sqrt(4 / 3), rel=1e-4)
    assert math.isnan(interval(0.02, [0.01])[0])


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).standard_normal(5000),
        np.random.default_rng(1).standard_t(2, 5000),
        np.repeat([0.0, 1.0, 50.0], [900, 90, 10]),
        np.zeros(100),
        np.array([1.0, -3.0]),
    ],
    ids=["normal", "heavy tails", "three values", "constant", "two"],
)
def test_what_is_written_is_read_back_in_about_the_bits_of_its_entropy(values):
    found = written(values, 0.1)
    assert found.is_exact
    counts = np.unique(np.rint(values / 0.1), return_counts=True)[1]
    entropy = -(counts * np.log2(counts / counts.sum())).sum()
    assert found.num_bits >= entropy - 1e-6
    if len(values) >= 1000:
        assert found.num_bits + found.side_bits <= entropy + 0.06 * len(values) + 700


def test_a_distribution_told_by_its_knots_sums_to_1_and_misses_nothing():
    symbols = np.random.default_rng(2).poisson(40, 3000).astype(np.int32)
    table = probabilities(*distribution(symbols))
    assert table.sum() == pytest.approx(1)
    assert (table > 0).all()
    assert len(table) == symbols.max() - symbols.min() + 1


def test_steps_too_fine_to_count_are_refused():
    with pytest.raises(MeasureError, match="steps"):
        written(np.array([1e9, 0.0]), 1e-3)

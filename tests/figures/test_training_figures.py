"""Charts of trainings, from hand-made histories."""

import numpy as np
import pandas as pd
import pytest

from figures.charts_export import chart_svg
from figures.self_play import VERDICT_COLOURS, honesty_chart, part_lines, radar
from figures.training import MOST_POINTS, layer_lines, loss_chart, number_line, series, smoothed, sparkline

HISTORY = pd.DataFrame(
    [
        *((step, "loss", 9.0 - step) for step in range(1, 6)),
        *((step, "held_out/loss", value) for step, value in ((2, 7.5), (4, 5.5), (5, 6.0))),
        *((step, "tokens_per_s", 1000.0) for step in range(1, 6)),
        *((step, "held_out/bits_per_byte", 3.0) for step in (2, 4)),
        *((step, name, 0.5) for step in range(1, 6) for name in ("reward", "kl", "reward/length")),
        (3, "loss", np.nan),
        (5, "loss", 3.5),
    ],
    columns=["step", "name", "value"],
)


def test_a_step_told_twice_counts_as_it_was_told_last_and_undefined_values_leave_no_trace():
    rows = series(HISTORY, "loss")
    assert rows["step"].tolist() == [1, 2, 3, 4, 5]
    assert rows["value"].tolist() == [8.0, 7.0, 6.0, 5.0, 3.5]


def test_a_long_run_is_thinned_to_means_and_keeps_its_last_point():
    steps = np.arange(1, 10_001)
    history = pd.DataFrame({"step": steps, "name": "loss", "value": steps.astype(float)})
    rows = series(history, "loss")
    assert len(rows) == MOST_POINTS
    assert rows.iloc[-1].tolist() == [10_000, 10_000]
    assert np.allclose(rows["step"], rows["value"])
    assert rows["step"].is_monotonic_increasing


def test_smoothing_keeps_a_straight_line_where_it_is():
    line = pd.Series(np.arange(50.0))
    assert smoothed(line)[7:43].tolist() == pytest.approx(list(range(7, 43)))


def test_the_best_held_out_point_is_ringed():
    ring = loss_chart(HISTORY).layer[-1].data
    assert ring[["step", "value"]].values.tolist() == [[4, 5.5]]


def test_lines_of_layers_can_be_told_apart_by_dividing_by_their_first_value():
    table = pd.DataFrame({"step": [0, 10, 0, 10], "layer": [0, 0, 1, None], "value": [2.0, 3.0, 0.0, 4.0]})
    drawn = layer_lines(table, "norm", is_relative=True).data
    values = {(row["line"], row["step"]): row["value"] for _, row in drawn.iterrows()}
    assert values == {("0", 0): 1.0, ("0", 10): 1.5, ("outside", 10): 1.0}


def test_bands_do_not_overlap_and_the_axis_tells_their_numbers():
    history = pd.concat([HISTORY, pd.DataFrame({"step": [9], "name": ["kl"], "value": [0.9]})])
    chart = honesty_chart(history, [(4, "hacked", "held-out text got worse")])
    lines = [layer.data["place"] for layer in chart.layer if "value" in getattr(layer.data, "columns", ())]
    for low, high in ((2, 3), (1, 2), (0, 1)):
        assert any(((places >= low) & (places <= high)).all() for places in lines)
    labels = chart.to_dict()["layer"][0]["encoding"]["y"]["axis"]["labelExpr"]
    assert all(f'"{number}"' in labels for number in ("0.50", "0.70", "0.90"))


def test_a_radar_reaches_its_outer_ring_at_one_and_its_middle_at_zero_or_undefined():
    chart = radar({"after": {"a": 1.0, "b": 0.0, "c": float("nan")}})
    drawn = chart.layer[1].data
    radii = np.hypot(drawn["x"], drawn["y"])
    assert radii.tolist() == pytest.approx([1.0, 0.0, 0.0, 1.0])
    assert drawn["part"].tolist() == ["a", "b", "c", "a"]


NONE = HISTORY[:0]
VERDICTS = [(step, verdict, "<b>why</b>") for step, verdict in enumerate(VERDICT_COLOURS)]


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:1], NONE])
def test_every_chart_draws_offline_also_of_nothing(history):
    layers = pd.DataFrame({"step": [0, 1], "layer": [0, 0], "value": [1.0, 2.0]})[: len(history)]
    charts = [
        loss_chart(history),
        loss_chart(history, is_log=True),
        sparkline(history),
        number_line(history, "tokens_per_s", "tokens/s"),
        layer_lines(layers, "norm"),
        honesty_chart(history, VERDICTS if len(history) else []),
        part_lines(history, {"length": "length", "other": "other"}),
    ]
    for chart in charts:
        assert b"<svg" in chart_svg(chart)

"""The heatmap benchmark runs to its end on tiny data, with every metric it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import heatmaps
from engine.pooling import pool


def test_every_metric_is_there_and_a_number(monkeypatch):
    monkeypatch.setattr(heatmaps, "SHAPES", {"embedding": (1300, 48), "square": (700, 64)})
    monkeypatch.setattr(heatmaps, "LARGE", (1500, 64))
    monkeypatch.setattr(heatmaps, "matplotlib_picture", lambda source, info, limits: lambda: None)
    results = heatmaps.measure(is_quick=False)
    measured = {name: each for name, each in results.items() if not name.startswith("png.")}
    assert all(math.isfinite(each.value) and each.value >= 0 for each in measured.values())
    assert sum(name.startswith("pooling.") and each.target == "≤ 2" for name, each in results.items()) == 8
    assert results["png.square.f32"].target == "≥ 100"
    assert {"payload.embedding.png", "small.grid", "large.time", "large.memory"} <= set(results)


def test_the_peer_pools_to_the_same_cells():
    matrix = np.random.default_rng(0).standard_normal((50, 40), dtype=np.float32)
    np.testing.assert_array_equal(heatmaps.numpy_pool(matrix, 5, 4), pool(matrix, 10, 10))


def test_plotlys_json_is_measured_in_proportion(monkeypatch):
    objects = pytest.importorskip("plotly.graph_objects")
    matrix = np.random.default_rng(0).standard_normal((2400, 30), dtype=np.float32)
    found, _ = heatmaps.plotly_bytes(matrix)
    assert found == pytest.approx(len(objects.Figure(objects.Heatmap(z=matrix)).to_json()), rel=1e-2)

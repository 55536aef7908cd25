"""The statistics benchmark runs to its end on tiny data, with every metric it promises."""

from __future__ import annotations

import math

from benchmarks import statistics


def test_every_metric_is_there_and_a_number(monkeypatch):
    monkeypatch.setattr(statistics, "QUICK_BYTES", 1 << 20)
    monkeypatch.setattr(statistics, "PEER_BYTES", 1 << 18)
    monkeypatch.setattr(statistics, "_minilm", dict)
    results = statistics.measure(is_quick=True)
    for name in ("bf16", "fp32"):
        assert results[f"{name}_over_stream"].target
        assert results[f"{name}_faster_than_numpy"].target
    assert all(math.isfinite(each.value) and each.value >= 0 for each in results.values())
    assert len(results) == 16

"""The benchmark of differences runs to its end on tiny data, with every metric it promises."""

from __future__ import annotations

import math

from benchmarks import diff


def test_every_metric_is_there_and_a_number(monkeypatch):
    for name in ("QUICK_BYTES", "PART_BYTES"):
        monkeypatch.setattr(diff, name, 1 << 20)
    monkeypatch.setattr(diff, "PEER_BYTES", 1 << 18)
    results = diff.measure(is_quick=True)
    assert len(results) == 16 and all(math.isfinite(each.value) for each in results.values())
    assert results["bf16_all_over_stream"].target == "≤ 2.5"
    assert results["one_minus_cosine_error"].met

"""The map of findings: one mark for each rule and layer, coloured by the worst."""

from engine.health.findings import Finding
from figures.health import OUTSIDE, findings_map


def test_marks_count_findings_and_take_the_worst_severity():
    found = [
        Finding("a", "note", "model.layers.1.mlp.up_proj.weight", "."),
        Finding("a", "error", "model.layers.1.mlp.down_proj.weight", "."),
        Finding("b", "warning", "lm_head.weight", "."),
        Finding("b", "warning", "", "."),
    ]
    chart = findings_map(found, {"a": "Rule A", "b": "Rule B", "c": "Rule C"}, num_layers=3)
    marks = {(row["rule"], row["layer"]): (row["findings"], row["severity"]) for _, row in chart.data.iterrows()}
    assert marks == {("Rule A", "1"): (2, "error"), ("Rule B", OUTSIDE): (2, "warning")}
    assert chart.to_dict()["encoding"]["x"]["scale"]["domain"] == [OUTSIDE, "0", "1", "2"]

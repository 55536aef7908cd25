"""Each rule finds its planted defect, and healthy models raise few alarms."""

import ml_dtypes
import numpy as np
import pytest

import engine.sources
from engine.health.evidence import ModelEvidence, TensorEvidence
from engine.health.marks import tensor_marks
from engine.health.registry import all_rules, findings
from engine.measures.reading import measure_tensor
from engine.naming import place

RNG = np.random.default_rng(7)


def evidence_of(path, spectral=()) -> ModelEvidence:
    tensors = []
    with engine.sources.open(path) as source:
        for info in source.infos():
            reading = measure_tensor(source, info, threads=1)
            values = reading.values | dict(spectral).get(info.name, {})
            marks = tensor_marks(source, info)
            tensors.append(
                TensorEvidence(info, place(info.name, info.shape), values, reading.rows, reading.columns, marks)
            )
        return ModelEvidence(tuple(tensors), source.config)


def healthy(layers: int = 6, dtype=np.float32) -> dict[str, np.ndarray]:
    """A decoder as training leaves it: no two lines alike, layers of like size."""
    tensors = {"model.embed_tokens.weight": RNG.standard_normal((256, 32)) * 0.05}
    for layer in range(layers):
        for name, shape in (("self_attn.q_proj", (32, 32)), ("mlp.up_proj", (128, 32)), ("mlp.down_proj", (32, 128))):
            tensors[f"model.layers.{layer}.{name}.weight"] = RNG.standard_t(5, shape) * 0.05
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = 1 + RNG.standard_normal(32) * 0.1
    return {name: array.astype(dtype) for name, array in tensors.items()}


DOWN, UP, QUERY = (f"model.layers.2.{name}.weight" for name in ("mlp.down_proj", "mlp.up_proj", "self_attn.q_proj"))
EMBEDDING, NORM = "model.embed_tokens.weight", "model.layers.2.input_layernorm.weight"


def _set(name, index, value):
    def plant(tensors):
        tensors[name][index] = value

    return plant


def _copy_row(tensors):
    tensors[UP][90] = tensors[UP][11]


def _copy_column(tensors):
    tensors[UP][:, 9] = tensors[UP][:, 4]


def _copy_tensor(tensors):
    tensors[QUERY] = tensors["model.layers.1.self_attn.q_proj.weight"].copy()


def _scale(tensors):
    tensors[QUERY] *= np.float32(9)


def _outlying_row(tensors):
    tensors[UP][17] *= np.float32(40)


def _retype(tensors):
    tensors[QUERY] = tensors[QUERY].astype(np.float16)


def _zero_tokens(tensors):
    tensors[EMBEDDING][[3, 200, 201]] = 0


DEFECTS = [
    ("non_finite", "error", UP, _set(UP, (5, 6), np.nan)),
    ("non_finite", "error", NORM, _set(NORM, 3, np.inf)),
    ("constant_tensors", "warning", UP, _set(UP, ..., 0.0)),
    ("constant_tensors", "note", NORM, _set(NORM, ..., 1.0)),
    ("dead_lines", "warning", UP, _set(UP, 7, 0.0)),
    ("dead_lines", "warning", UP, _set(UP, (slice(None), 7), 0.0)),
    ("repeated_lines", "warning", UP, _copy_row),
    ("repeated_lines", "warning", UP, _copy_column),
    ("repeated_tensors", "warning", QUERY, _copy_tensor),
    ("norm_jumps", "warning", QUERY, _scale),
    ("extreme_precision", "warning", UP, _set(UP, (1, 1), np.finfo(np.float32).max)),
    ("extreme_precision", "note", UP, _set(UP, slice(0, 9), 1e-40)),
    ("mixed_types", "warning", QUERY, _retype),
    ("outlier_channels", "note", UP, _outlying_row),
    ("super_weights", "note", DOWN, _set(DOWN, (3, 77), -30.0)),
    ("wasted_vocabulary", "note", EMBEDDING, _zero_tokens),
]


@pytest.mark.parametrize(("rule", "severity", "tensor", "plant"), DEFECTS)
def test_a_planted_defect_is_found_at_its_place(rule, severity, tensor, plant, tmp_path, write_safetensors):
    tensors = healthy()
    plant(tensors)
    write_safetensors(tmp_path / "m.safetensors", tensors)
    found = [finding for finding in findings(evidence_of(tmp_path / "m.safetensors")) if finding.rule == rule]
    assert [(finding.severity, finding.tensor) for finding in found] == [(severity, tensor)]
    assert found[0].words


def test_a_healthy_model_raises_no_alarm(tmp_path, write_safetensors):
    for dtype in (np.float32, ml_dtypes.bfloat16, np.float16):
        write_safetensors(tmp_path / "m.safetensors", healthy(dtype=dtype))
        alarms = [f for f in findings(evidence_of(tmp_path / "m.safetensors")) if f.rule != "extreme_precision"]
        assert alarms == []


def test_places_are_named_exactly(tmp_path, write_safetensors):
    tensors = healthy()
    _copy_row(tensors)
    tensors[DOWN][3, 77] = -30.0
    tensors[UP][[7, 40]] = 0
    tensors[EMBEDDING][[3, 200, 201]] = 0
    write_safetensors(tmp_path / "m.safetensors", tensors)
    by_rule = {finding.rule: finding for finding in findings(evidence_of(tmp_path / "m.safetensors"))}
    assert (by_rule["repeated_lines"].axis, by_rule["repeated_lines"].lines) == ("row", (90,))
    assert "row 90 is row 11" in by_rule["repeated_lines"].words
    assert by_rule["super_weights"].weight == (3, 77)
    assert by_rule["dead_lines"].lines == (7, 40)
    assert by_rule["wasted_vocabulary"].lines == (3, 200, 201)


@pytest.mark.parametrize(
    ("rule", "values", "is_found"),
    [
        ("rank_deficiency", {"numerical_rank": 20.0}, True),
        ("rank_deficiency", {"numerical_rank": 32.0}, False),
        ("rank_deficiency", {}, False),
        ("tail_exponents", {"alpha": 9.0, "alpha_error": 0.5}, True),
        ("tail_exponents", {"alpha": 6.5, "alpha_error": 0.5}, False),
        ("tail_exponents", {"alpha": 1.2, "alpha_error": 0.1}, True),
        ("tail_exponents", {}, False),
    ],
)
def test_spectral_rules_read_what_was_measured(rule, values, is_found, tmp_path, write_safetensors):
    weights = {"model.layers.0.mlp.up_proj.weight": RNG.standard_normal((64, 64)).astype(np.float32)}
    values = {"numerical_rank": 64.0} | values if rule == "tail_exponents" else values
    if values.get("numerical_rank") == 32.0:
        values["numerical_rank"] = 64.0
    write_safetensors(tmp_path / "m.safetensors", weights)
    evidence = evidence_of(tmp_path / "m.safetensors", {"model.layers.0.mlp.up_proj.weight": values}.items())
    assert (rule in {finding.rule for finding in findings(evidence)}) is is_found


def test_a_tied_head_stored_twice_is_a_note(tmp_path, write_safetensors):
    tensors = healthy()
    tensors["lm_head.weight"] = tensors[EMBEDDING].copy()
    write_safetensors(tmp_path / "m.safetensors", tensors)
    found = [f for f in findings(evidence_of(tmp_path / "m.safetensors")) if f.rule == "repeated_tensors"]
    assert [(f.severity, f.tensor) for f in found] in ([("note", "lm_head.weight")], [("note", EMBEDDING)])
    assert "32,768 bytes" in found[0].words


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_subnormal_and_largest_entries_are_counted_as_numpy_does(dtype, tmp_path, write_safetensors):
    limits = ml_dtypes.finfo(dtype)
    values = RNG.standard_normal((40, 30)).astype(dtype)
    values[:4] = np.asarray(limits.smallest_normal, dtype) * np.asarray(0.5, dtype)
    values[4, :5] = -limits.max
    values[5] = 0
    write_safetensors(tmp_path / "m.safetensors", {"w": values})
    with engine.sources.open(tmp_path / "m.safetensors") as source:
        marks = tensor_marks(source, source.info("w"))
    size = np.abs(values.astype(np.float64))
    assert marks.num_subnormal == np.count_nonzero((size > 0) & (size < float(limits.smallest_normal)))
    assert marks.num_largest == np.count_nonzero(size == float(limits.max)) == 5


@pytest.mark.parametrize("shape", [(), (0,), (7,), (0, 4), (4, 0), (3, 2, 2, 2), (9, 1)])
def test_marks_of_odd_shapes(shape, tmp_path, write_safetensors):
    write_safetensors(tmp_path / "m.safetensors", {"w": np.ones(shape, np.float32)})
    with engine.sources.open(tmp_path / "m.safetensors") as source:
        marks = tensor_marks(source, source.info("w"))
    assert marks.num_largest == 0
    assert len(marks.repeated_columns) == 0


def test_a_hash_that_meets_by_chance_makes_no_repetition(tmp_path, write_safetensors, monkeypatch):
    from engine.health import marks

    write_safetensors(tmp_path / "m.safetensors", {"w": RNG.standard_normal((20, 20)).astype(np.float32)})
    monkeypatch.setattr(marks, "_pairs", lambda hashes: np.array([[5, 2], [9, 2]]))
    with engine.sources.open(tmp_path / "m.safetensors") as source:
        found = marks.tensor_marks(source, source.info("w"))
    assert len(found.repeated_rows) == len(found.repeated_columns) == 0


def test_every_rule_explains_itself():
    assert findings(ModelEvidence(())) == []
    assert len(all_rules()) == 13
    assert all(len(entry.description) > 60 and entry.title for entry in all_rules().values())


def test_minilm_is_healthy_but_for_its_known_oddities(minilm_path):
    found = findings(evidence_of(minilm_path))
    assert {f.severity for f in found} == {"note"}
    assert {f.rule for f in found} == {"constant_tensors", "outlier_channels", "super_weights"}
    largest = [f for f in found if f.rule == "super_weights"]
    assert [f.tensor.split(".")[2] for f in largest] == ["0", "1", "2", "3", "4"]
    assert largest[0].weight == (99, 856)
    assert largest[0].value == pytest.approx(174.7, abs=0.1)


@pytest.mark.real
def test_real_models_raise_two_warnings_and_both_are_true(real_dir):
    """The two: of a Fourier basis, whose sines of frequency 0 and ½ are zero."""
    warnings = []
    for folder, file in (("bert-tiny-emotion-encoder", ""), ("stories260K-hf", ""), ("silero-vad", "*.onnx")):
        path = next((real_dir / folder).glob(file)) if file else real_dir / folder
        warnings += [f for f in findings(evidence_of(path)) if f.severity != "note"]
    assert [(f.rule, f.tensor, f.axis, f.lines) for f in warnings] == [
        ("dead_lines", "model.stft.forward_basis_buffer", "row", (129, 257)),
        ("dead_lines", "model.stft.forward_basis_buffer", "column", (0,)),
    ]

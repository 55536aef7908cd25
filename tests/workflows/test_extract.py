"""Measuring a checkpoint into the database."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from safetensors import safe_open

from engine.errors import Cancelled, MalformedHeaderError, SourceError, SourceNotFoundError
from workflows.extract import extract
from workflows.library import locations, status
from workflows.reports import CallbackReport, Meter, Report
from workflows.runs import RunFolder


def arrays_of(path) -> dict[str, np.ndarray]:
    import ml_dtypes  # noqa: F401 — gives numpy the type bfloat16

    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — it is no dict


def test_every_stored_number_agrees_with_float64_arithmetic(store, tiny, assert_agrees):
    outcome = extract(str(tiny), store=store)
    arrays = arrays_of(tiny)
    assert outcome.num_tensors == len(arrays) == len(store.tensor_stats(outcome.content_hash))
    assert_agrees(store, outcome.content_hash, arrays)


def test_names_places_metadata_and_pictures_are_stored(store, tiny):
    outcome = extract(str(tiny), store=store)
    stats = store.tensor_stats(outcome.content_hash).set_index("tensor")
    query = stats.loc["encoder.layer.0.attention.self.query.weight"]
    assert (query["role"], query["layer"], query["dtype"]) == ("query", 0, "BF16")
    assert store.model_metadata(outcome.content_hash)["made_by"] == "a test"
    assert store.model(outcome.content_hash).family == "bert"
    picture = store.thumbnail(outcome.content_hash, "encoder.layer.0.attention.self.query.weight")
    array = arrays_of(tiny)["encoder.layer.0.attention.self.query.weight"].astype(np.float32)
    np.testing.assert_array_equal(picture, array)  # 16 × 16 entries fit


def test_the_same_content_is_not_measured_twice_wherever_it_lies(store, tiny, tmp_path):
    first = extract(str(tiny), store=store)
    again = extract(str(tiny), store=store)
    copy = shutil.copy(tiny, tmp_path / "copy.safetensors")
    third = extract(str(copy), store=store)
    assert [first.was_stored, again.was_stored, third.was_stored] == [False, True, True]
    assert first.content_hash == again.content_hash == third.content_hash
    assert len(store.models()) == 1
    assert {one.content_hash for one in locations(store) if one.origin == "added"} == {first.content_hash}


def test_a_replaced_file_is_measured_anew_under_its_own_content(store, tiny, write_safetensors):
    first = extract(str(tiny), store=store)
    write_safetensors(tiny, {"w": np.ones((2, 2), np.float32)})
    known = next(one for one in locations(store) if one.uri == str(tiny))
    assert status(known) == "changed"
    second = extract(str(tiny), store=store)
    known = next(one for one in locations(store) if one.uri == str(tiny))
    assert status(known) == "measured"
    assert (known.content_hash, known.num_tensors) == (second.content_hash, 1)
    assert {model.content_hash for model in store.models()} == {first.content_hash, second.content_hash}


def test_nan_infinity_constants_and_empty_tensors_are_measured_as_they_are(
    store, tmp_path, write_safetensors, assert_agrees
):
    arrays = {
        "nan": np.array([[np.nan, 1.0], [np.inf, -np.inf]], np.float32),
        "only_nan": np.full(5, np.nan, np.float32),
        "constant": np.full((4, 4), 0.25, np.float32),
        "zeros": np.zeros((3, 5), np.float16),
        "empty": np.zeros((0, 7), np.float32),
        "scalar": np.array(3.5, np.float64),
        "deep": np.arange(32, dtype=np.float32).reshape(2, 2, 2, 2, 2),
        "flags": np.array([True, False, True]),
    }
    outcome = extract(str(write_safetensors(tmp_path / "odd.safetensors", arrays)), store=store)
    assert outcome.failures == {}
    assert_agrees(store, outcome.content_hash, arrays)


def complex_checkpoint(folder):
    """Two real tensors around one of complex numbers, which have no order and so no quantiles."""
    import json

    def entry(dtype, start, stop):
        return {"dtype": dtype, "shape": [2], "data_offsets": [start, stop]}

    header = {"a": entry("F32", 0, 8), "b": entry("C64", 8, 24), "c": entry("F32", 24, 32)}
    text = json.dumps(header).encode()
    data = np.arange(8, dtype=np.float32).tobytes()
    path = folder / "complex.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_a_tensor_that_cannot_be_measured_becomes_a_row_with_its_reason(store, tmp_path):
    outcome = extract(str(complex_checkpoint(tmp_path)), store=store)
    assert list(outcome.failures) == ["b"]
    stats = store.tensor_stats(outcome.content_hash).set_index("tensor")
    assert stats["failure"].notna().to_dict() == {"a": False, "b": True, "c": False}
    assert "omplex" in stats.loc["b", "failure"] and np.isnan(stats.loc["b", "mean"])
    assert stats.loc["c", "mean"] == 6.5
    assert [failure.tensor for failure in store.failures(outcome.content_hash)] == ["b"]


def test_a_failing_tensor_is_not_kept_for_resuming(store, tmp_path, data):
    run = RunFolder.create(data / "runs", "extract", {})
    path = complex_checkpoint(tmp_path)

    def stop_before_storing(progress):
        if progress.phase == "storing":
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        extract(str(path), store=store, run=run, report=CallbackReport(stop_before_storing))
    assert len(list(run.checkpoints.rglob("*.npz"))) == 2
    outcome = extract(str(path), store=store, run=run)
    assert (outcome.num_resumed, list(outcome.failures)) == (2, ["b"])


def touch_at(phase, path):
    def touch(progress):
        if progress.phase == phase:
            os.utime(path, (1, 1))

    return CallbackReport(touch)


def test_a_file_that_changes_while_it_is_measured_stores_nothing(store, tiny):
    with pytest.raises(SourceError, match="changed while it was being measured"):
        extract(str(tiny), store=store, report=touch_at("measuring", tiny))
    assert store.models() == []


def test_a_file_that_changes_after_it_was_measured_counts_as_changed(store, tiny):
    extract(str(tiny), store=store, report=touch_at("storing", tiny))
    assert [status(known) for known in locations(store) if known.uri == str(tiny)] == ["changed"]


def test_cancelling_in_any_phase_stores_nothing(store, tiny):
    for phase in ("hashing", "preparing kernels", "measuring", "storing"):

        def stop(progress, phase=phase):
            if progress.phase == phase:
                raise Cancelled("Enough.")

        with pytest.raises(Cancelled):
            extract(str(tiny), store=store, report=CallbackReport(stop))
        assert store.models() == []


def test_progress_counts_every_byte_of_every_phase_once(store, tiny):
    seen = []
    outcome = extract(str(tiny), store=store, report=CallbackReport(seen.append))
    phases = list(dict.fromkeys(progress.phase for progress in seen))
    assert phases == ["hashing", "preparing kernels", "measuring", "storing"]
    for phase, total in (("hashing", tiny.stat().st_size), ("measuring", outcome.num_bytes)):
        done = [progress.done for progress in seen if progress.phase == phase]
        assert done == sorted(done) and done[-1] == total
        assert {progress.total for progress in seen if progress.phase == phase} == {total}
    assert {progress.current for progress in seen if progress.phase == "measuring"} >= set(arrays_of(tiny))


def test_a_resumed_run_takes_finished_tensors_and_stores_the_same(store, tiny, data, tmp_path, content):
    from storage.store import Store

    run = RunFolder.create(data / "runs", "extract", {})

    def stop(progress):
        if progress.phase == "measuring" and progress.done > 4000:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        extract(str(tiny), store=store, run=run, report=CallbackReport(stop))
    num_kept = len(list(run.checkpoints.rglob("*.npz")))
    outcome = extract(str(tiny), store=store, run=run)
    assert 0 < num_kept < outcome.num_tensors and outcome.num_resumed == num_kept
    assert list(run.checkpoints.rglob("*.npz")) == []
    extract(str(tiny), store=Store(tmp_path / "undisturbed"))
    assert content(data) == content(tmp_path / "undisturbed")


def test_a_broken_config_is_said_and_the_weights_are_measured_without_it(store, tiny):
    class Heard(Report):
        said = ""

        def log(self, text):
            self.said += text

    tiny.with_name("config.json").write_text("{broken")
    heard = Heard()
    outcome = extract(str(tiny), store=store, report=heard)
    assert store.model_config(outcome.content_hash) == {}
    assert len(store.tensor_stats(outcome.content_hash)) == outcome.num_tensors
    assert "config.json is not valid JSON" in heard.said


def test_what_does_not_open_is_neither_measured_nor_known(store, tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with pytest.raises(MalformedHeaderError):
        extract(str(bad), store=store)
    with pytest.raises(SourceNotFoundError, match="nobody"):
        extract("nobody", store=store)
    assert store.models() == [] and store.locations() == []


def test_a_meter_tells_rate_and_time_left_of_fresh_work_only(monkeypatch):
    clock = iter([10.0, 10.0, 12.0])
    monkeypatch.setattr("workflows.reports.time.monotonic", lambda: next(clock))
    seen = []
    meter = Meter(CallbackReport(seen.append), "measuring", 1000)
    meter.skip(600)
    meter.advance(100, "w")
    assert (seen[0].rate, seen[0].left_s) == (None, None)
    assert (seen[1].done, seen[1].rate, seen[1].left_s, seen[1].fraction) == (700, 50.0, 6.0, 0.7)


def test_a_silent_report_takes_everything():
    Report().log("text")
    Report().metric("loss", 1.0)
    Report().check()

"""Taking the spectra of a checkpoint, here and as a job."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from engine.errors import Cancelled, JobError, SourceError
from engine.sources.opening import open_source
from engine.spectra.reading import measure_spectrum
from engine.spectra.settings import SpectrumSettings
from storage.store import Store
from workflows.extract import extract
from workflows.jobs import Jobs
from workflows.reports import CallbackReport
from workflows.runs import RunFolder
from workflows.spectra import SpectraSettings, spectra

MATRICES = [
    "embeddings.word_embeddings.weight",
    "encoder.layer.0.attention.self.query.weight",
    "encoder.layer.0.intermediate.dense.weight",
]


def stop_at(phase: str, done: int = 0) -> CallbackReport:
    def stop(progress):
        if progress.phase == phase and progress.done >= done:
            raise Cancelled("Enough.")

    return CallbackReport(stop)


def test_every_matrix_has_the_spectrum_that_was_measured_of_it(store, tiny):
    outcome = spectra(str(tiny), store=store)
    assert (outcome.num_matrices, outcome.problems, outcome.was_stored) == (3, {}, False)
    assert sorted(store.spectral_stats(outcome.content_hash)["tensor"]) == sorted(MATRICES)
    with open_source(tiny) as source:
        for name in MATRICES:
            found = store.spectrum(outcome.content_hash, name)
            expected = measure_spectrum(source, source.info(name))
            np.testing.assert_allclose(found.singular_values, expected.singular.values, rtol=1e-12)
            assert found.values["stable_rank"] == pytest.approx(expected.values["stable_rank"], rel=1e-12)


def test_an_unmeasured_model_is_measured_first_and_a_measured_one_not_again(store, tiny):
    extract(str(tiny), store=store)
    measured_at = store.models()[0].measured_at
    outcome = spectra(str(tiny), store=store)
    assert store.models()[0].measured_at == measured_at
    assert len(store.tensor_stats(outcome.content_hash)) == 5


def test_spectra_are_not_taken_twice_unless_asked_otherwise(store, tiny):
    assert not spectra(str(tiny), store=store).was_stored
    again = spectra(str(tiny), store=store)
    assert (again.was_stored, again.num_matrices) == (True, 3)
    rough = spectra(str(tiny), store=store, settings=SpectraSettings(spectrum=SpectrumSettings(precision="float32")))
    assert not rough.was_stored


def test_a_matrix_without_a_spectrum_becomes_a_row_with_its_reason(store, tmp_path, write_safetensors):
    arrays = {"good": np.eye(12, dtype=np.float32), "nan": np.array([[1, np.nan], [1, 2]], np.float32)}
    arrays |= {"empty": np.zeros((0, 7), np.float32), "vector": np.ones(5, np.float32)}
    outcome = spectra(str(write_safetensors(tmp_path / "odd.safetensors", arrays)), store=store)
    assert outcome.num_matrices == 1
    assert list(outcome.problems) == ["nan"] and "1 NaN" in outcome.problems["nan"]
    assert store.spectrum(outcome.content_hash, "nan").problem == outcome.problems["nan"]


def test_a_huge_matrix_is_estimated_and_counted(store, tmp_path, write_safetensors):
    array = np.random.default_rng(0).normal(size=(90, 80)).astype(np.float32)
    path = write_safetensors(tmp_path / "huge.safetensors", {"w": array})
    settings = SpectraSettings(spectrum=SpectrumSettings(max_exact_side=64))
    outcome = spectra(str(path), store=store, settings=settings)
    assert outcome.num_estimates == 1 and store.spectrum(outcome.content_hash, "w").is_estimate


@pytest.mark.parametrize("threads", [1, 3])
def test_large_and_small_matrices_give_the_same_on_any_number_of_threads(store, tiny, monkeypatch, threads):
    monkeypatch.setattr("workflows.spectra.LARGE_SIDE", 15)
    outcome = spectra(str(tiny), store=store, settings=SpectraSettings(threads=threads))
    with open_source(tiny) as source:
        for name in MATRICES:
            expected = measure_spectrum(source, source.info(name)).singular.values
            np.testing.assert_allclose(store.spectrum(outcome.content_hash, name).singular_values, expected, rtol=1e-10)


def test_cancelling_in_any_phase_stores_no_spectrum(store, tiny):
    extract(str(tiny), store=store)
    for phase in ("hashing", "preparing kernels", "taking spectra", "storing"):
        with pytest.raises(Cancelled):
            spectra(str(tiny), store=store, report=stop_at(phase))
        assert not store.has_spectra(store.models()[0].content_hash)


def test_progress_reaches_its_total(store, tiny):
    seen = []
    spectra(str(tiny), store=store, report=CallbackReport(seen.append))
    steps = [progress for progress in seen if progress.phase == "taking spectra"]
    done = [progress.done for progress in steps]
    assert done == sorted(done) and done[-1] == steps[-1].total > 0
    assert {progress.current for progress in steps} >= set(MATRICES)


def test_a_resumed_run_takes_finished_spectra_and_stores_the_same(store, tiny, data, tmp_path, content):
    run = RunFolder.create(data / "runs", "spectra", {})
    one = SpectraSettings(threads=1)
    extract(str(tiny), store=store)
    with pytest.raises(Cancelled):
        spectra(str(tiny), store=store, run=run, settings=one, report=stop_at("taking spectra", 2))
    kept = list(run.checkpoints.rglob("*.npz"))
    assert 0 < len(kept) < 3
    outcome = spectra(str(tiny), store=store, run=run, settings=one)
    assert outcome.num_resumed == len(kept) and list(run.checkpoints.rglob("*.npz")) == []
    spectra(str(tiny), store=Store(tmp_path / "undisturbed"), settings=one)
    assert content(data) == content(tmp_path / "undisturbed")


def test_a_damaged_part_is_taken_again(store, tiny, data):
    extract(str(tiny), store=store)
    run = RunFolder.create(data / "runs", "spectra", {})
    with pytest.raises(Cancelled):
        spectra(str(tiny), store=store, run=run, report=stop_at("storing"))
    parts = sorted(run.checkpoints.rglob("*.npz"))
    assert len(parts) == 3
    parts[0].write_bytes(parts[0].read_bytes()[:-40])
    assert spectra(str(tiny), store=store, run=run).num_resumed == 2


def test_a_file_that_changes_meanwhile_stores_nothing(store, tiny):
    extract(str(tiny), store=store)

    def touch(progress):
        if progress.phase == "taking spectra":
            os.utime(tiny, (1, 1))

    with pytest.raises(SourceError, match="changed"):
        spectra(str(tiny), store=store, report=CallbackReport(touch))
    assert not store.has_spectra(store.models()[0].content_hash)


def test_a_job_takes_spectra_and_tells_how_it_went(store, data, tiny):
    jobs = Jobs(data)
    job = jobs.start("spectra", {"model": str(tiny), "name": "Tiny"})
    assert job.title == "Measure spectra of Tiny"
    done = jobs.wait(job.id, 120)
    assert (done.state, done.error, done.result["num_matrices"]) == ("done", None, 3)
    assert store.has_spectra(done.result["content_hash"])
    assert "3 spectra" in (done.folder / "log.txt").read_text(encoding="utf-8")
    with pytest.raises(JobError):
        jobs.start("spectra", {})


def test_the_command_line_says_what_was_done(command, tiny):
    first = command("spectra", str(tiny), "--threads", "1")
    assert first.returncode == 0 and "3 spectra" in first.stdout
    again = json.loads(command("spectra", str(tiny), "--json").stdout)
    assert (again["was_stored"], again["num_matrices"]) == (True, 3)
    assert "nothing to do" in command("spectra", str(tiny)).stdout
    refused = command("spectra", str(tiny), "--background", "--threads", "2")
    assert refused.returncode == 1 and "--threads" in refused.stderr

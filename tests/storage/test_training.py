"""What trainings report is kept by step, goes back with a resumed run, and goes with the run."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from engine.errors import StorageError
from storage.records import Metric
from storage.training import TRAINING_TABLES, CheckpointTensor, Remark, Sample, TrainingCheckpoint, TrainingRows

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def checkpoint(step: int, value: float = 1.0) -> tuple[TrainingCheckpoint, tuple[CheckpointTensor, ...]]:
    kept = TrainingCheckpoint(step, "supervised", f"/models/checkpoint-{step}", step == 2, 1.5, NOW)
    picture = np.full((2, 3), value, np.float32)
    matrix = CheckpointTensor("layers.0.w", 0, "query", (4, 6), {("std", 1): value, ("kurtosis", 2): math.nan}, picture)
    return kept, (matrix, CheckpointTensor("b", None, "other", (6,), {("std", 1): 2 * value}, None))


def rows(step: int) -> TrainingRows:
    return TrainingRows(
        [Metric(step, "loss", 3.0 - step, NOW), Metric(step, "kl", math.nan, NOW)],
        [Sample(step, "Once", "upon", NOW)],
        [Remark(step, "improved", "It rose.", NOW), Remark(step, "notice", "50 is passed.", NOW)],
        [checkpoint(step, float(step))],
    )


@pytest.fixture
def run(store) -> str:
    store.begin_training("run-1", "tiny", {"name": "tiny"})
    for step in (0, 2, 4):
        store.save_training_rows("run-1", rows(step))
    return "run-1"


def test_everything_comes_back_as_it_was_given(store, run):
    assert store.training_checkpoints(run) == [checkpoint(step)[0] for step in (0, 2, 4)]
    assert store.training_samples(run, since_step=2) == [Sample(step, "Once", "upon", NOW) for step in (2, 4)]
    assert [remark.kind for remark in store.training_remarks(run)] == ["improved", "notice"] * 3
    assert store.checkpoint_tensors(run) == [("layers.0.w", (4, 6)), ("b", (6,))]
    stats = store.checkpoint_stats(run, "std")
    assert stats["value"].tolist() == [0, 0, 2, 4, 4, 8]
    assert store.checkpoint_stats(run)["value"].isna().sum() == 3
    pictures = store.checkpoint_thumbnails(run, "layers.0.w")
    assert [step for step, _ in pictures] == [0, 2, 4]
    assert np.array_equal(pictures[1][1], np.full((2, 3), 2, np.float32))
    assert store.latest_metrics()[run]["loss"] == (4, -1.0)


def test_a_run_that_goes_on_forgets_what_came_after_its_checkpoint(store, run):
    store.finish_experiment(run, "cancelled", message="Paused.")
    store.begin_training(run, "tiny", {"name": "tiny"}, after_step=2)
    assert [kept.step for kept in store.training_checkpoints(run)] == [0, 2]
    assert store.metrics(run)["step"].max() == 2
    assert {sample.step for sample in store.training_samples(run)} == {0, 2}
    assert [step for step, _ in store.checkpoint_thumbnails(run, "layers.0.w")] == [0, 2]
    (experiment,) = store.experiments("training")
    assert (experiment.status, experiment.message, experiment.finished_at) == ("running", "", None)


def test_a_checkpoint_that_is_saved_again_is_replaced(store, run):
    store.save_training_rows(run, TrainingRows(checkpoints=[checkpoint(2, 9.0)]))
    assert [kept.step for kept in store.training_checkpoints(run)] == [0, 2, 4]
    assert store.checkpoint_stats(run, "std").query("step == 2")["value"].tolist() == [9, 18]
    assert len(store.checkpoint_thumbnails(run, "layers.0.w")) == 3


def test_a_deleted_run_leaves_no_rows(store, run, rows_of):
    store.begin_training("run-2", "other", {})
    store.save_training_rows("run-2", rows(0))
    assert store.delete_training(run)
    assert not store.delete_training(run)
    left = rows_of(store.path)
    for table in (*TRAINING_TABLES, "metric"):
        assert {row[1] for row in left[table]} == {"run-2"}, table
    assert [experiment.id for experiment in store.experiments()] == ["run-2"]


def test_rows_of_a_run_that_nobody_began_are_refused_whole(store, rows_of):
    store.begin_training("run-1", "tiny", {})
    before = rows_of(store.path)
    with pytest.raises(StorageError, match="run-2"):
        store.save_training_rows("run-2", rows(1))
    assert rows_of(store.path) == before


def test_half_a_character_in_a_sample_is_kept_as_a_mark(store):
    store.begin_training("run-1", "tiny", {})
    store.save_training_rows("run-1", TrainingRows(samples=[Sample(1, "a", "b\ud83d", NOW)]))
    assert store.training_samples("run-1")[0].text == "b?"

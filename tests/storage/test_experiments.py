"""Experiments and their metrics come back as they were reported."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from engine.errors import StorageError
from storage.records import Metric


def test_an_experiment_runs_reports_and_ends(store):
    settings = {"lr": 3e-4, "text": "it's “quoted”", "steps": [1, 2]}
    key = store.start_experiment("pretraining", "first", settings)
    running = store.experiments()[0]
    assert (running.id, running.kind, running.settings, running.status) == (key, "pretraining", settings, "running")
    assert running.finished_at is None
    assert running.result is None
    when = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    store.append_metrics(key, [Metric(1, "loss", 2.5, when), Metric(0, "loss", math.nan), Metric(1, "acc", math.inf)])
    store.append_metrics(key, [])
    store.append_metrics(key, (Metric(step, "loss", 1.0) for step in (2, 3)))
    frame = store.metrics(key)
    assert frame["step"].tolist() == [0, 1, 1, 2, 3]
    assert frame["name"].tolist() == ["loss", "acc", "loss", "loss", "loss"]
    assert math.isnan(frame["value"][0])
    assert frame["value"][1] == math.inf
    assert frame["recorded_at"][2].to_pydatetime() == when.replace(tzinfo=None)
    store.finish_experiment(key, result={"loss": 1.0})
    done = store.experiments()[0]
    assert (done.status, done.result, done.message) == ("done", {"loss": 1.0}, "")
    assert done.finished_at >= done.started_at


def test_a_failed_experiment_says_why(store):
    key = store.start_experiment("scan", "s", {})
    store.finish_experiment(key, "failed", message="out of memory")
    assert [(e.status, e.message) for e in store.experiments("scan")] == [("failed", "out of memory")]
    assert store.experiments("pretraining") == []


def test_an_experiment_that_begins_again_under_its_key_begins_empty(store):
    assert store.start_experiment("scan", "s", {}, experiment="run-1") == "run-1"
    store.append_metrics("run-1", [Metric(1, "loss", 1.0)])
    store.start_experiment("scan", "s", {"again": True}, experiment="run-1")
    assert store.metrics("run-1").empty
    assert [experiment.settings for experiment in store.experiments()] == [{"again": True}]


def test_an_experiment_that_nobody_started_is_an_error(store):
    with pytest.raises(StorageError, match="nobody"):
        store.append_metrics("nobody", [Metric(1, "loss", 1.0)])
    with pytest.raises(StorageError, match="nobody"):
        store.finish_experiment("nobody")
    with pytest.raises(StorageError, match="perhaps"):
        store.finish_experiment("nobody", "perhaps")
    assert store.metrics("nobody").empty

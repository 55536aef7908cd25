"""What the database knows of runs, remembered for moments: opening it costs some 30 ms, and a page asks many times."""

from __future__ import annotations

import time

import pandas as pd
import streamlit as st

from storage.training import Remark, Sample, TrainingCheckpoint
from ui.job_panel import jobs
from ui.page import store
from workflows import training
from workflows.training import TrainingRun

MOMENT_S = 1.0
"""A run is looked at again after so long; what it wrote while it works, after twice that."""


def all_runs() -> list[TrainingRun]:
    """Every run, newest first, as it stood at most a moment ago."""
    return _runs(str(store().path))


def the_run(run_id: str) -> TrainingRun:
    """One run. Raises: JobError if there is none of that id."""
    found = next((run for run in all_runs() if run.id == run_id), None)
    return found if found is not None else training.run(store(), jobs(), run_id)


def look_again() -> None:
    """Something was started, paused, resumed, finished or deleted: forget how the runs stood."""
    _runs.clear()


@st.cache_data(ttl=MOMENT_S, max_entries=2, show_spinner=False)
def _runs(path: str) -> list[TrainingRun]:
    return training.runs(store(), jobs())


def history_of(run: TrainingRun) -> pd.DataFrame:
    """Its metrics: columns step, name, value."""
    return _read("history", run.id, _stamp(run))


def remarks_of(run: TrainingRun) -> list[Remark]:
    """Verdicts, milestones and warnings, by step."""
    return _read("remarks", run.id, _stamp(run))


def notices_of(run: TrainingRun) -> list[Remark]:
    """Milestones and warnings alone."""
    return [remark for remark in remarks_of(run) if not remark.is_verdict]


def samples_of(run: TrainingRun) -> list[Sample]:
    """What it wrote, by step."""
    return _read("samples", run.id, _stamp(run))


def checkpoints_of(run: TrainingRun) -> list[TrainingCheckpoint]:
    """Its checkpoints by step, those too that are gone."""
    return _read("checkpoints", run.id, _stamp(run))


def tensors_of(run: TrainingRun) -> list[tuple[str, tuple[int, ...]]]:
    """(name, shape) of what its checkpoints hold."""
    return _read("tensors", run.id, _stamp(run))


def stats_of(run: TrainingRun, measure: str) -> pd.DataFrame:
    """One statistic of every tensor at every checkpoint."""
    return _read("stats", run.id, _stamp(run), measure)


def _stamp(run: TrainingRun) -> str:
    """Changes when there may be something new."""
    return f"at {time.time() // (2 * MOMENT_S)}" if run.is_active else f"{run.step} {run.state} {run.finished_at}"


@st.cache_data(max_entries=96, show_spinner=False)
def _read(what: str, run_id: str, stamp: str, measure: str = ""):
    match what:
        case "history":
            return training.history(store(), run_id)
        case "remarks":
            return training.remarks(store(), run_id)
        case "samples":
            return training.samples(store(), run_id)
        case "checkpoints":
            return training.checkpoints(store(), run_id)
        case "tensors":
            return store().checkpoint_tensors(run_id)
        case _:
            return store().checkpoint_stats(run_id, measure)

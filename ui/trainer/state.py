"""How a run stands, in the words, colours and buttons that all views of it share."""

from __future__ import annotations

import math
from collections.abc import Callable

import streamlit as st

from figures.training import BITS
from ui.hub_token import token_environment
from ui.job_panel import jobs
from ui.page import escape_markdown, store, tried
from ui.trainer.looks import show_overview
from ui.trainer.reading import look_again
from workflows import training
from workflows.deployment import is_public
from workflows.jobs import Jobs
from workflows.trained_models import delete_trained
from workflows.training import TrainingRun
from workflows.wording import duration_text

BADGES = {
    "queued": ("waits its turn", "gray", ":material/hourglass_empty:"),
    "running": ("training", "blue", ":material/progress_activity:"),
    "paused": ("paused", "orange", ":material/pause_circle:"),
    "interrupted": ("interrupted", "orange", ":material/bolt:"),
    "failed": ("failed", "red", ":material/error:"),
    "done": ("done", "green", ":material/check_circle:"),
}


def state_badge(run: TrainingRun) -> None:
    """Its state as a small coloured badge."""
    text, colour, icon = BADGES[run.state]
    st.badge(text, color=colour, icon=icon)


def best_bits(run: TrainingRun) -> float:
    """The fewest bits per byte of held-out text so far; NaN before the first look."""
    known = run.result.get("bits_per_byte")
    return float(known) if known is not None else run.latest.get(BITS, math.nan)


def progress_words(run: TrainingRun) -> str:
    """How far it is, in one line."""
    words = [f"step {run.step:,} of {run.request.steps:,}"]
    if run.progress is not None and run.progress.left_s is not None:
        words.append(f"{duration_text(run.progress.left_s)} left")
    return " · ".join(words)


def run_buttons(run: TrainingRun, *, key: str, is_full: bool = True) -> None:
    """Pause, resume and stop, as far as the run's state allows. is_full: with stop and delete."""
    if is_public():
        return
    if run.is_active:
        st.button(
            "Pause",
            key=f"{key}-pause-{run.id}",
            icon=":material/pause:",
            help="Saves a checkpoint after the step it is in, and ends. Resuming goes on exactly from there.",
            on_click=_steer,
            args=(training.pause, run.id),
        )
    elif run.is_resumable:
        st.button(
            "Resume",
            key=f"{key}-resume-{run.id}",
            icon=":material/play_arrow:",
            type="primary",
            help="Goes on from the last checkpoint.",
            on_click=_steer,
            args=(_resume, run.id),
        )
    if is_full and (run.is_active or run.is_resumable):
        st.button(
            "Finish here",
            key=f"{key}-stop-{run.id}",
            icon=":material/stop_circle:",
            help="Ends the training: the best checkpoint so far becomes the model.",
            on_click=_steer,
            args=(training.stop, run.id),
        )


def _resume(board: Jobs, run_id: str) -> None:
    training.resume(board, run_id, token_environment())


def _steer(action: Callable, run_id: str) -> None:
    """A callback: pause, resume or finish a run."""
    tried(action, jobs(), run_id)
    look_again()


def delete_button(run: TrainingRun, *, key: str) -> None:
    """Delete a run at rest with its model, after asking."""
    if run.is_active or is_public():
        return
    if st.button("Delete …", key=f"{key}-delete-{run.id}", icon=":material/delete:"):
        _confirm_delete(run.name)


@st.dialog("Delete")
def _confirm_delete(name: str) -> None:
    """Say exactly what will go, and ask."""
    st.markdown(
        f"**{escape_markdown(name)}**: this deletes the model with all its checkpoints, what was measured of them, and "
        "the history of its training."
    )
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", key="confirm-delete", on_click=_delete, args=(name,)):
            st.rerun()
        if st.button("Keep", key="keep"):
            st.rerun()


def _delete(name: str) -> None:
    tried(delete_trained, store(), name)
    look_again()
    if "late_error" not in st.session_state:
        show_overview()


def error_box(run: TrainingRun) -> None:
    """Why it failed or was interrupted, and what to do."""
    if run.error is None:
        return
    st.error(escape_markdown(run.error.message), icon=":material/warning:")
    if run.error.hint:
        st.caption(f":material/lightbulb: {escape_markdown(run.error.hint)}")


def error_line(run: TrainingRun) -> None:
    """The same in one small line, for a card."""
    if run.error is not None:
        st.caption(f":red[{escape_markdown(run.error.message)}]")

"""One run: its head, which lives while it works, and the looks at what it did."""

from __future__ import annotations

import math
from collections.abc import Callable

import streamlit as st

from engine.errors import JobError
from figures.training import HELD_OUT
from ui.job_panel import jobs
from ui.page import escape_markdown, show_error, show_late_error, user_errors
from ui.trainer.checkpoints_view import checkpoints_look
from ui.trainer.facts import facts_look
from ui.trainer.looks import PROGRESS, look_switch, show_overview
from ui.trainer.progress_view import progress_look
from ui.trainer.reading import notices_of, the_run
from ui.trainer.samples_view import samples_look
from ui.trainer.self_play_view import self_play_look
from ui.trainer.state import best_bits, delete_button, error_box, run_buttons, state_badge
from ui.trainer.take_along import take_along
from ui.trainer.try_it import try_look
from ui.trainer.weights_view import weights_look
from workflows.training import TrainingRun
from workflows.wording import bytes_text, count_text, duration_text

POLL_S = 1.0
"""How often the head of a working run is drawn anew, in seconds."""

WATCH_S = 3.0
"""How often a run at rest is asked whether somebody resumed it, in seconds."""

LOOKS: dict[str, Callable[[TrainingRun], None]] = {
    PROGRESS: progress_look,
    "Weights": weights_look,
    "Samples": samples_look,
    "Self-play": self_play_look,
    "Try it": try_look,
    "Checkpoints": checkpoints_look,
    "Details": facts_look,
}
"""Every look at a run, by the name in the URL (`?show=`), in reading order."""


def run_page(run_id: str) -> None:
    """Everything below the page's title, of one run."""
    st.button("All runs", icon=":material/arrow_back:", type="tertiary", on_click=show_overview)
    try:
        run = the_run(run_id)
    except JobError as error:
        show_error(error)
        return
    show_late_error()
    if run.is_active:
        _live_head(run.id)
    else:
        _head(run.id)
        if run.is_resumable:
            _watch(run.id)
    looks = [name for name in LOOKS if name != "Self-play" or run.request.self_play is not None]
    look = look_switch(looks)
    with user_errors():
        LOOKS[look](run)


@st.fragment(run_every=POLL_S)
def _live_head(run_id: str) -> None:
    with user_errors():
        if not _head(run_id).is_active:
            st.rerun()  # the looks, too, are then those of a run at rest


@st.fragment(run_every=WATCH_S)
def _watch(run_id: str) -> None:
    """Draws nothing: another tab, or a terminal, may let it go on."""
    if jobs().get(run_id).is_active:
        st.rerun()


def _head(run_id: str) -> TrainingRun:
    run = the_run(run_id)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"### {escape_markdown(run.name)}")
            state_badge(run)
            st.space("stretch")
            run_buttons(run, key="head")
            take_along(run)
            delete_button(run, key="head")
        if run.is_active:
            _bar(run)
        _numbers(run)
        _last_remark(run)
        error_box(run)
    return run


def _bar(run: TrainingRun) -> None:
    progress = run.progress
    if progress is None:
        st.progress(0.0, text="waits until another training ends …" if run.state == "queued" else "starting …")
        return
    words = [progress.phase]
    if progress.total:
        words.append(f"step {progress.done:,} of {progress.total:,}")
    if progress.left_s is not None:
        words.append(f"{duration_text(progress.left_s)} left")
    if progress.current:
        words.append(progress.current)
    st.progress(progress.fraction or 0.0, text=escape_markdown(" · ".join(words)))


def _numbers(run: TrainingRun) -> None:
    """The numbers that matter, in one row that wraps on narrow screens."""
    latest = run.latest
    bits = best_bits(run)
    held_out = latest.get(HELD_OUT, math.nan)
    shown = [
        ("step", f"{run.step:,} / {run.request.steps:,}", "Updates of the weights so far, and at the most."),
        (
            "held-out bits a byte",
            _number(bits, ".3f"),
            "Of text it never learns from: lower is better. 8 is pure chance.",
        ),
        (
            "held-out perplexity",
            _number(_exp(held_out), ".1f"),
            "e to the held-out loss: among how many tokens it wavers.",
        ),
        ("loss", _number(latest.get("loss", math.nan), ".3f"), "Nats a token, of the last batch of training text."),
        ("tokens/s", _scaled(latest.get("tokens_per_s")), "Learnt from, over the last steps."),
        ("memory", _bytes(latest.get("memory_bytes")), "Of the training's process."),
    ]
    with st.container(horizontal=True, gap="medium"):
        for label, value, words in shown:
            st.metric(label, value, help=words, width="content")


def _last_remark(run: TrainingRun) -> None:
    """The latest milestone or warning."""
    notices = notices_of(run)
    if notices:
        st.caption(f":material/flag: step {notices[-1].step:,}: {escape_markdown(notices[-1].text)}")


def _number(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else "–"


def _exp(value: float) -> float:
    return math.exp(min(value, 50.0)) if math.isfinite(value) else math.nan


def _scaled(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else count_text(value)


def _bytes(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else bytes_text(value)

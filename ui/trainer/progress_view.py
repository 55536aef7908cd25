"""How the learning goes: loss beside held-out text, speed and the rest, and what was noticed."""

from __future__ import annotations

import streamlit as st

from figures.training import loss_chart, number_line
from ui.export_panel import chart
from ui.page import escape_markdown, user_errors
from ui.trainer.reading import history_of, notices_of, the_run
from workflows.training import TrainingRun

POLL_S = 2.0
"""How often the charts of a working run are drawn anew, in seconds."""

SMALL = (
    ("tokens_per_s", "tokens/s", "~s"),
    ("learning_rate", "learning rate", "~g"),
    ("gradient_norm", "gradient norm", "~g"),
    ("memory_bytes", "memory, B", "~s"),
)


def progress_look(run: TrainingRun) -> None:
    """Charts, live while it works, and the milestones."""
    is_log = st.toggle(
        "Logarithmic steps",
        key="log_steps",
        bind="query-params",
        help="Most happens in the first steps: this gives them room.",
    )
    if run.is_active:
        _live(run.id, is_log)
    else:
        _charts(run, is_log)


@st.fragment(run_every=POLL_S)
def _live(run_id: str, is_log: bool) -> None:
    with user_errors():
        _charts(the_run(run_id), is_log)


def _charts(run: TrainingRun, is_log: bool) -> None:
    history = history_of(run)
    if not len(history):
        words = (
            "The first numbers come with the first step." if run.is_active else "This run ended before its first step."
        )
        st.info(words, icon=":material/hourglass_empty:")
        return
    chart(loss_chart(history, is_log=is_log, height=360), f"{run.name} loss", key="loss")
    known = set(history["name"])
    for column, (name, title, form) in zip(st.columns(len(SMALL), gap="small"), SMALL, strict=True):
        if name in known:
            with column:
                st.altair_chart(number_line(history, name, title, number_format=form), key=f"small-{name}")
    _remarks(run)


def _remarks(run: TrainingRun) -> None:
    notices = notices_of(run)
    if notices:
        st.markdown("**Milestones**")
        for remark in notices[::-1][:12]:
            st.caption(f":material/flag: step {remark.step:,} · {escape_markdown(remark.text)}")

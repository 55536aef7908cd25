"""What was asked of a run, what it said, and how to run the same again."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd
import streamlit as st

from ui.page import escape_markdown
from ui.trainer.text_words import corpus_words
from workflows.training import TrainingRun

MOST_LINES = 400


def facts_look(run: TrainingRun) -> None:
    """Settings, text, and the log."""
    request = run.request
    st.caption(
        f"Started {run.created_at:%Y-%m-%d %H:%M} UTC"
        + (f", ended {run.finished_at:%Y-%m-%d %H:%M} UTC" if run.finished_at else "")
        + f" · run {run.id}"
    )
    if request.notes:
        st.markdown(escape_markdown(request.notes).replace("\n", "  \n"))
    if request.start_from:
        st.markdown(f"Goes on from **{escape_markdown(request.start_from)}**.")
    st.markdown("**Text**")
    for choice in request.corpora:
        st.markdown(f"- {escape_markdown(corpus_words(choice))}")
    st.caption(f"{request.held_out_share:.0%} of it is set aside and never learnt from.")
    groups = [("Model", request.model), ("Learning from text", request.training), ("Self-play", request.self_play)]
    shown = [(title, settings) for title, settings in groups if settings is not None]
    for column, (title, settings) in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            st.markdown(f"**{title}**")
            rows = [(name.replace("_", " "), _spelt(value)) for name, value in asdict(settings).items()]
            st.dataframe(pd.DataFrame(rows, columns=["setting", "value"]), hide_index=True, height=320)
    st.markdown("**Log**")
    if run.log:
        st.code("\n".join(run.log[-MOST_LINES:]), language=None, height=320)
    else:
        st.caption("Nothing was said, or the log was deleted with the run's folder.")


def _spelt(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(f"{name} {weight:g}" for name, weight in value)
    return str(value)

"""The job that finds something of one model: its progress, the offer to start it; and the way to a tensor."""

from __future__ import annotations

import streamlit as st

from storage.records import Location
from ui.job_panel import job_of, job_panel, start_job
from workflows.wording import bytes_text


def show_tensor(location: Location, tensor: str, row: int | None = None) -> None:
    """Open a tensor on the Heatmap page, at one of its rows."""
    if row is not None:
        st.session_state["jump"] = (row, None)
    st.switch_page("pages/3_Heatmap.py", query_params={"model": location.name, "tensor": tensor})


def job(location: Location, kind: str) -> bool:
    """Draw the newest job of that kind if it works or failed; whether it works."""
    latest = job_of(kind, model=location.uri)
    if latest is not None and (latest.is_active or latest.state in ("failed", "interrupted", "cancelled")):
        job_panel(latest, key=kind)
    return latest is not None and latest.is_active


def offer(location: Location, kind: str, question: str, words: str, label: str) -> None:
    """The empty state: what the job finds out, and the button that starts it."""
    with st.container(border=True):
        st.markdown(question)
        st.caption(f"{words} It is a job that reads all {bytes_text(location.num_bytes)}: you may leave this page.")
        start_button(location, kind, label, "primary")


def start_button(location: Location, kind: str, label: str, look: str) -> None:
    """The button that starts a job on a model."""
    st.button(
        label,
        key=f"start-{kind}",
        icon=":material/play_arrow:",
        type=look,
        on_click=start_job,
        args=(kind, {"model": location.uri, "name": location.name}),
    )

"""The way to measure a model from where its numbers are missed: one line, one button, and the job while it runs."""

from __future__ import annotations

import streamlit as st

from storage.records import Location
from ui.job_panel import job_of, job_panel, start_job
from ui.page import show_late_error
from workflows import library
from workflows.wording import bytes_text


def measure_offer(location: Location, reason: str, *, key: str) -> None:
    """Offer to measure the model, or show the job that does; nothing for one that is measured.

    Args:
        reason: what measuring would bring to this view, a sentence of ours. key: tells two offers apart.
    """
    job = job_of("extract", model=location.uri)
    show_late_error()
    if job is not None and (job.is_active or job.state in ("failed", "interrupted", "cancelled")):
        job_panel(job, key=key)
    status = library.status(location)
    if status == "measured" or (job is not None and job.is_active):
        return
    if status == "missing":
        st.warning("The file is gone or can no longer be opened.", icon=":material/error:")
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"{reason} Measuring reads all {bytes_text(location.num_bytes)} once, as a job.")
        st.space("stretch")
        st.button(
            "Measure",
            key=f"{key}-measure",
            icon=":material/straighten:",
            on_click=start_job,
            args=("extract", {"model": location.uri, "name": location.name}),
        )

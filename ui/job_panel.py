"""A job on a page: what it does, how far it is, and the buttons to stop or resume it."""

from __future__ import annotations

import streamlit as st

from storage.location import data_folder
from ui.hub_token import token_environment
from ui.page import escape_markdown, show_late_error, tried, user_errors
from workflows.deployment import is_public
from workflows.jobs import Job, Jobs
from workflows.wording import bytes_text, duration_text

POLL_S = 0.5

_STATE_BADGES = {
    "queued": ("queued", "gray", ":material/hourglass_empty:"),
    "running": ("running", "blue", ":material/progress_activity:"),
    "done": ("done", "green", ":material/check_circle:"),
    "failed": ("failed", "red", ":material/error:"),
    "cancelled": ("cancelled", "orange", ":material/stop_circle:"),
    "interrupted": ("interrupted", "orange", ":material/bolt:"),
}


@st.cache_resource(max_entries=4, show_spinner=False)
def _jobs_in(folder: str) -> Jobs:
    return Jobs(data_folder())


def jobs() -> Jobs:
    """The jobs of this app's data folder."""
    return _jobs_in(str(data_folder()))


def start_job(kind: str, arguments: dict) -> None:
    """Start a job, from a button's callback. Only its process gets to know this session's hub token."""
    tried(jobs().start, kind, arguments, token_environment())


def job_of(kind: str, **arguments) -> Job | None:
    """The newest job of that kind whose arguments include these; None if there is none."""
    for job in jobs().all():
        if job.kind == kind and all(job.arguments.get(name) == value for name, value in arguments.items()):
            return job
    return None


def job_panel(job: Job, *, key: str) -> None:
    """One job, live while it works.

    Args:
        job: as it stands now. key: tells two panels of one job apart.
    """
    if job.is_active:
        _live_panel(job.id, key)
    else:
        _panel(job, key)


@st.fragment(run_every=POLL_S)
def _live_panel(job_id: str, key: str) -> None:
    with user_errors():
        job = jobs().get(job_id)
        if not job.is_active:
            st.rerun()
        _panel(job, key)


def _panel(job: Job, key: str) -> None:
    text, colour, icon = _STATE_BADGES[job.state]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escape_markdown(job.title)}**")
            st.badge(text, color=colour, icon=icon)
            st.caption(f"{job.created_at:%Y-%m-%d %H:%M} UTC")
            st.space("stretch")
            _buttons(job, key)
        if job.is_active:
            _progress(job)
        if job.error is not None:
            st.markdown(f":red[{escape_markdown(job.error.message)}]")
            if job.error.hint:
                st.caption(f":material/lightbulb: {escape_markdown(job.error.hint)}")


def _progress(job: Job) -> None:
    progress = job.progress
    if progress is None:
        st.progress(0.0, text="starting …")
        return
    words = [progress.phase]
    if progress.total:
        if progress.unit == "B":
            words.append(f"{bytes_text(progress.done)} of {bytes_text(progress.total)}")
        else:
            words.append(f"{progress.done:,} of {progress.total:,} {progress.unit}")
    if progress.rate:
        words.append(
            f"{bytes_text(progress.rate)}/s" if progress.unit == "B" else f"{progress.rate:,.1f} {progress.unit}/s"
        )
    if progress.left_s is not None:
        words.append(f"{duration_text(progress.left_s)} left")
    if progress.current:
        words.append(progress.current)
    st.progress(progress.fraction or 0.0, text=escape_markdown(" · ".join(words)))


def _buttons(job: Job, key: str) -> None:
    if job.is_active:
        st.button(
            "Cancel",
            key=f"{key}-cancel-{job.id}",
            icon=":material/stop_circle:",
            on_click=tried,
            args=(jobs().cancel, job.id),
        )
    elif job.is_resumable:
        st.button(
            "Resume",
            key=f"{key}-resume-{job.id}",
            icon=":material/play_arrow:",
            on_click=tried,
            args=(jobs().resume, job.id, token_environment()),
        )
    if not job.is_active and not is_public():
        st.button(
            "Forget",
            key=f"{key}-forget-{job.id}",
            icon=":material/close:",
            help="Remove the job from the list, with what it had finished but not stored. Measurements stay.",
            on_click=tried,
            args=(jobs().forget, job.id),
        )


def latest_jobs(limit: int = 5) -> None:
    """The newest jobs with their state, running ones live."""
    known = jobs().all()[:limit]
    st.subheader("Latest jobs", anchor=False)
    show_late_error()
    if not known:
        st.caption(
            "Nothing has run yet. Press Measure on a model: the job will show here, also after a refresh or a restart."
        )
    for job in known:
        job_panel(job, key="latest")

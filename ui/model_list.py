"""The list of known models in the Zoo: one card a model, with its status and what can be done with it."""

from __future__ import annotations

import streamlit as st

from storage.records import Location
from ui.job_panel import job_of, job_panel, start_job
from ui.model_cards import see_button, status_badge, strip
from ui.page import escape_markdown, store, tried, user_errors
from workflows import library
from workflows.wording import bytes_text, count_text

ORIGINS = {
    "bundled": "comes with Weightscope",
    "added": "added by path",
    "uploaded": "uploaded",
    "scanned": "found in a folder",
    "trained": "trained here",
    "hub": "from the hub",
}


def model_list() -> None:
    """Every known model, filtered by the search box (in the URL as `?search=`)."""
    known = library.locations(store())
    if not known:
        st.info(
            "No model is known yet. Add one below: a path, an upload, or a folder to scan.", icon=":material/search:"
        )
        return
    search = ""
    if len(known) > 3:
        search = st.text_input("Search", key="search", bind="query-params", placeholder="name, format or origin") or ""
    shown = [location for location in known if _fits(location, search)]
    if not shown:
        st.caption(f"None of the {len(known)} models matches “{escape_markdown(search)}”.")
    for location in shown:
        with user_errors():
            _card(location)


def _fits(location: Location, search: str) -> bool:
    text = f"{location.name} {location.format} {location.origin} {location.uri}".lower()
    return all(word in text for word in search.lower().split())


def _card(location: Location) -> None:
    status = library.status(location)
    job = job_of("extract", model=location.uri)
    with st.container(border=True):
        picture, words, actions = st.columns([1.1, 2.6, 1.3], vertical_alignment="center")
        with picture:
            strip(location, status)
        with words:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"#### {escape_markdown(location.name)}")
                status_badge(status)
            st.caption(
                f"**{count_text(location.num_parameters)}** parameters · {location.num_tensors:,} tensors · "
                f"{bytes_text(location.num_bytes)} · {escape_markdown(location.format)} · {ORIGINS[location.origin]}"
            )
            st.caption(f"`{location.uri.replace('`', '')}`")
            if status == "missing":
                st.caption(
                    ":material/warning: The file is gone or can no longer be opened. Its measurements, if any, stay."
                )
            if status == "changed":
                st.caption(":material/warning: The file was replaced since. Measure it again to see its numbers.")
        with actions:
            _actions(location, status, is_busy=job is not None and job.is_active)
        if job is not None and (job.is_active or job.state in ("failed", "interrupted", "cancelled")):
            job_panel(job, key="zoo")


def _actions(location: Location, status: str, *, is_busy: bool) -> None:
    if status != "missing":
        see_button(location, key="zoo")
    if status in ("new", "changed"):
        st.button(
            "Measure",
            key=f"measure-{location.name}",
            icon=":material/straighten:",
            type="primary",
            width="stretch",
            disabled=is_busy,
            on_click=start_job,
            args=("extract", {"model": location.uri, "name": location.name}),
        )
    is_bundled = location.origin == "bundled"
    if is_bundled and location.content_hash is None:
        return
    if st.button(
        "Delete …", key=f"delete-{location.name}", icon=":material/delete:", width="stretch", disabled=is_busy
    ):
        _confirm_delete(location)


@st.dialog("Delete")
def _confirm_delete(location: Location) -> None:
    """Say exactly what will go, and ask."""
    gone = ["its measurements"] if location.content_hash else []
    if location.origin != "bundled":
        gone.append("its place in this list")
    if location.origin == "uploaded":
        gone.append(f"the uploaded file ({bytes_text(location.num_bytes)})")
    st.markdown(f"**{escape_markdown(location.name)}**: this deletes {' and '.join(gone)}.")
    if location.origin not in ("bundled", "uploaded"):
        st.caption("The file itself is yours and stays where it is.")
    with st.container(horizontal=True):
        if st.button(
            "Delete",
            type="primary",
            key="confirm-delete",
            on_click=tried,
            args=(library.remove, store(), location.name),
        ):
            st.rerun()
        if st.button("Keep", key="keep"):
            st.rerun()

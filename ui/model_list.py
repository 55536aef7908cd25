"""The checkpoints known here, in the Zoo: one card a model, with its status and what can be done with it."""

from __future__ import annotations

import streamlit as st

from engine.sources.hub_access import is_hub_uri
from storage.records import Location
from ui.job_panel import job_panel, jobs
from ui.model_actions import delete_button, measure_button, open_card, run_button, running_uris, see_button
from ui.model_cards import status_badge, strip
from ui.page import escape_markdown, store, user_errors
from workflows import library
from workflows.jobs import Job
from workflows.wording import bytes_text, count_text

ORIGINS = {
    "bundled": "comes with Weightscope",
    "added": "added by path",
    "uploaded": "uploaded",
    "scanned": "found in a folder",
    "trained": "trained here",
    "hub": "from the hub",
}
MINE = ("added", "uploaded", "scanned")
EMPTY = {
    "here": "No model is here yet. Get one from the catalogue, or add your own above: a path, an upload, a folder.",
    "trained": "Nothing was trained here yet. A model that you train appears here while it learns.",
    "mine": "You have not added a model yet. Add one above: a path, an upload, or a folder to scan.",
}
_UNFINISHED = ("failed", "interrupted", "cancelled")


def model_list(shelf: str) -> None:
    """The known models of one shelf, filtered by the search box (in the URL as `?find=`).

    Args: shelf: "here" for all, "trained" for those that were trained here, "mine" for those that a person added.
    """
    known = [location for location in library.locations(store()) if _is_on(location, shelf)]
    if not known:
        st.info(EMPTY[shelf], icon=":material/search:")
        return
    search = ""
    if len(known) > 3:
        search = st.text_input(
            "Search", key="find", bind="query-params", type="search", placeholder="name, format, origin or path"
        )
    shown = [location for location in known if _fits(location, search or "")]
    if not shown:
        st.info(
            f"None of the {len(known)} models matches “{escape_markdown(search)}”. Try fewer words.",
            icon=":material/search_off:",
        )
    newest: dict[str, Job] = {}
    for job in jobs().all():
        if job.kind == "extract":
            newest.setdefault(str(job.arguments.get("model")), job)
    running = running_uris()
    for location in shown:
        with user_errors():
            _card(location, newest.get(location.uri), is_running=location.uri in running)


def _is_on(location: Location, shelf: str) -> bool:
    if shelf == "trained":
        return location.origin == "trained"
    return shelf == "here" or location.origin in MINE


def _fits(location: Location, search: str) -> bool:
    text = f"{location.name} {location.format} {ORIGINS.get(location.origin, '')} {location.uri}".lower()
    return all(word in text for word in search.lower().split())


def _card(location: Location, job: Job | None, *, is_running: bool) -> None:
    status = library.status(location)
    with st.container(border=True):
        picture, words, actions = st.columns([1.1, 2.6, 1.3], vertical_alignment="center")
        with picture:
            strip(location, status)
        with words:
            _words(location, status, is_running=is_running)
        with actions:
            _actions(location, status, is_busy=job is not None and job.is_active)
        if job is not None and (job.is_active or job.state in _UNFINISHED):
            job_panel(job, key="zoo")


def _words(location: Location, status: str, *, is_running: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"**{escape_markdown(location.name)}**",
            key=f"open-model-{location.name}",
            type="tertiary",
            help="Its card: README, config, tensors, tokenizer, files, and whether it fits",
            on_click=open_card,
            args=(location.name,),
        )
        status_badge(status)
        if is_hub_uri(location.uri):
            st.badge("on the hub", icon=":material/cloud:", color="blue")
        if is_running:
            st.badge("running", icon=":material/play_circle:", color="violet")
    st.caption(
        f"**{count_text(location.num_parameters)}** parameters · {location.num_tensors:,} tensors · "
        f"{bytes_text(location.num_bytes)} · {escape_markdown(location.format)} · "
        f"{ORIGINS.get(location.origin, escape_markdown(location.origin))}"
    )
    st.caption(f"`{location.uri.replace('`', '')}`")
    if status == "missing":
        st.caption(":material/warning: The file is gone or can no longer be opened. Its measurements, if any, stay.")
    if status == "changed":
        st.caption(":material/warning: The file was replaced since. Measure it again to see its numbers.")


def _actions(location: Location, status: str, *, is_busy: bool) -> None:
    if status != "missing":
        with st.container(horizontal=True, gap="small"):
            see_button(location, key="zoo", width="stretch")
            run_button(location, key="zoo", width="stretch")
    if status in ("new", "changed"):
        measure_button(location, key="", is_disabled=is_busy, width="stretch")
    delete_button(location, key="", is_disabled=is_busy, width="stretch")

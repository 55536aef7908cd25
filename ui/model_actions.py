"""What can be done with a model anywhere in the Zoo: open its card, inspect, download, measure, delete."""

from __future__ import annotations

import sys

import streamlit as st

from engine.sources.hub_access import SCHEME, is_hub_uri
from storage.records import Location
from ui.hub_token import session_token
from ui.job_panel import start_job
from ui.page import escape_markdown, store, tried
from workflows import library
from workflows.deployment import is_public
from workflows.disk import is_in_hub_cache
from workflows.wording import bytes_text

INSPECTED = "inspected_model"
"""In the session: the name of a model that was just added, whose heatmap the page shall open."""


def open_card(name: str) -> None:
    """From a button: show the model page of a location's name or a catalogue id, as `?card=` in the URL."""
    st.query_params["card"] = name


def inspect_button(hub_name: str, *, key: str, is_disabled: bool = False) -> None:
    """Look at a hub model without downloading it."""
    st.button(
        "Inspect",
        key=f"inspect-{key}",
        icon=":material/travel_explore:",
        help="Opens it over the network: headers now, then only the tensor you look at. Nothing is stored.",
        disabled=is_disabled,
        on_click=tried,
        args=(add_from_hub, hub_name),
    )


def add_from_hub(hub_name: str) -> None:
    """Make a hub model known; the page then goes on to its heatmap (see `go_to_inspected`)."""
    plain = hub_name.strip().removeprefix(SCHEME)
    known = library.add_path(store(), f"{SCHEME}{plain}", token=session_token())
    st.session_state[INSPECTED] = known.name


def go_to_inspected() -> None:
    """Go to the heatmap of a model that a callback has just added; called once a run, before anything is drawn."""
    name = st.session_state.pop(INSPECTED, None)
    if name is not None:
        show_heatmap(name)


def show_heatmap(name: str) -> None:
    """Go to the heatmap of a model, seen whole."""
    for key in ("model", "tensor", "layer", "role", "view"):
        st.session_state.pop(key, None)
    # With parameters of its own: without, Streamlit refuses to leave a page whose widgets live in the URL.
    st.switch_page("pages/3_Heatmap.py", query_params={"model": name})


def see_button(location: Location, *, key: str, **look) -> None:
    """Go to the heatmap of this model."""
    if st.button("See", key=f"{key}-see-{location.name}", icon=":material/grid_on:", **look):
        show_heatmap(location.name)


def run_button(location: Location, *, key: str, **look) -> None:
    """Go and run the model, if its files are here."""
    if is_hub_uri(location.uri):
        return
    if st.button("Run", key=f"{key}-run-{location.name}", icon=":material/play_arrow:", **look):
        st.session_state.pop("model", None)
        st.switch_page("pages/2_Chat.py", query_params={"model": location.name})


def download_button(hub_name: str, *, key: str, is_disabled: bool = False) -> None:
    """Fetch a hub model into the standard cache, as a job."""
    if is_public():
        return
    st.button(
        "Download",
        key=f"download-{key}",
        icon=":material/download:",
        help="Into the standard Hugging Face cache; it can be stopped, and goes on where it was.",
        disabled=is_disabled,
        on_click=download,
        args=(hub_name,),
    )


def download(hub_name: str) -> None:
    """Start the download of `owner/name` or `owner/name@revision`; the token of this session goes with it."""
    model, _, revision = hub_name.strip().removeprefix(SCHEME).partition("@")
    start_job("download", {"model": model, "revision": revision or "main"})


def measure_button(location: Location, *, key: str, is_disabled: bool = False, **look) -> None:
    """Measure every tensor, as a job."""
    st.button(
        "Measure",
        key=f"{key}-measure-{location.name}" if key else f"measure-{location.name}",
        icon=":material/straighten:",
        type="primary",
        disabled=is_disabled,
        on_click=start_job,
        args=("extract", {"model": location.uri, "name": location.name}),
        **look,
    )


def delete_button(location: Location, *, key: str, is_disabled: bool = False, **look) -> None:
    """Delete, after asking; nothing where there is nothing that may go."""
    if is_public() or (location.origin == "bundled" and location.content_hash is None):
        return
    if st.button(
        "Delete …",
        key=f"{key}-delete-{location.name}" if key else f"delete-{location.name}",
        icon=":material/delete:",
        disabled=is_disabled,
        **look,
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
    if location.origin == "trained":
        gone.append("its folder with all checkpoints, and the history of its training")
    st.markdown(f"**{escape_markdown(location.name)}**: this deletes {' and '.join(gone)}.")
    is_cached = is_in_hub_cache(location)
    if is_cached:
        st.toggle(
            f"Also delete its {bytes_text(location.num_bytes)} from the hub cache",
            value=location.origin == "hub",
            key="delete_cached",
            help="Other programs that use the Hugging Face cache lose it too, and would download it again.",
        )
    elif location.origin not in ("bundled", "uploaded", "trained"):
        stays = "The model stays on the hub." if is_hub_uri(location.uri) else "The file itself stays: it is yours."
        st.caption(stays)
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", key="confirm-delete", on_click=_delete, args=(location.name, is_cached)):
            st.rerun()
        if st.button("Keep", key="keep"):
            st.rerun()


def _delete(name: str, is_cached: bool) -> None:
    hub_cache = is_cached and bool(st.session_state.get("delete_cached"))
    tried(lambda: library.remove(store(), name, hub_cache=hub_cache))
    if st.query_params.get("card") == name:
        del st.query_params["card"]


def running_uris() -> frozenset[str]:
    """The uris of the checkpoints that are loaded to run; looked up only where the runners were loaded already."""
    runners = sys.modules.get("engine.runners.loaded")
    return frozenset(model.key[0] for model in runners.shared_models().loaded()) if runners is not None else frozenset()

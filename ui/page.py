"""The frame around every page: its configuration, its error boxes, its one store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from engine.errors import WeightscopeError
from storage.store import Store
from ui.access import require_access
from ui.markdown import escape_markdown

TAGLINE = "A microscope for model weights. See before you compress."


def page_setup(title: str, icon: str, subtitle: str = "") -> None:
    """Begin a page: the first call of every page file. Those who may not see it get no further.

    Args:
        title: the page's name, as in the sidebar. icon: a Material symbol; the font comes with Streamlit.
        subtitle: one sentence under the title that says what the page is for.
    """
    st.set_page_config(
        page_title=f"{title} · Weightscope",
        page_icon="🔬",  # an emoji, because a Material symbol as page icon would be fetched from the internet
        layout="wide",
        menu_items={"about": f"**Weightscope.** {TAGLINE}"},
    )
    require_access()
    st.session_state["is_arrival"] = st.session_state.get("page") != title
    st.session_state["page"] = title
    st.title(title, anchor=False, icon=icon)
    if subtitle:
        st.caption(subtitle)
    from ui.session_panel import save_offer  # here, because what it draws needs this module

    save_offer(title)


def is_arrival() -> bool:
    """Whether this run is the first one on this page, coming from another page or from outside."""
    return st.session_state.get("is_arrival", False)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn a WeightscopeError into a box with its hint; a bug keeps its traceback."""
    try:
        yield
    except WeightscopeError as error:
        show_error(error)


def show_error(error: WeightscopeError) -> None:
    """One failure as a box: what went wrong, then what to do; names of files and tensors as text, never as markup."""
    st.error(escape_markdown(error.message), icon=":material/warning:")
    if error.hint:
        st.caption(f":material/lightbulb: {escape_markdown(error.hint)}")


def tried(action: Callable, *arguments) -> None:
    """For a button's callback: do it; a WeightscopeError waits for the page's next `show_late_error`."""
    try:
        action(*arguments)
    except WeightscopeError as error:
        st.session_state["late_error"] = error


def show_late_error() -> None:
    """The error of the last callback, once."""
    error = st.session_state.pop("late_error", None)
    if error is not None:
        show_error(error)


@st.cache_resource(max_entries=4, show_spinner=False)
def _store_in(folder: str) -> Store:
    return Store()


def store() -> Store:
    """The database of this app; short connections inside, so that other programs can read beside it."""
    from storage.location import data_folder

    return _store_in(str(data_folder()))

"""Saved views: the popover that saves where a person is, and the list that brings them back."""

from __future__ import annotations

import streamlit as st

from storage.records import Location
from storage.sessions import SavedView
from ui.page import escape_markdown, show_late_error, store, tried, user_errors
from workflows.deployment import is_public
from workflows.library import locations
from workflows.sessions import (
    LONGEST_NAME,
    LONGEST_NOTE,
    MOST_FILE_BYTES,
    Reopening,
    change_view,
    delete_view,
    keep_views,
    new_view,
    read_views,
    reopened,
    save_view,
    views_file,
)
from workflows.view_export import safe_name

SAVED_PAGES = {
    "Heatmap": ":material/grid_on:",
    "3D Weights": ":material/landscape:",
    "Compare": ":material/compare_arrows:",
    "Discovery": ":material/travel_explore:",
    "Self-Play Trainer": ":material/exercise:",
    "Compression Lab": ":material/compress:",
    "Functional Scan": ":material/neurology:",
    "Lattice": ":material/grain:",
    "SQL": ":material/database:",
    "Report": ":material/summarize:",
}
"""The pages whose URL says everything a person set, with their icons."""

REPORT_PAGE = "pages/12_Report.py"

_VISITOR = "visitor_views"
"""Of a public deployment: the views of this visitor, which live as long as the tab."""

_SHOWN = ("tensor", "look", "show", "space", "view", "q")
"""Parameters worth reading in a list, beside the models."""


_SEEN = "url_keys_seen"
_PLACES = ("view", "rectangle", "camera", "weight", "view_start", "jump", "layer", "role")
"""What pages keep beside the URL, for each other; and all that stood in the URL in this session."""


def save_offer(page: str) -> None:
    """In the sidebar of the pages where there is something to come back to: a popover that saves the view."""
    st.session_state[_SEEN] = {*st.session_state.get(_SEEN, ()), *st.query_params}
    if page not in SAVED_PAGES:
        return
    with st.sidebar:
        with st.popover("Save this view", icon=":material/bookmark_add:", width="stretch"):
            st.caption("Everything set on this page, to come back to, to share, or to put into a report.")
            with st.form("save_view", border=False, clear_on_submit=True):
                st.text_input("Name", key="saved_name", max_chars=LONGEST_NAME, placeholder="Outliers in layer 3")
                st.text_area("Note", key="saved_note", max_chars=LONGEST_NOTE, height=90, placeholder="What is seen")
                st.form_submit_button(
                    "Save", type="primary", icon=":material/bookmark_add:", on_click=_save, args=(page,)
                )
        saved = st.session_state.pop("view_saved", None)
        if saved:
            st.success(f"Saved as “{escape_markdown(saved)}”.", icon=":material/bookmark_added:")
            st.page_link(REPORT_PAGE, label="All saved views", query_params={"part": "Saved views"})
        if st.session_state.pop("is_saving", False):
            show_late_error()


def _save(page: str) -> None:
    """A callback: the URL is then still that of the page as it was seen."""
    parameters = {key: st.query_params.get_all(key) for key in st.query_params}
    name, note = st.session_state["saved_name"], st.session_state["saved_note"]
    st.session_state["is_saving"] = True

    def save() -> None:
        view = new_view(store(), name, page, parameters, note)
        _keep(view)
        st.session_state["view_saved"] = view.name

    tried(save)


def _keep(view: SavedView) -> None:
    if not is_public():
        save_view(store(), view)
        return
    others = [other for other in st.session_state.get(_VISITOR, []) if other.name != view.name]
    st.session_state[_VISITOR] = [view, *others]


def all_views() -> list[SavedView]:
    """The saved views, the latest first; in a public deployment those of this visitor."""
    return list(st.session_state.get(_VISITOR, [])) if is_public() else store().saved_views()


def latest_views(most: int = 4) -> None:
    """The latest saved views in a row, each a button that opens it; nothing where there is none."""
    views, known = all_views()[:most], locations(store())
    if not views:
        return
    st.subheader("Saved views", anchor=False)
    for number, (view, column) in enumerate(zip(views, st.columns(most), strict=False)):
        opening = reopened(view, known)
        with column, st.container(border=True, gap="xxsmall", height="stretch"):
            is_asked = st.button(
                f"**{escape_markdown(_short(view.name))}**",
                key=f"latest-view-{number}",
                icon=SAVED_PAGES.get(view.page, ":material/open_in_new:"),
                type="tertiary",
                disabled=bool(opening.problem),
                help=escape_markdown(opening.problem) or "Open it",
            )
            st.caption(escape_markdown(_short(_facts(view))))
            if is_asked:
                _open(opening)
    st.page_link(
        REPORT_PAGE, label="All saved views", icon=":material/bookmarks:", query_params={"part": "Saved views"}
    )


def saved_views_panel() -> None:
    """Every saved view with the way back to it, rename, delete and download; and views from a file."""
    show_late_error()
    views, known = all_views(), locations(store())
    if is_public():
        st.caption(
            ":material/info: This Weightscope is public: your views are forgotten when this tab closes. Download them."
        )
    if views:
        for number, view in enumerate(views):
            with user_errors():
                _card(view, known, number)
    else:
        st.info(
            "No view is saved yet. Look at something on Heatmap, 3D Weights, Compare or SQL, and choose **Save this "
            "view** in the sidebar; or open views that somebody sent you, below.",
            icon=":material/bookmark_add:",
        )
    _exchange(views)


def _card(view: SavedView, known: list[Location], number: int) -> None:
    opening = reopened(view, known)
    with st.container(border=True):
        words, actions = st.columns([8, 1], vertical_alignment="center")
        with words, st.container(gap="xxsmall"):
            title = escape_markdown(view.name)
            if opening.problem:
                st.markdown(f":gray[{SAVED_PAGES.get(view.page, ':material/help:')}] **{title}**")
            else:
                is_asked = st.button(
                    f"**{title}**",
                    key=f"view-open-{number}",
                    icon=SAVED_PAGES.get(view.page, ":material/open_in_new:"),
                    type="tertiary",
                    help="Open it",
                )
                if is_asked:
                    _open(opening)
            st.caption(escape_markdown(_facts(view)))
            if view.note:
                st.markdown(escape_markdown(view.note).replace("\n", "  \n"))
            for warning in opening.warnings:
                st.caption(f":orange[:material/warning:] {escape_markdown(warning)}")
            if opening.problem:
                st.caption(f":orange[:material/link_off:] {escape_markdown(f'{opening.problem} {opening.hint}')}")
                st.page_link("pages/1_Zoo.py", label="Open the Zoo", icon=":material/inventory_2:")
        with actions, st.popover("", icon=":material/more_horiz:", width="stretch", key=f"view-menu-{number}"):
            _menu(view, number)


def _open(opening: Reopening) -> None:
    """Go to the page; what is set from earlier looks must not stand in for what the view leaves at its default."""
    for key in {*_PLACES, *st.session_state.get(_SEEN, ()), *opening.parameters}:
        st.session_state.pop(key, None)
    st.switch_page(opening.file, query_params=opening.parameters)


def _facts(view: SavedView) -> str:
    models = [reference.name for reference in view.models.values()]
    shown = [view.parameters[key][0] for key in _SHOWN if key in view.parameters]
    day = [f"{view.saved_at:%Y-%m-%d %H:%M} UTC"] if view.saved_at else []
    texts = [view.page, " with ".join(models), *(_short(text) for text in shown), *day]
    return " · ".join(text for text in texts if text)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def _menu(view: SavedView, number: int) -> None:
    st.download_button(
        "Download",
        views_file([view]),
        safe_name(f"{view.name}.view", "json"),
        "application/json",
        key=f"view-file-{number}",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
        help="A small file. On another machine it finds the model by its content.",
    )
    if not is_public():
        with st.form(f"view-form-{number}", border=False):
            name_key, note_key = f"view-name-{number}-{view.name}", f"view-note-{number}-{view.name}"
            st.text_input("Name", view.name, key=name_key, max_chars=LONGEST_NAME)
            st.text_area("Note", view.note, key=note_key, max_chars=LONGEST_NOTE)
            st.form_submit_button(
                "Change", icon=":material/edit:", on_click=_change, args=(view.name, name_key, note_key)
            )
    st.button(
        "Delete", key=f"view-delete-{number}", icon=":material/delete:", width="stretch", on_click=_delete, args=(view,)
    )


def _change(name: str, name_key: str, note_key: str) -> None:
    new_name, note = st.session_state[name_key], st.session_state[note_key]
    tried(lambda: change_view(store(), name, new_name=new_name, note=note))


def _delete(view: SavedView) -> None:
    if is_public():
        st.session_state[_VISITOR] = [other for other in all_views() if other.name != view.name]
    else:
        tried(delete_view, store(), view.name)


def _exchange(views: list[SavedView]) -> None:
    """All views as one file, and views from a file."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        file = st.file_uploader(
            "Open views from a file",
            type=["json"],
            max_upload_size=MOST_FILE_BYTES >> 20,
            key=f"views_upload_{st.session_state.get('views_uploaded', 0)}",
            help="A file that “Download” made here or on another machine.",
        )
        st.download_button(
            "Download all",
            views_file(views),
            "weightscope-views.json",
            "application/json",
            on_click="ignore",
            icon=":material/download:",
            disabled=not views,
        )
    if file is not None:
        with user_errors():
            _take(file)
    taken = st.session_state.pop("views_taken", None)
    if taken is not None:
        words = (
            f"Added {len(taken)} view{'' if len(taken) == 1 else 's'}." if taken else "All of them are here already."
        )
        st.success(words, icon=":material/bookmark_added:")


def _take(file) -> None:
    views = read_views(file.read(MOST_FILE_BYTES + 1))
    if is_public():
        for view in reversed(views):
            _keep(view)
        taken = [view.name for view in views]
    else:
        taken = keep_views(store(), views)
    st.session_state["views_taken"] = taken
    st.session_state["views_uploaded"] = st.session_state.get("views_uploaded", 0) + 1  # an empty uploader
    st.rerun()

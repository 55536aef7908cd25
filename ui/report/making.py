"""What goes into a report, the button that makes it, and the finished one with its downloads."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from storage.records import Location
from storage.sessions import SavedView
from ui.page import escape_markdown, store
from ui.selection import pick_model
from ui.session_panel import all_views
from workflows.library import locations
from workflows.report import MOST_VIEWS, SECTIONS, ReportOrder, make_report
from workflows.reports import CallbackReport, Progress
from workflows.view_export import safe_name
from workflows.wording import bytes_text

NONE = "none"
TITLES = {title: key for key, (title, _) in SECTIONS.items()}
USUAL = (
    "Notes",
    "The model",
    "All weights at a glance",
    "Views",
    "Health",
    "What changed",
    "Distributions",
    "Statistics",
)
PREVIEW_HEIGHT = 900
_MADE = "made_report"


@dataclass(frozen=True)
class _Made:
    """A finished report, and what it was made of: it is shown until something else is asked for."""

    order: ReportOrder
    page: bytes
    archive: bytes


def report_maker() -> None:
    """Choices on the left of the preview, everything bound to the URL."""
    choices, preview = st.columns([1, 2.1], gap="large")
    with choices:
        order = _order()
    if order is None:
        return
    with choices:
        is_asked = st.button(
            "Make the report", type="primary", icon=":material/summarize:", width="stretch", disabled=not order.sections
        )
    with preview:
        if is_asked:
            st.session_state[_MADE] = _make(order)
        made = st.session_state.get(_MADE)
        if made is None or made.order.model != order.model:
            st.info(
                "Choose what goes in, and make the report: one HTML file with everything inside, or Markdown with its "
                "pictures. Views you saved on other pages become pictures in it.",
                icon=":material/summarize:",
            )
        else:
            _show(made, order)


def _order() -> ReportOrder | None:
    location = pick_model()
    if location is None:
        return None
    sections = _sections()
    views = _views(location) if "Views" in sections else ()
    other = _other(location) if "What changed" in sections else ""
    title = st.text_input("Title", key="title", bind="query-params", placeholder=location.name, max_chars=200)
    note = ""
    if "Notes" in sections:
        note = st.text_area(
            "Notes",
            key="note",
            bind="query-params",
            placeholder="What the reader should know first",
            height=110,
            max_chars=5000,
        )
    date = st.text_input(
        "Date",
        key="date",
        bind="query-params",
        placeholder="none",
        max_chars=60,
        help="As you want it to read. Without one, the same report is the same file, byte for byte.",
    )
    keys = tuple(TITLES[each] for each in sections)
    return ReportOrder(location.name, keys, views, other, title or "", note or "", date or "")


def _sections() -> list[str]:
    if not set(st.session_state.get("sections") or []) <= set(TITLES):
        st.session_state.pop("sections", None)  # from a bad URL
    return st.pills(
        "Sections",
        list(TITLES),
        selection_mode="multi",
        default=list(USUAL),
        key="sections",
        bind="query-params",
        wrap=True,
    )


def _views(location: Location) -> tuple[SavedView, ...]:
    """The views to show; those of the model come first."""
    known = {view.name: view for view in all_views()}
    if not known:
        st.caption(
            "No view is saved yet: choose **Save this view** in the sidebar of Heatmap, 3D Weights, Compare or SQL."
        )
        return ()
    own = [
        name
        for name, view in known.items()
        if any(
            each.name == location.name or (each.content_hash and each.content_hash == location.content_hash)
            for each in view.models.values()
        )
    ]
    if not set(st.session_state.get("views") or []) <= set(known):
        st.session_state.pop("views", None)  # deleted, or from a bad URL
    chosen = st.multiselect(
        f"Views, in this order (at most {MOST_VIEWS})",
        [*own, *(name for name in known if name not in own)],
        key="views",
        bind="query-params",
        max_selections=MOST_VIEWS,
        placeholder="Choose saved views",
    )
    return tuple(known[name] for name in chosen)


def _other(location: Location) -> str:
    """The model it is compared with: those that it was compared with come first."""
    others = [other.name for other in locations(store()) if other.uri != location.uri]
    if not others:
        return ""
    stored = store().comparisons(location.content_hash) if location.content_hash else []
    hashes = {one.hash_a for one in stored} | {one.hash_b for one in stored}
    compared = [each.name for each in locations(store()) if each.content_hash in hashes and each.uri != location.uri]
    options = [NONE, *compared, *(name for name in others if name not in compared)]
    if st.session_state.get("other") not in options:
        st.session_state["other"] = compared[0] if compared else NONE  # at first, and from a bad URL
    chosen = st.selectbox(
        "Compared with", options, key="other", bind="query-params", help="Compare the two on the Compare page first."
    )
    return "" if chosen in (None, NONE) else chosen


def _make(order: ReportOrder) -> _Made:
    from figures.report_markdown import report_zip
    from figures.report_page import report_html

    bar = st.progress(0.0, "Drawing …")

    def show(progress: Progress) -> None:
        bar.progress(progress.fraction or 0.0, f"Drawing: {escape_markdown(progress.current or '…')}")

    try:
        document = make_report(order, store=store(), report=CallbackReport(show))
        bar.progress(1.0, "Writing the files …")
        return _Made(order, report_html(document), report_zip(document))
    finally:
        bar.empty()


def _show(made: _Made, order: ReportOrder) -> None:
    name = safe_name(f"{made.order.title or made.order.model}.report", "html").removesuffix(".html")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            f"HTML, {bytes_text(len(made.page))}",
            made.page,
            f"{name}.html",
            "text/html",
            type="primary",
            on_click="ignore",
            icon=":material/download:",
            help="One file; opens anywhere, also offline. It holds no script and asks nothing of the network.",
        )
        st.download_button(
            f"Markdown and pictures, {bytes_text(len(made.archive))}",
            made.archive,
            f"{name}.zip",
            "application/zip",
            on_click="ignore",
            icon=":material/folder_zip:",
        )
        if made.order != order:
            st.caption(":orange[:material/update:] You changed what goes in: make it again.")
    with st.container(border=True):
        st.iframe(made.page.decode(), height=PREVIEW_HEIGHT)

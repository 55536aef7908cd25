"""The Report page: the report's contents, and the saved views."""

from __future__ import annotations

import streamlit as st

from ui.page import user_errors
from ui.report.making import report_maker
from ui.session_panel import saved_views_panel

REPORT, VIEWS = "Report", "Saved views"
PARTS = (REPORT, VIEWS)


def report_page() -> None:
    """Everything below the page's title."""
    if st.session_state.get("part") not in PARTS:
        st.session_state["part"] = PARTS[0]  # at first, and from a bad URL
    part = st.segmented_control(
        "Show", PARTS, required=True, key="part", bind="query-params", label_visibility="collapsed", width="stretch"
    )
    with user_errors():
        if part == VIEWS:
            saved_views_panel()
        else:
            report_maker()

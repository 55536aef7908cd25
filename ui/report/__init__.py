"""The Report page: the report's contents, and the saved views."""

from __future__ import annotations

import streamlit as st

from ui.page import user_errors
from ui.session_panel import saved_views_panel

PARTS = ("Saved views",)


def report_page() -> None:
    """Everything below the page's title."""
    with user_errors():
        saved_views_panel()

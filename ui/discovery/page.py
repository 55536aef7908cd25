"""The Discovery page from top to bottom: the null, what was taken, and the looks."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ui.discovery.coverage import coverage, nothing_yet
from ui.discovery.table import filtered, load_table, pick_null
from ui.page import user_errors
from workflows.discovery_tables import SignatureTable

KEY = "look"


def _maps(table: SignatureTable) -> None:
    from ui.discovery.maps_view import maps_view

    maps_view(table)


def _similar(table: SignatureTable) -> None:
    from ui.discovery.similar_view import similar_view

    similar_view(table)


def _models(table: SignatureTable) -> None:
    from ui.discovery.models_view import models_view

    models_view(table)


def _odd(table: SignatureTable) -> None:
    from ui.discovery.odd_view import odd_view

    odd_view(table)


def _features(table: SignatureTable) -> None:
    from ui.discovery.features_view import features_view

    features_view(table)


def _shared() -> None:
    from ui.discovery.shared_patterns_view import shared_patterns_view

    shared_patterns_view()


def _findings() -> None:
    from ui.discovery.findings_view import findings_view

    findings_view()


def _library() -> None:
    from ui.discovery.library_view import library_view

    library_view()


SIGNATURE_LOOKS: dict[str, Callable[[SignatureTable], None]] = {
    "Maps": _maps,
    "Similar": _similar,
    "Models": _models,
    "Odd ones": _odd,
    "Features": _features,
}
"""Looks at signatures, by the name in the URL; each is given the filtered table."""

OTHER_LOOKS: dict[str, Callable[[], None]] = {"Shared patterns": _shared, "Findings": _findings, "Library": _library}
"""Looks that choose their models themselves."""


def discovery_page() -> None:
    """Everything below the page's title."""
    looks = [*SIGNATURE_LOOKS, *OTHER_LOOKS]
    if st.session_state.get(KEY, looks[0]) not in looks:
        st.session_state[KEY] = looks[0]  # from a bad URL
    chosen = st.segmented_control(
        "Look at",
        looks,
        default=looks[0],
        required=True,
        key=KEY,
        bind="query-params",
        label_visibility="collapsed",
        width="stretch",
    )
    with user_errors():
        if chosen in OTHER_LOOKS:
            OTHER_LOOKS[chosen]()
        else:
            _on_signatures(SIGNATURE_LOOKS[chosen])


def _on_signatures(look: Callable[[SignatureTable], None]) -> None:
    null_column, coverage_column = st.columns([1, 3], gap="large", vertical_alignment="bottom")
    with null_column:
        null = pick_null()
    with coverage_column:
        coverage(null)
    table = load_table(null)
    if not len(table.places):
        nothing_yet()
        return
    look(filtered(table))

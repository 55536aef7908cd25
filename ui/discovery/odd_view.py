"""Matrices that do not fit in with the others, and the features that set them apart."""

from __future__ import annotations

import numpy as np
import streamlit as st

from ui.discovery.tensor_card import tensor_card
from ui.export_panel import chart
from workflows.discovery_tables import SignatureTable

LEAST = 8
ODD = 0.001
"""p-value, after correction for many matrices, below which one is called odd; chosen by us."""


def odd_view(table: SignatureTable) -> None:
    """Distances and isolation as a picture, the oddest as a list with reasons."""
    from figures.discovery import oddness

    if len(table.places) < LEAST:
        st.info(f"{len(table.places)} matrices are left; this takes at least {LEAST}. Widen the filters.")
        return
    found = _anomalies(table.digest, table.standard)
    corrected = _corrected(found.p_values)
    is_odd = corrected < ODD if found.is_robust else np.zeros(len(corrected), bool)
    places = table.places[["model", "tensor", "role"]].assign(
        distance=found.distances, isolation=found.isolation, is_odd=is_odd
    )
    picture, words = st.columns([1.6, 1], gap="large")
    with picture:
        chart(oddness(places), name="odd-matrices", key="odd-chart")
    with words:
        if found.is_robust:
            st.metric("Odd matrices", f"{int(is_odd.sum()):,} of {len(places):,}", border=True)
            st.caption(
                f"Robust Mahalanobis distance over {found.num_dimensions} principal directions of the features, "
                f"p < {ODD:g} after Benjamini-Hochberg; the isolation forest's score is a second opinion."
            )
        else:
            st.metric("Matrices", f"{len(places):,}", border=True)
            st.caption(
                "Too few matrices for a robust estimate: the order below is worth a look, the distances are no test. "
                "Take signatures of more models, or widen the filters."
            )
    order = np.argsort(-found.distances)[:100]
    listed = places.iloc[order].drop(columns="is_odd").assign(why=[_reasons(found.reasons[place]) for place in order])
    event = st.dataframe(
        listed,
        hide_index=True,
        key="odd-table",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "distance": st.column_config.NumberColumn(format="%.1f"),
            "isolation": st.column_config.NumberColumn(format="%.2f"),
            "why": st.column_config.TextColumn(
                "what sets it apart", help="Feature, in robust standard deviations", width="large"
            ),
        },
    )
    if event.selection.rows:
        tensor_card(table, int(order[event.selection.rows[0]]), key="odd")
    else:
        st.caption("Choose a row to open its matrix.")


def _reasons(reasons: tuple) -> str:
    from engine.discovery.signature import FEATURES

    titles = [entry.title for entry in FEATURES.values()]
    return ", ".join(f"{titles[reason.feature]} {reason.z:+.1f}" for reason in reasons[:3] if reason.share > 0)


def _corrected(p_values: np.ndarray) -> np.ndarray:
    from scipy.stats import false_discovery_control

    return false_discovery_control(np.clip(p_values, 0, 1))


@st.cache_data(max_entries=8, show_spinner="Holding each matrix against all …")
def _anomalies(digest: str, _standard: np.ndarray):
    from engine.discovery.anomalies import anomalies

    return anomalies(_standard)

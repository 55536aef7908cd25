"""The table that all looks of the Discovery page share: loaded once, narrowed by filters that are in the URL."""

from __future__ import annotations

import numpy as np
import streamlit as st

from ui.page import store
from workflows.discovery_tables import SignatureTable, signature_table

NULL = "null"
"""Name of the null selector in the URL."""

FILTERS = {"Model": "model", "Family": "family", "Modality": "modality", "Role": "role"}


def pick_null() -> str:
    """The null that stands beside everything; its name."""
    from engine.discovery.nulls import NULLS

    titles = {null.title: null for null in NULLS.values()}
    if st.session_state.get(NULL) not in titles:
        st.session_state[NULL] = next(iter(titles))
    words = "\n".join(f"- **{null.title}** keeps {null.keeps}; forgets {null.forgets}." for null in NULLS.values())
    words = f"Noise made from the very matrices. What it shows as well is no finding.\n{words}"
    return titles[st.selectbox("Null beside it", list(titles), key=NULL, bind="query-params", help=words)].name


def load_table(null: str) -> SignatureTable:
    """Every signature, with its null; read anew when the database file changed."""
    path = store().path
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    return _table(str(path), stamp, null)


@st.cache_data(max_entries=8, show_spinner="Reading signatures …")
def _table(_path: str, stamp: int, null: str) -> SignatureTable:
    return signature_table(store(), null)


def filtered(table: SignatureTable) -> SignatureTable:
    """The table without what the person left out; every filter is a list in the URL, empty for all."""
    kept = np.ones(len(table.places), bool)
    with st.container(horizontal=True):
        for title, column in FILTERS.items():
            choices = sorted(table.places[column].unique())
            key = f"only_{column}"
            if not set(st.session_state.get(key) or []) <= set(choices):
                st.session_state.pop(key, None)
            if len(choices) < 2 and key not in st.session_state:
                continue
            chosen = st.multiselect(title, choices, key=key, bind="query-params", placeholder="all")
            if chosen:
                kept &= table.places[column].isin(chosen).to_numpy()
        layered = table.places["depth"].notna().any()
        if layered:
            low, high = _depth_slider()
            if (low, high) != (0, 100):
                depth = table.places["depth"].to_numpy() * 100
                kept &= (depth >= low) & (depth <= high)
    return table.where(kept)


def _depth_slider() -> tuple[int, int]:
    return st.slider("Depth in %", 0, 100, (0, 100), key="only_depth", bind="query-params")

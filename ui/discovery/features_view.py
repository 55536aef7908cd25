"""One feature over all matrices, by role, family or model, with the null of the same matrices beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from engine.discovery.signature import FEATURES, GROUPS
from ui.export_panel import chart
from ui.page import escape_markdown
from workflows.discovery_tables import SignatureTable

FEATURE, BY = "feature", "by"
BYS = ("role", "model", "family", "modality")
MOST_GROUPS = 40


def features_view(table: SignatureTable) -> None:
    """Choose a feature and what to group by; read its meaning, and see it beside its null."""
    from figures.discovery import feature_spread

    titles = {f"{GROUPS[entry.group]} · {entry.title}": place for place, entry in enumerate(FEATURES.values())}
    for key, choices in ((FEATURE, list(titles)), (BY, BYS)):
        if st.session_state.get(key) not in choices:
            st.session_state[key] = choices[0]
    feature_column, by_column = st.columns([2.5, 1])
    with feature_column:
        title = st.selectbox("Feature · type to search", list(titles), key=FEATURE, bind="query-params")
    with by_column:
        by = st.selectbox("By", BYS, key=BY, bind="query-params")
    place = titles[title]
    entry = list(FEATURES.values())[place]
    unchanged = ", ".join(sorted(entry.invariances)) or "nothing"
    st.caption(f"{escape_markdown(entry.description)} Unit: {entry.unit}. Unchanged by: {unchanged}.")
    kinds = [("weights", table.values[:, place])]
    if table.has_null.any():
        kinds.append(("null", table.nulls[:, place]))
    shown = pd.concat(
        [
            table.places[["model", "tensor", by] if by != "model" else ["model", "tensor"]].assign(
                value=values, kind=kind
            )
            for kind, values in kinds
        ],
        ignore_index=True,
    )
    shown = shown[np.isfinite(shown["value"].astype(float))]
    if not len(shown):
        st.info("This feature is undefined for all these matrices.")
        return
    kept = shown[by].value_counts().index[:MOST_GROUPS]
    chart(
        feature_spread(shown[shown[by].isin(kept)], entry.name, entry.title, by), name=entry.name, key="feature-chart"
    )
    if len(kinds) == 1:
        st.caption("No nulls of these matrices were taken yet: **Take nulls** above puts them beside.")

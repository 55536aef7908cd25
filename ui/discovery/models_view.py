"""Models as wholes: who resembles whom, as a matrix, a tree, and a taxonomy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from ui.discovery.table import load_table
from ui.export_panel import chart
from ui.page import store


def models_view() -> None:
    """Similarity matrix in the order of the dendrogram, the dendrogram, and models by family and modality."""
    from engine.discovery.clusters import dendrogram_linkage, similarity_matrix
    from figures.discovery import dendrogram, similarity_map

    table = store().model_signatures()
    names = table.places["model"].tolist()
    if len(names) < 2:
        st.info("A comparison takes signatures of at least two models.", icon=":material/fingerprint:")
        return
    standard = table.standard.astype(np.float64)
    cosines, linkage = similarity_matrix(standard), dendrogram_linkage(standard)
    order = _leaf_order(linkage)
    matrix_column, tree_column = st.columns([1.2, 1], gap="large")
    with matrix_column:
        st.subheader("How alike", anchor=False)
        chart(similarity_map(cosines, names, order), name="model-similarity", key="model-similarity")
    with tree_column:
        st.subheader("Who joins whom", anchor=False)
        chart(dendrogram(linkage, names), name="model-dendrogram", key="model-dendrogram")
    st.caption(
        "Cosine of the models' signatures: level and course over depth of each feature, for each kind of matrix. It is "
        "defined whatever the number of layers. Alike in form does not mean related: see “Shared patterns” for that."
    )
    st.subheader("By family and modality", anchor=False)
    places = load_table(st.session_state.get("null_name", "row_column_gaussian")).places
    groups = places.groupby(["modality", "family", "model"], as_index=False).agg(
        matrices=("tensor", "size"), layers=("layer", _num_layers)
    )
    st.dataframe(groups, hide_index=True)


def _num_layers(layers: pd.Series) -> int:
    return int(layers.nunique())


def _leaf_order(linkage: np.ndarray) -> list[int]:
    from scipy.cluster.hierarchy import leaves_list

    return [int(leaf) for leaf in leaves_list(linkage)]

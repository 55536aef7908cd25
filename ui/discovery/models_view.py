"""Models as wholes: who resembles whom, as a matrix beside that of their nulls, a tree, and a taxonomy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from ui.export_panel import chart
from ui.page import store
from workflows.discovery_tables import SignatureTable, null_model_signatures


def models_view(table: SignatureTable) -> None:
    """Similarity matrix in the order of the dendrogram, the same of nulls, the dendrogram, and the taxonomy."""
    from engine.discovery.clusters import dendrogram_linkage, similarity_matrix
    from figures.discovery import dendrogram, similarity_map

    found = store().model_signatures()
    kept = found.places["model"].isin(set(table.places["model"])).to_numpy()
    names = found.places["model"][kept].tolist()
    if len(names) < 2:
        st.info("A comparison takes signatures of at least two models.", icon=":material/fingerprint:")
        return
    standard = found.standard[kept].astype(np.float64)
    linkage = dendrogram_linkage(standard)
    order = _leaf_order(linkage)
    tree_column, matrix_column, null_column = st.columns([1.1, 1, 1], gap="medium")
    with tree_column:
        st.markdown("**Who joins whom**")
        chart(dendrogram(linkage, names), name="model-dendrogram", key="model-dendrogram")
    with matrix_column:
        st.markdown("**How alike they are**")
        chart(
            similarity_map(similarity_matrix(standard), names, order), name="model-similarity", key="model-similarity"
        )
    with null_column:
        st.markdown("**How alike their nulls are**")
        with_null, nulls = null_model_signatures(store(), table)
        if len(with_null) < 2:
            st.caption("Nulls of at least two models are needed: **Take nulls** above makes them.")
        else:
            names = [name for name in names if name in with_null]
            rows = nulls[[with_null.index(name) for name in names]].astype(np.float64)
            chart(similarity_map(similarity_matrix(rows), names), name="null-similarity", key="null-similarity")
    st.caption(
        "Cosine of the models' signatures: level and course over depth of each feature, for each kind of matrix, in "
        "standard units; defined whatever the number of layers. Alike in form does not mean related: the look “Shared "
        "patterns” asks for that. What nulls show as well comes from shapes and norms alone."
    )
    st.markdown("**By family and modality**")
    st.dataframe(
        table.places.groupby(["modality", "family", "model"], as_index=False).agg(
            matrices=("tensor", "size"), layers=("layer", _num_layers)
        ),
        hide_index=True,
    )


def _num_layers(layers: pd.Series) -> int:
    return int(layers.nunique())


def _leaf_order(linkage: np.ndarray) -> list[int]:
    from scipy.cluster.hierarchy import leaves_list

    return [int(leaf) for leaf in leaves_list(linkage)]

"""Which layers and models resemble a chosen one, over everything that was ever measured."""

from __future__ import annotations

import streamlit as st

from storage.neighbours import Among
from ui.discovery.tensor_card import neighbour_table, row_of, tensor_card
from ui.page import store
from workflows.discovery_tables import SignatureTable

MODEL, TENSOR, MODELS, ROLES, COUNT = "of_model", "of_tensor", "in_models", "in_roles", "how_many"

IN_MODELS = {"other models": "other", "all models": "any", "the same model": "same"}
IN_ROLES = {"any role": "any", "the same role": "same", "other roles": "other"}


def similar_view(table: SignatureTable) -> None:
    """Choose a matrix; see what is unusual about it and its neighbours."""
    models = list(dict.fromkeys(table.places["model"]))
    if not models:
        st.info("No matrix is left. Widen the filters.")
        return
    model_column, tensor_column, among_column, role_column = st.columns([1.2, 2.4, 1, 1])
    with model_column:
        model = _pick("Model", models, MODEL)
    with tensor_column:
        tensor = _pick("Matrix", table.places.loc[table.places["model"] == model, "tensor"].tolist(), TENSOR)
    with among_column:
        in_models = IN_MODELS[_pick("Look in", list(IN_MODELS), MODELS)]
    with role_column:
        in_roles = IN_ROLES[_pick("Among", list(IN_ROLES), ROLES)]
    place = row_of(table, model, tensor)
    if place is not None:
        tensor_card(table, place, key="similar", with_neighbours=False)
    layers, whole = st.columns([1.5, 1], gap="large")
    with layers:
        st.subheader("Similar matrices", anchor=False)
        neighbour_table(store().similar_tensors(model, tensor, Among(30, in_models, in_roles)), key="similar-layers")
    with whole:
        st.subheader("Similar models", anchor=False)
        found = store().similar_models(model)
        if not len(found):
            st.caption("No other model has a signature yet.")
        else:
            st.dataframe(
                found,
                hide_index=True,
                column_config={
                    "similarity": st.column_config.ProgressColumn(min_value=-1.0, max_value=1.0, format="%.3f"),
                    "common": st.column_config.NumberColumn(
                        "compared", format="percent", help="Share of all numbers that both models have"
                    ),
                },
            )
    st.caption(
        "Cosine of signatures in standard units. It finds likeness of form, which models "
        "of one kind have in common; whether *weights* are shared is the question of the look “Shared patterns”."
    )


def _pick(label: str, choices: list[str], key: str) -> str:
    if st.session_state.get(key) not in choices:
        st.session_state[key] = choices[0]
    return st.selectbox(label, choices, key=key, bind="query-params")

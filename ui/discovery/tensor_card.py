"""One matrix among all: what is unusual about it, what resembles it, and the ways to look at it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from storage.neighbours import Among
from ui.page import escape_markdown, store
from workflows.discovery_tables import SignatureTable, unusual
from workflows.locations import locations

NUM_NEIGHBOURS = 8


def tensor_card(table: SignatureTable, place: int, *, key: str, with_neighbours: bool = True) -> None:
    """A card on row `place` of the table, with links to the pages that show its weights, and what resembles it."""
    row = table.places.iloc[place]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escape_markdown(row['tensor'])}** · {escape_markdown(row['model'])} · {row['role']}")
            st.space("stretch")
            tensor_links(row["model"], row["tensor"], key=key)
        odd_column, near_column = (
            st.columns([1, 1.1], gap="large") if with_neighbours else (st.container(), st.container())
        )
        with odd_column:
            st.caption("In what it differs most from the typical matrix of all that were measured")
            st.dataframe(
                unusual(table.values[place], table.standard[place]),
                hide_index=True,
                height=248,
                column_config={
                    "value": st.column_config.NumberColumn(format="%.4g"),
                    "units from typical": st.column_config.NumberColumn(format="%+.1f"),
                },
            )
        if not with_neighbours:
            return
        with near_column:
            st.caption("What resembles it most, over everything that was ever measured")
            near = store().similar_tensors(row["model"], row["tensor"], Among(NUM_NEIGHBOURS, model="any"))
            neighbour_table(near, key=f"{key}-near", height=248)


def neighbour_table(found: pd.DataFrame, *, key: str, height: int | str = "auto") -> None:
    """Similar matrices with their cosine; choosing a row leads to its weights."""
    if not len(found):
        st.caption("Nothing else was measured, or this matrix is typical in everything.")
        return
    shown = found[["model", "tensor", "similarity"]]
    event = st.dataframe(
        shown,
        hide_index=True,
        height=height,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "similarity": st.column_config.ProgressColumn(min_value=-1.0, max_value=1.0, format="%.3f"),
        },
    )
    if event.selection.rows:
        row = found.iloc[event.selection.rows[0]]
        tensor_links(row["model"], row["tensor"], key=f"{key}-go")


def tensor_links(model: str, tensor: str, *, key: str) -> None:
    """Buttons to the pages that show a tensor's weights; none where its file is no longer known."""
    location = location_name(model)
    if location is None:
        st.caption("Its file is not in the library any more.")
        return
    for label, page, icon in (
        ("Heatmap", "pages/3_Heatmap.py", ":material/grid_on:"),
        ("3D", "pages/4_3D_Weights.py", ":material/view_in_ar:"),
    ):
        if st.button(label, icon=icon, key=f"{key}-{label}"):
            st.switch_page(page, query_params={"model": location, "tensor": tensor})


def location_name(model: str) -> str | None:
    """What the library calls a measured model; None where no place of it is known."""
    summary = store().model(model)
    known = locations(store())
    return next((each.name for each in known if summary and each.content_hash == summary.content_hash), None)


def row_of(table: SignatureTable, model: str, tensor: str) -> int | None:
    """The row of a matrix in the table; None if it is not there."""
    rows = np.flatnonzero((table.places["model"] == model) & (table.places["tensor"] == tensor))
    return int(rows[0]) if len(rows) else None

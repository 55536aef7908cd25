"""Maps of signatures: the map, the null's map beside it, groups held against noise, and the matrix that was clicked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from engine.discovery.projections import METHODS, NEIGHBOURS
from ui.discovery.tensor_card import tensor_card
from ui.export_panel import chart
from ui.page import escape_markdown
from workflows.discovery_tables import SignatureTable

METHOD, COLOUR, GROUPS, NUMBER = "map", "colour", "groups", "number"

COLOURS = {
    "role": "role",
    "model": "model",
    "family": "family",
    "modality": "modality",
    "depth": "depth",
    "group": "group",
}

LEAST = 4
CLUSTERINGS = ("none", "k-means", "HDBSCAN", "agglomerative")
WORDS = {
    "PCA": "linear: large distances mean something",
    "UMAP": "keeps neighbours: sizes of groups and the distances between them mean nothing",
    "t-SNE": "keeps neighbours: sizes of groups and the distances between them mean nothing",
}


def maps_view(table: SignatureTable) -> None:
    """The whole look, on the filtered table."""
    if len(table.places) < LEAST:
        st.info(f"{len(table.places)} matrices are left; a map takes at least {LEAST}. Widen the filters.")
        return
    method, colour, grouping, number = _controls(table)
    digest = table.digest
    groups = _groups(digest, grouping, number, table.standard) if grouping != "none" else None
    labels = _labels(table, colour, groups)
    map_column, null_column = st.columns(2, gap="medium")
    with map_column:
        place = _draw_map(table, digest, method, labels, colour)
    with null_column:
        _draw_null(table, digest, method)
    st.caption(
        f"{method}: {WORDS[method]}. Every map shows groups, also of noise: **what both maps show is no finding**."
    )
    if groups is not None:
        _say_groups(table, groups)
    if place is not None:
        tensor_card(table, place, key="map")
    else:
        st.caption("Click a point to see what is unusual about its matrix, what resembles it, and to open it.")


def _controls(table: SignatureTable) -> tuple[str, str, str, int]:
    features = _feature_titles()
    colours = [name for name, column in COLOURS.items() if column == "group" or table.places[column].nunique() > 1]
    for key, choices in ((METHOD, METHODS), (COLOUR, [*colours, *features]), (GROUPS, CLUSTERINGS)):
        if st.session_state.get(key) not in choices:
            st.session_state[key] = choices[0]
    method_column, colour_column, group_column, number_column = st.columns([1.4, 1.4, 1.2, 1])
    with method_column:
        method = st.segmented_control("Map", METHODS, key=METHOD, required=True, bind="query-params")
    with colour_column:
        colour = st.selectbox("Colour", [*colours, *features], key=COLOUR, bind="query-params")
    with group_column:
        grouping = st.selectbox("Groups", CLUSTERINGS, key=GROUPS, bind="query-params")
    number = 0
    if grouping in ("k-means", "agglomerative"):
        with number_column:
            choices = ["best", *map(str, range(2, min(13, len(table.places))))]
            if st.session_state.get(NUMBER) not in choices:
                st.session_state[NUMBER] = "best"
            asked = st.selectbox("How many", choices, key=NUMBER, bind="query-params")
            number = 0 if asked == "best" else int(asked)
    return method, colour, grouping, number


def _draw_map(table: SignatureTable, digest: str, method: str, labels: pd.DataFrame, colour: str) -> int | None:
    from figures.discovery import signature_map

    found = _projection(digest, method, table.standard)
    picture = signature_map(
        found.points, labels, colour, title=f"{len(labels):,} matrices of weights", explained=found.explained
    )
    event = st.altair_chart(picture, width="stretch", key="map-chart", on_select="rerun", selection_mode="picked")
    _trust(found)
    picked = (event.selection or {}).get("picked") or []
    places = [int(each["id"]) for each in picked if "id" in each]
    return places[-1] if places and places[-1] < len(table.places) else None


def _draw_null(table: SignatureTable, digest: str, method: str) -> None:
    from engine.discovery.nulls import NULLS
    from engine.discovery.projections import same_covariance_null
    from figures.discovery import null_map

    has_null = table.has_null
    if has_null.sum() >= LEAST:
        standard, title = table.null_standard[has_null], f"{NULLS[table.null].title} nulls"
        if not has_null.all():
            title += f" ({int(has_null.sum()):,} of {len(has_null):,})"
    else:
        standard, title = (
            same_covariance_null(table.standard).astype(np.float32),
            "a Gaussian cloud of the same covariance",
        )
    found = _projection(f"{digest} null {title}", method, standard)
    chart(null_map(found.points, title=title, explained=found.explained), name="null-map", key="null-chart")
    _trust(found)
    if has_null.sum() < LEAST:
        st.caption("No nulls of these matrices were taken yet: **Take nulls** above replaces the cloud by real ones.")


def _trust(found) -> None:
    words = f"Trustworthiness {found.trustworthiness:.2f} (1: neighbours here are neighbours; 0.5: a random layout)"
    if found.num_judged < len(found.points):
        words += f", estimated from {found.num_judged:,} points"
    st.caption(f"{words}; over {NEIGHBOURS} neighbours.")


def _say_groups(table: SignatureTable, groups) -> None:
    """The groups in words, against those of noise."""
    if groups.num_groups < 2:
        st.markdown(f":material/scatter_plot: {groups.method} finds no groups here.")
        return
    nulls = np.nan_to_num(groups.null_silhouettes, nan=0.0)
    is_finding = groups.p_value <= 0.05
    verdict = "more clearly apart than in any cloud of noise" if is_finding else "**no clearer than what noise gives**"
    noise = int((groups.labels < 0).sum())
    st.markdown(
        f":material/{'check_circle' if is_finding else 'help'}: {groups.method} makes **{groups.num_groups} groups** "
        f"with a silhouette of **{groups.silhouette:.2f}**; {len(nulls)} clouds of the same covariance give "
        f"{nulls.min():.2f} to {nulls.max():.2f} (p = {groups.p_value:.2f}): {verdict}."
        + (f" {noise:,} matrices belong to no group." if noise else "")
    )
    names = pd.Series([_group_name(label) for label in groups.labels], name="group")
    made = pd.crosstab(names, table.places["role"])
    with st.expander("What the groups hold", icon=":material/table:"):
        st.dataframe(made)


def _labels(table: SignatureTable, colour: str, groups) -> pd.DataFrame:
    places = table.places
    labels = pd.DataFrame(
        {
            "id": range(len(places)),
            "model": places["model"],
            "tensor": places["tensor"],
            "role": places["role"],
        }
    )
    features = _feature_titles()
    if colour == "group":
        labels["group"] = [_group_name(each) for each in groups.labels] if groups is not None else "choose groups"
    elif colour in features:
        labels[colour] = table.values[:, features.index(colour)]
    elif COLOURS[colour] not in labels:
        labels[colour] = places[COLOURS[colour]]
    return labels


def _group_name(label: int) -> str:
    return "no group" if label < 0 else f"group {label + 1}"


def _feature_titles() -> list[str]:
    from engine.discovery.signature import FEATURES

    return [escape_markdown(entry.title) for entry in FEATURES.values()]


@st.cache_data(max_entries=24, show_spinner="Laying the map out … (the first UMAP of an app compiles for a while)")
def _projection(digest: str, method: str, _standard: np.ndarray):
    from engine.discovery.projections import project

    return project(_standard, method)


@st.cache_data(max_entries=24, show_spinner="Grouping, and grouping noise …")
def _groups(digest: str, method: str, number: int, _standard: np.ndarray):
    from engine.discovery.clusters import cluster

    return cluster(_standard, method, number)

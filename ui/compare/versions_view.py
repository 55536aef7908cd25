"""Versions of one model over time: how far each role moved from the first."""

from __future__ import annotations

import streamlit as st

from engine.compare.comparison import MEASURES
from figures.comparison import change_lines
from storage.records import Location
from ui.compare.changes import RANKED
from ui.export_panel import chart
from ui.job_panel import job_of, job_panel, start_job
from ui.page import show_late_error, store
from ui.selection import open_location
from workflows.library import locations
from workflows.training_films import CHANGE, changes_by_step, run_of
from workflows.versions import Version, versions


def versions_view(current: Location) -> None:
    """Pick versions in order; the ones not compared with the first yet have a button, the others are lines."""
    show_late_error()
    _history(current)
    found = _versions(current)
    if len(found) < 2:
        st.info(
            "No other version of this model is here. Versions are checkpoints with the same tensors: folders named "
            "checkpoint-100, step_200 … side by side, revisions in the hub cache, or models you added.",
            icon=":material/history:",
        )
        return
    labels = {version.label: version for version in found}
    if not set(st.session_state.get("versions") or []) <= set(labels):
        st.session_state.pop("versions", None)  # from another model, or a bad URL
    chosen = st.multiselect(
        "Versions, in order of time; the first is what the others are compared with",
        list(labels),
        default=list(labels),
        key="versions",
        bind="query-params",
    )
    if len(chosen) < 2:
        st.caption("Choose at least two.")
        return
    first, *later = (labels[label] for label in chosen)
    compared, missing = [], []
    for version in later:
        hashes = first.location.content_hash, version.location.content_hash
        stored = store().comparison(*hashes) if all(hashes) else None
        if stored is None:
            missing.append(version)
        else:
            compared.append((version.label, store().comparison_stats(*hashes)))
    _missing(first, missing)
    if compared:
        _lines(first, compared)


def _history(current: Location) -> None:
    """Of a model that was trained here: how far each role was from its beginning, checkpoint by checkpoint."""
    run = run_of(store(), current)
    changes = changes_by_step(store(), run) if run else []
    if not changes:
        return
    st.markdown("**While it was trained**")
    chart(change_lines(changes, CHANGE, "‖W − W₀‖ / ‖W₀‖"), "training", key="training-chart")
    st.caption(
        f"How far the weights of each role were from those before training at {len(changes)} checkpoints, also those "
        "whose files are gone."
    )


@st.cache_data(max_entries=16, ttl=30, show_spinner="Looking for versions …")
def _found(uri: str, known: tuple[str, ...], _current: Location) -> list[Version]:
    import engine.sources

    return versions(_current, locations(store()), engine.sources.open)


def _versions(current: Location) -> list[Version]:
    open_location(current)  # says so if it cannot be read
    known = tuple(f"{location.uri} {location.content_hash}" for location in locations(store()))
    return _found(current.uri, known, current)


def _missing(first: Version, missing: list[Version]) -> None:
    waiting = []
    for version in missing:
        job = job_of("compare", a=first.location.uri, b=version.location.uri)
        if job is not None and job.is_active:
            job_panel(job, key=f"version-{version.label}")
        else:
            waiting.append(version)
    if not waiting:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        names = ", ".join(version.label for version in waiting[:4]) + (" …" if len(waiting) > 4 else "")
        st.text(f"Not compared with {first.label} yet: {names}")
        st.space("stretch")
        st.button(
            "Compare them", key="compare-versions", icon=":material/difference:", on_click=_start, args=(first, waiting)
        )


def _start(first: Version, others: list[Version]) -> None:
    for version in others:
        names = {"name_a": first.location.name, "name_b": version.location.name}
        start_job("compare", {"a": first.location.uri, "b": version.location.uri, **names})


def _lines(first: Version, compared: list) -> None:
    titles = {MEASURES[name][0]: name for name in RANKED}
    if st.session_state.get("change") not in titles:
        st.session_state["change"] = next(iter(titles))
    title = st.selectbox("Measure", list(titles), key="change", bind="query-params", width=340)
    st.caption(f"Mean over the weight tensors of each role, weighted by their entries, against **{first.label}**.")
    chart(change_lines(compared, titles[title], title), "versions", key="versions-chart")

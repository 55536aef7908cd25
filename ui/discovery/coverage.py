"""Of which models signatures were taken, and the way to take those that are missing."""

from __future__ import annotations

import streamlit as st

from storage.records import Location
from ui.job_panel import job_panel, jobs, start_job
from ui.page import show_late_error, store
from workflows.deployment import is_public
from workflows.library import locations
from workflows.wording import bytes_text

MOST_SHOWN = 4


def coverage(null: str) -> None:
    """One line on what was taken, the jobs at work, and two buttons to take more."""
    show_late_error()
    known = {location.name: location for location in locations(store())}
    with_signature, with_null = store().models_with_signatures(), store().models_with_null(null)
    working = [job for job in jobs().active() if job.kind == "signatures"]
    for job in working[:MOST_SHOWN]:
        job_panel(job, key="coverage")
    if len(working) > MOST_SHOWN:
        st.caption(f"{len(working) - MOST_SHOWN} more wait for their turn.")
    busy = {(job.arguments["model"], job.arguments["null"]) for job in working}
    named = {name: _model_name(location) for name, location in known.items()}
    without = [name for name in known if named[name] not in with_signature and (known[name].uri, "") not in busy]
    plain = [
        name
        for name in known
        if named[name] in with_signature and named[name] not in with_null and (known[name].uri, null) not in busy
    ]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Signatures of **{len(with_signature)}** models, nulls of this kind of **{len(with_null)}**.")
        st.space("stretch")
        if is_public():
            return
        if without:
            with st.popover(f"Take signatures ({len(without)})", icon=":material/fingerprint:"):
                _offer(without, known, "")
        if plain:
            with st.popover(f"Take nulls ({len(plain)})", icon=":material/grain:"):
                st.caption("One null of every matrix, measured just as the weights are.")
                _offer(plain, known, null)


def nothing_yet() -> None:
    """What to do when there is no signature at all."""
    st.info(
        "No signature was taken yet. A signature is 75 numbers that describe a matrix of weights: its distribution, "
        "spectrum, rows and columns, heads, order and outliers. With them, layers and models can be laid out, grouped "
        "and searched. **Take signatures** above; the bundled models take a few seconds each.",
        icon=":material/fingerprint:",
    )


def _offer(names: list[str], known: dict[str, Location], null: str) -> None:
    chosen = st.multiselect("Models", names, default=names[:12], key=f"take-{null or 'signatures'}")
    size = sum(known[name].num_bytes for name in chosen)
    st.caption(f"Reads {bytes_text(size)} as {len(chosen)} jobs; what was not measured yet is measured first.")
    st.button(
        "Start",
        type="primary",
        key=f"start-{null or 'signatures'}",
        disabled=not chosen,
        on_click=_start_all,
        args=([known[name] for name in chosen], null),
    )


def _start_all(chosen: list[Location], null: str) -> None:
    for location in chosen:
        start_job("signatures", {"model": location.uri, "name": location.name, "null": null})


def _model_name(location: Location) -> str | None:
    """What the database calls the measured content of a location."""
    found = store().model(location.content_hash) if location.content_hash else None
    return found.name if found else None

"""Batches: many models measured unattended, and how it went."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from storage.batches import BatchRecord
from ui.job_panel import job_panel, jobs, start_job
from ui.page import escape_markdown, store, tried
from workflows.batch import STEPS, USUAL
from workflows.deployment import is_public
from workflows.library import locations
from workflows.wording import bytes_text, duration_text

STATE_ICONS = {"done": "✓", "partly": "◐", "failed": "✗", "waiting": "…"}


def batches_view() -> None:
    """The batches at work, the box that starts one, and the summaries of those that were run."""
    working = [job for job in jobs().all() if job.kind == "batch"]
    for job in [job for job in working if job.is_active or job.is_resumable][:3]:
        job_panel(job, key="batch")
    if not is_public():
        with st.expander("Measure many models", icon=":material/playlist_play:", expanded=not store().batches()):
            _new_batch()
    records = store().batches()
    if not records:
        st.caption("No batch was run yet.")
    for record in records[:10]:
        _batch(record)


def _new_batch() -> None:
    known = {location.name: location for location in locations(store())}
    what_column, steps_column = st.columns([1.4, 1], gap="large")
    with what_column:
        chosen = st.multiselect("Models here", list(known), key="batch-models")
        folder = st.text_input(
            "Folder or list",
            key="batch-folder",
            placeholder="A folder with checkpoints, or a .txt with one in each line",
        )
        tier = st.segmented_control("Tier of the catalogue", ["none", "1", "2", "3"], default="none", key="batch-tier")
        is_local = st.toggle("Only what is here already", value=True, key="batch-local", disabled=tier == "none")
    with steps_column:
        labels = {STEPS[step]: step for step in STEPS if step != "measure"}
        usual = [label for label, step in labels.items() if step in USUAL]
        steps = st.pills("And then", list(labels), selection_mode="multi", default=usual, key="batch-steps")
        st.caption("Statistics always come first. A model that fails becomes a line in the summary, the others go on.")
    what = [known[name].uri for name in chosen] + ([folder.strip()] if folder.strip() else [])
    asked = {
        "what": what,
        "tier": 0 if tier in (None, "none") else int(tier),
        "steps": ["measure", *(labels[label] for label in steps)],
        "is_local": is_local,
    }
    size = sum(known[name].num_bytes for name in chosen)
    with st.container(horizontal=True, vertical_alignment="center"):
        is_empty = not what and not asked["tier"]
        st.button(
            "Start", key="batch-start", type="primary", disabled=is_empty, on_click=start_job, args=("batch", asked)
        )
        if chosen:
            st.caption(f"{len(chosen):,} models, {bytes_text(size)}.")


def start_batch_button(what: list[str], steps: list[str], label: str) -> None:
    """A button that measures a model as a batch of its own; the batch in hand instead, while there is one."""
    asked = {"what": what, "tier": 0, "steps": steps, "is_local": True}
    busy = [job for job in jobs().active() if job.kind == "batch"]
    for job in busy[:1]:
        job_panel(job, key="match-batch")
    st.button(
        label,
        key="match-measure",
        icon=":material/play_arrow:",
        disabled=bool(busy),
        on_click=start_job,
        args=("batch", asked),
    )


def _batch(record: BatchRecord) -> None:
    states = [model.state for model in record.models]
    counts = ", ".join(f"{states.count(state):,} {state}" for state in STATE_ICONS if state in states)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escape_markdown(record.title)}**")
            st.badge(
                "finished" if record.is_finished else "unfinished", color="green" if record.is_finished else "orange"
            )
            st.caption(f"{record.started_at:%Y-%m-%d %H:%M} UTC · {counts} · {duration_text(record.elapsed_s)}")
            st.space("stretch")
            if not is_public():
                forget = (store().delete_batch, record.run)
                st.button("Forget", key=f"forget-{record.run}", icon=":material/close:", on_click=tried, args=forget)
        from figures.pattern_library import batch_strip

        steps = record.settings.get("steps", list(STEPS))
        st.altair_chart(batch_strip(_steps_done(record, steps), steps), key=f"strip-{record.run}")
        table = pd.DataFrame(
            {
                "": [STATE_ICONS.get(model.state, "") for model in record.models],
                "model": [model.name for model in record.models],
                "found": [model.words for model in record.models],
                "took": [duration_text(model.elapsed_s) for model in record.models],
            }
        )
        st.dataframe(
            table,
            hide_index=True,
            height=min(35 * len(table) + 38, 320),
            key=f"table-{record.run}",
            column_config={
                "": st.column_config.TextColumn(width=36),
                "found": st.column_config.TextColumn(width="large"),
            },
        )


def _steps_done(record: BatchRecord, steps: list[str]) -> pd.DataFrame:
    rows = [
        {
            "model": model.name,
            "step": step,
            "state": "done" if step in model.done else "waiting" if model.state == "waiting" else "failed",
        }
        for model in record.models
        for step in steps
    ]
    return pd.DataFrame(rows)

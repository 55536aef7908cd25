"""What was found of one model: which weights were never trained, and what that and the rest suggest for compression."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from engine.naming import role_title
from storage.forensics import ModelForensics, TensorForensics
from storage.records import Location
from ui.discovery.finding_job import job, offer, show_tensor
from ui.discovery.keeping import keep_control
from ui.discovery.suggestions_view import suggestions_view
from ui.export_panel import chart
from ui.page import escape_markdown, show_late_error, store
from ui.selection import pick_model
from workflows import library

KEY = "finding"
NEVER, IDEAS = "Never trained", "Suggestions"


def findings_view() -> None:
    """The choice of the model and of the look, and that look."""
    model_column, look_column = st.columns([1, 2.4], gap="large", vertical_alignment="bottom")
    with model_column:
        location = pick_model()
    if location is None:
        return
    if st.session_state.get(KEY, NEVER) not in (NEVER, IDEAS):
        st.session_state[KEY] = NEVER  # from a bad URL
    with look_column:
        look = st.segmented_control(
            "Findings",
            [NEVER, IDEAS],
            default=NEVER,
            required=True,
            key=KEY,
            bind="query-params",
            label_visibility="collapsed",
        )
    show_late_error()
    content_hash = location.content_hash if library.status(location) == "measured" else None
    if look == NEVER:
        _never_trained(location, content_hash)
    else:
        suggestions_view(location, content_hash)


def _never_trained(location: Location, content_hash: str | None) -> None:
    is_busy = job(location, "forensics")
    found = store().forensics(content_hash) if content_hash else None
    if found is None:
        if not is_busy:
            offer(
                location,
                "forensics",
                "**Which weights were never trained?**",
                "Training fills the whole mantissa. Rows whose weights all fit a shorter type were written from it and "
                "never updated since: unused tokens, positions beyond the training length, parts left out.",
                "Read the mantissas",
            )
        return
    _verdict(found)
    touched = [tensor for tensor in found.tensors if tensor.num_never]
    if found.is_upcast or not touched:
        return
    strips_column, groups_column = st.columns([1.5, 1], gap="large")
    with strips_column:
        _strips(touched)
    with groups_column:
        _token_groups(found)
    _table(location, content_hash, touched)


def _verdict(found: ModelForensics) -> None:
    rows = sum(tensor.num_never for tensor in found.tensors)
    vocabulary = next((t for t in found.tensors if t.role == "token_embedding"), None)
    facts = [
        ("Rows never updated", f"{rows:,}" if not found.is_upcast else "cannot be told"),
        ("Vocabulary never updated", f"{vocabulary.num_never / vocabulary.num_rows:.1%}" if vocabulary else "–"),
        ("Trained on at most", f"{found.training_length:,} tokens" if found.training_length else "not told"),
    ]
    for (label, value), column in zip(facts, st.columns(3), strict=True):
        column.metric(label, value if not found.is_upcast or label != "Vocabulary never updated" else "–", border=True)
    for sentence in found.sentences:
        st.markdown(f"- {escape_markdown(sentence)}")


def _strips(touched: list[TensorForensics]) -> None:
    from figures.suggestions import MOST_STRIPS, never_updated_strips

    ordered = sorted(touched, key=lambda tensor: -tensor.num_rows)
    st.markdown("**Which rows**")
    strips = [(tensor.tensor, tensor.num_rows, tensor.starts, tensor.stops) for tensor in ordered]
    chart(never_updated_strips(strips), name="never-updated-rows", key="never-updated-rows")
    if len(ordered) > MOST_STRIPS:
        st.caption(f"The {MOST_STRIPS} tensors with the most rows; {len(ordered) - MOST_STRIPS:,} more are below.")


def _token_groups(found: ModelForensics) -> None:
    if not found.token_groups:
        return
    from figures.suggestions import token_groups_chart

    st.markdown("**Which tokens**")
    groups = [(group.group, group.never, group.total, group.examples) for group in found.token_groups[:14]]
    chart(token_groups_chart(groups), name="never-updated-tokens", key="never-updated-tokens")
    with st.expander("Examples", icon=":material/list:"):
        for group in found.token_groups[:14]:
            examples = "  ".join(_code(example) for example in group.examples)
            st.markdown(f"{escape_markdown(group.group)}: {examples}")


def _code(text: str) -> str:
    """A token as code, whatever it holds."""
    return f"`` {text.replace('`', 'ˋ')} ``" if text.strip() else "` `"


def _table(location: Location, content_hash: str, touched: list[TensorForensics]) -> None:
    st.markdown("**Tensors with rows that were never updated**")
    table = pd.DataFrame(
        {
            "tensor": [tensor.tensor for tensor in touched],
            "role": [role_title(tensor.role) for tensor in touched],
            "rows": [tensor.num_rows for tensor in touched],
            "never updated": [tensor.num_never for tensor in touched],
            "share": [tensor.num_never / tensor.num_rows for tensor in touched],
            "since": [tensor.shorter for tensor in touched],
            "first": [tensor.starts[0] for tensor in touched],
            "undecided": [tensor.num_undecided for tensor in touched],
        }
    )
    event = st.dataframe(
        table,
        hide_index=True,
        key="forensics-table",
        height=min(35 * len(table) + 38, 320),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "share": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="percent"),
            **{name: st.column_config.NumberColumn(format="localized") for name in ("rows", "never updated", "first")},
        },
    )
    st.caption("Select a line to go to its first row, or to keep the finding in the library.")
    if event.selection.rows:
        tensor = touched[event.selection.rows[0]]
        with st.container(horizontal=True):
            if st.button("Show it on the Heatmap", icon=":material/grid_on:", key="forensics-show"):
                show_tensor(location, tensor.tensor, tensor.starts[0])
            keep_control(content_hash, "forensics", "never_updated", tensor.tensor, key="forensics-keep")

"""What changed, from the stored comparison: sentences, a map by layer and role, a ranked table."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from engine.compare.comparison import MEASURES
from figures.comparison import change_map
from storage.comparisons import ComparisonSummary
from ui.compare.lineage_view import lineage_box
from ui.compare.pair import Pair, current_hashes
from ui.job_panel import job_of, job_panel, start_job
from ui.page import escape_markdown, show_late_error, store
from ui.selection import choose_tensor
from workflows.wording import bytes_text

SHORT = {
    "relative_change": "‖Δ‖ / ‖A‖",
    "changed_fraction": "bits changed",
    "above_fraction": "beyond tolerance",
    "one_minus_cosine": "1 − cosine",
    "max_abs": "largest |Δ|",
    "flip_fraction": "sign flips",
    "effective_rank": "rank of Δ",
}
"""Headings that leave room for the numbers; the full titles are shown when one points at them."""

RANKED = tuple(SHORT)
"""Measures to rank by, in the order of the box; the first is shown at first."""


def changes(pair: Pair) -> None:
    """The stored comparison, or the button that makes it."""
    show_late_error()
    job = job_of("compare", a=pair.a.uri, b=pair.b.uri)
    is_busy = job is not None and job.is_active
    if job is not None and (is_busy or job.state in ("failed", "interrupted", "cancelled")):
        job_panel(job, key="compare")
    stored = stored_comparison(pair)
    if stored is None:
        if not is_busy:
            _offer(pair)
        return
    with st.container(border=True):
        st.markdown(f"#### {escape_markdown(stored.sentences[0])}")
        for sentence in stored.sentences[1:]:
            st.markdown(f"- {escape_markdown(sentence)}")
    lineage_box(pair)
    stats = store().comparison_stats(stored.hash_a, stored.hash_b)
    pairs = stats[stats["matched_by"].notna()]
    if pairs.empty:
        return
    measure = _measure()
    title = MEASURES[measure][0]
    if pairs[measure].notna().any():
        st.altair_chart(change_map(pairs, measure, title, is_dark=st.context.theme.type == "dark"))
        _ranking(pairs, measure)
    else:
        st.caption(f"{title} is undefined for every tensor here.")


def stored_comparison(pair: Pair) -> ComparisonSummary | None:
    """The comparison in the database that belongs to the files as they are now; None without one."""
    hashes = current_hashes(pair)
    return store().comparison(*hashes) if hashes else None


def _offer(pair: Pair) -> None:
    with st.container(border=True):
        st.markdown("**These two have not been compared yet.**")
        st.caption(
            f"Comparing reads both once ({bytes_text(pair.a.num_bytes + pair.b.num_bytes)}; what is not measured yet, "
            "twice) and stores which weights changed, by how much and where. It is a job: you may leave this page. "
            "**Side by side** works at once."
        )
        st.button(
            "Compare",
            key="compare",
            icon=":material/difference:",
            type="primary",
            on_click=start_job,
            args=(
                "compare",
                {"a": pair.a.uri, "b": pair.b.uri, "name_a": pair.a.name, "name_b": pair.b.name},
            ),
        )


def _measure() -> str:
    titles = {MEASURES[name][0]: name for name in RANKED}
    if st.session_state.get("change") not in titles:
        st.session_state["change"] = next(iter(titles))
    chosen = st.selectbox("Coloured and ranked by", list(titles), key="change", bind="query-params", width=340)
    return titles[chosen]


def _ranking(pairs: pd.DataFrame, measure: str) -> None:
    """The most changed tensors first; a click on a line shows them side by side."""
    ranked = pairs.sort_values(measure, ascending=False, na_position="last", kind="stable")
    shown = [measure, *(name for name in RANKED if name != measure)]
    st.caption("Select a line to see the tensor side by side.")
    st.dataframe(
        ranked[["tensor_a", *shown, "matched_by", "note"]],
        hide_index=True,
        key="ranking",
        height=min(35 * len(ranked) + 38, 420),
        column_config={
            "tensor_a": st.column_config.TextColumn("tensor", width="large"),
            "matched_by": st.column_config.TextColumn("matched by"),
            **{
                name: st.column_config.NumberColumn(SHORT[name], help=MEASURES[name][0], format="%.4g")
                for name in shown
            },
        },
        selection_mode="single-row",
        on_select=lambda: _show(ranked, st.session_state["ranking"]["selection"]["rows"]),
    )


def _show(ranked: pd.DataFrame, rows: list[int]) -> None:
    if rows:
        choose_tensor(ranked.iloc[rows[0]]["tensor_a"])
        st.session_state["show"] = "Side by side"

"""Whether B comes from A: the stored verdict with its grounds."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from storage.comparisons import LineageRecord
from ui.compare.pair import Pair, current_hashes
from ui.page import escape_markdown, store

BADGES = {
    "same weights": ("green", ":material/equal:"),
    "derived": ("green", ":material/account_tree:"),
    "same seed": ("orange", ":material/casino:"),
    "same architecture": ("blue", ":material/schema:"),
    "unrelated": ("gray", ":material/link_off:"),
    "unanswered": ("gray", ":material/help:"),
}


def lineage_box(pair: Pair) -> None:
    """The verdict on the pair's common origin; nothing before they are compared, which judges it too."""
    hashes = current_hashes(pair)
    found = store().lineage(*hashes) if hashes else None
    if found is None:
        return
    st.markdown("#### Does one come from the other?")
    _verdict(found)
    st.caption(
        "Two disjoint sets of tensors each match the hidden units of A to those of B; that both agree does not happen "
        "by chance. The test stands permuted units, noise, pruning and quantisation."
    )


def _verdict(found: LineageRecord) -> None:
    colour, icon = BADGES.get(found.verdict, ("gray", ":material/help:"))
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(found.verdict, color=colour, icon=icon)
            st.caption(
                f"p {_p(found.p_value)} · effect {_number(found.effect_size)} · agreement {_number(found.agreement)}"
            )
        st.markdown(escape_markdown(found.words))
        weak = found.evidence.get("not_evidence", {})
        if weak:
            with st.expander("What looks like evidence and is none", icon=":material/block:"):
                table = pd.DataFrame(
                    [(name, each.get("value"), each.get("unrelated", "")) for name, each in weak.items()],
                    columns=["likeness", "here", "unrelated models of one architecture"],
                )
                st.dataframe(
                    table, hide_index=True, column_config={"here": st.column_config.NumberColumn(format="%.3f")}
                )


def _p(value: float) -> str:
    if value != value:
        return "undefined"
    return "< 1e-300" if value < 1e-300 else f"= {value:.2g}"


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"

"""The page from top to bottom: the pair, what changed in words, where, and the weights themselves."""

from __future__ import annotations

import streamlit as st

from ui.compare.changes import changes
from ui.compare.pair import Pair, pick_pair
from ui.compare.side_by_side import side_by_side
from ui.compare.versions_view import versions_view
from ui.page import escape_markdown, user_errors

VIEWS = ("What changed", "Side by side", "Over versions")


def compare_page() -> None:
    """Everything below the page's title."""
    pair = pick_pair()
    if pair is None:
        return
    if st.session_state.get("show", VIEWS[0]) not in VIEWS:
        st.session_state["show"] = VIEWS[0]  # from a bad URL
    view = st.segmented_control(
        "Show",
        VIEWS,
        default=VIEWS[0],
        required=True,
        key="show",
        bind="query-params",
        label_visibility="collapsed",
        width="stretch",
    )
    if view != VIEWS[2]:
        _matched(pair)
    with user_errors():
        if view == VIEWS[0]:
            changes(pair)
        elif view == VIEWS[1]:
            side_by_side(pair)
        else:
            versions_view(pair.a)


def _matched(pair: Pair) -> None:
    """One line on how the tensors found each other."""
    matching = pair.matching
    words = [f"{len(matching.matches):,} tensors matched"]
    for names, who in ((matching.only_a, "A"), (matching.only_b, "B")):
        if names:
            words.append(f"{len(names):,} only in {who}")
    st.caption(" · ".join(words))
    unsure = [match for match in matching.matches if not match.is_sure]
    if matching.notes or unsure or matching.only_a or matching.only_b:
        with st.expander("How they were matched", icon=":material/join_inner:"):
            for note in matching.notes:
                st.markdown(f"- {escape_markdown(note)}")
            for match in unsure:
                st.markdown(f"- Uncertain: {escape_markdown(f'{match.name_a} with {match.name_b}')}.")
            for names, who in ((matching.only_a, "A"), (matching.only_b, "B")):
                if names:
                    st.markdown(f"**Only in {who}**")
                    st.dataframe({"tensor": list(names)}, hide_index=True, height=min(35 * len(names) + 38, 220))

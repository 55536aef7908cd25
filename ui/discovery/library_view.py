"""The library: findings that were kept, a model held against them, batches of models, and exchange with others."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from storage.pattern_library import KINDS, Pattern
from ui.discovery.batches_view import batches_view
from ui.discovery.exchange_view import exchange_view
from ui.discovery.keeping import KIND_LOOKS
from ui.discovery.match_view import match_view
from ui.export_panel import chart
from ui.page import escape_markdown, show_late_error, store, tried
from workflows.deployment import is_public

KEY, KIND = "library", "kind"
KEPT, MATCH, BATCH, EXCHANGE = "Kept", "A model against it", "Batches", "Exchange"
LOOKS = (KEPT, MATCH, BATCH, EXCHANGE)

MOST_CARDS = 20


def library_view() -> None:
    """The switch between the parts of the library, and the one that is chosen."""
    if st.session_state.get(KEY, KEPT) not in LOOKS:
        st.session_state[KEY] = KEPT  # from a bad URL
    look = st.segmented_control(
        "Library",
        LOOKS,
        default=KEPT,
        required=True,
        key=KEY,
        bind="query-params",
        label_visibility="collapsed",
    )
    show_late_error()
    {KEPT: _kept, MATCH: match_view, BATCH: batches_view, EXCHANGE: exchange_view}[look]()


def _kept() -> None:
    patterns = store().patterns()
    if not patterns:
        st.info(
            "Nothing is kept yet. **Keep** beside a finding, a suggestion or an odd matrix puts it here, with its "
            "settings and the identity of the model.",
            icon=":material/bookmark:",
        )
        return
    from figures.pattern_library import kinds_by_model

    options = ["all", *(kind for kind in KINDS if any(one.kind == kind for one in patterns))]
    if st.session_state.get(KIND, "all") not in options:
        st.session_state[KIND] = "all"
    chosen = st.segmented_control("Kind", options, default="all", required=True, key=KIND, bind="query-params")
    shown = [one for one in patterns if chosen in ("all", one.kind)]
    chart(kinds_by_model(_marks(shown)), name="library", key="library-map")
    for number, pattern in enumerate(shown[:MOST_CARDS]):
        _card(pattern, f"kept-{number}")
    if len(shown) > MOST_CARDS:
        st.caption(f"{len(shown) - MOST_CARDS:,} more, older ones:")
        st.dataframe(_frame(shown[MOST_CARDS:]), hide_index=True, height=280)


def _marks(patterns: list[Pattern]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"model": name, "title": one.title, "kind": one.kind} for one in patterns for name in one.model_names]
    )


def _frame(patterns: list[Pattern]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "what": [one.title for one in patterns],
            "models": [", ".join(one.model_names) for one in patterns],
            "tensor": [one.tensor for one in patterns],
            "value": [one.value for one in patterns],
            "found": [one.words for one in patterns],
            "note": [one.note for one in patterns],
            "from": [one.origin for one in patterns],
        }
    )


def _card(pattern: Pattern, key: str) -> None:
    colour, icon = KIND_LOOKS[pattern.kind]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escape_markdown(pattern.title)}**")
            st.badge(pattern.kind, color=colour, icon=icon)
            st.markdown(f":gray[{escape_markdown(', '.join(pattern.model_names))}]")
            if pattern.origin != "here":
                st.badge(escape_markdown(f"from {pattern.origin}"), color="gray")
            st.space("stretch")
            with st.popover("More", icon=":material/more_horiz:", type="tertiary"):
                _details(pattern, key)
        st.markdown(escape_markdown(pattern.words))
        if pattern.tensor:
            st.caption(escape_markdown(pattern.tensor))
        if pattern.note:
            st.markdown(f":material/sticky_note_2: *{escape_markdown(pattern.note)}*")


def _details(pattern: Pattern, key: str) -> None:
    st.caption(f"Kept {pattern.kept_at:%Y-%m-%d %H:%M} UTC")
    st.json({"numbers": pattern.numbers, "settings": pattern.settings, "models": list(pattern.content_hashes)})
    st.text_area("Note", pattern.note, key=f"{key}-note-{pattern.key}", max_chars=2000)
    with st.container(horizontal=True):
        st.button(
            "Save the note", key=f"{key}-save", on_click=_save_note, args=(pattern.key, f"{key}-note-{pattern.key}")
        )
        if not is_public():
            forget = (store().forget_pattern, pattern.key)
            st.button("Forget", key=f"{key}-forget", icon=":material/delete:", on_click=tried, args=forget)


def _save_note(key: str, widget: str) -> None:
    tried(store().note_pattern, key, st.session_state[widget])

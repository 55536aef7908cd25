"""A model held against the library: what it resembles, what recurs, what is new."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from ui.discovery.batches_view import start_batch_button
from ui.discovery.keeping import KIND_LOOKS, keep_now
from ui.export_panel import chart
from ui.page import escape_markdown, store
from ui.selection import pick_model
from workflows.batch import USUAL

MOST_NEW = 20


def match_view() -> None:
    """One click: the model against everything that is kept and every signature."""
    from workflows.pattern_library import match

    location = pick_model()
    if location is None:
        return
    if not location.content_hash:
        st.info("This model was not measured yet: a batch of it alone measures all that the library compares.")
        start_batch_button([location.uri], [*USUAL, "suggestions"], "Measure it")
        return
    found = match(store(), location.content_hash)
    missing = [name for name in ("health", "forensics", "suggestions", "signatures") if name not in found.looked_at]
    facts = [
        ("Known patterns that recur", len(found.recurring)),
        ("Findings that are new", len(found.new)),
        ("Known patterns it does not show", len(found.absent)),
    ]
    for (label, count), column in zip(facts, st.columns(3), strict=True):
        column.metric(label, f"{count:,}", border=True)
    if missing:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"Not looked at yet: {', '.join(missing)}.")
            start_batch_button([location.uri], ["measure", *missing], "Measure what is missing")
    near_column, words_column = st.columns([1, 1.3], gap="large")
    with near_column:
        _nearest(found.nearest)
    with words_column:
        _compared(found)


def _nearest(table: pd.DataFrame | None) -> None:
    st.markdown("**Which models it resembles**")
    if table is None or not len(table):
        st.caption("It has no signatures, or there is no other model that has.")
        return
    from figures.pattern_library import nearest_models

    chart(nearest_models(table), name="nearest-models", key="nearest-models")
    st.caption(
        "Mean cosine of its matrices with the nearest matrix of the same role, in standard units. Alike in form does "
        "not mean related: the shared-pattern test answers that."
    )


def _compared(found) -> None:
    st.markdown("**What recurs**")
    if found.recurring:
        st.dataframe(
            pd.DataFrame(
                {
                    "pattern": [one.kept.title for one in found.recurring],
                    "known of": [", ".join(one.kept.model_names) for one in found.recurring],
                    "there": [one.kept.value for one in found.recurring],
                    "here": [one.here.value for one in found.recurring],
                    "tensor here": [one.here.tensor for one in found.recurring],
                }
            ),
            hide_index=True,
            column_config={name: st.column_config.NumberColumn(format="%.4g") for name in ("there", "here")},
        )
    else:
        st.caption("Nothing of what is kept of other models.")
    st.markdown("**What is new**")
    for number, pattern in enumerate(found.new[:MOST_NEW]):
        with st.container(horizontal=True, vertical_alignment="center"):
            colour, icon = KIND_LOOKS[pattern.kind]
            st.markdown(f":{colour}[{icon}] **{escape_markdown(pattern.title)}** · {escape_markdown(pattern.words)}")
            st.space("stretch")
            st.button(
                "Keep",
                key=f"new-{number}-{pattern.key}",
                icon=":material/bookmark_add:",
                type="tertiary",
                on_click=keep_now,
                args=(pattern,),
            )
    if not found.new:
        st.caption("Nothing that the library does not know.")

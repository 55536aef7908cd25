"""What could be compressed of a model: expected gains as a picture, then each idea with its evidence."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from engine.discovery.suggestions import PRICES, Suggestion, all_ideas, ideas_version
from engine.discovery.suggestions.suggestion import CONFIDENCES
from engine.naming import place, role_title
from storage.records import Location
from ui.discovery.finding_job import job, offer, show_tensor, start_button
from ui.discovery.keeping import keep_control
from ui.export_panel import chart
from ui.page import escape_markdown, store
from workflows.wording import bytes_text

LAB = "pages/8_Compression_Lab.py"
ROOT = Path(__file__).resolve().parents[2]

PRICE_COLOURS = {"without loss": "green", "at the same error": "blue", "by giving rows up": "orange"}

STATES = {
    "found": ("found", "green", ":material/check:"),
    "unknown": ("not measured", "gray", ":material/help:"),
    "nothing": ("nothing found", "gray", ":material/remove:"),
}


def suggestions_view(location: Location, content_hash: str | None) -> None:
    """The ideas with their expected gains, a card for each; or the button that looks for them."""
    is_busy = job(location, "suggest")
    stored = store().suggestions(content_hash) if content_hash else None
    if stored is None:
        if not is_busy:
            offer(
                location,
                "suggest",
                "**What could be compressed, and by how much?**",
                f"{len(all_ideas())} ideas are held against what was found of this model: outliers, row norms, zeros, "
                "exponents, repeated and unused rows, relatives, the spectrum. Health and mantissas are examined first "
                "where that is missing.",
                "Look for ideas",
            )
        return
    found = [one for one in stored.suggestions if one.state == "found"]
    _gains(found, location)
    if not is_busy and _is_stale(stored, content_hash):
        st.caption("More is known of this model now than when these were found.")
        start_button(location, "suggest", "Look again", "secondary")
    for one in found:
        _card(one, location, content_hash)
    others = [one for one in stored.suggestions if one.state != "found"]
    if others:
        st.markdown("**Looked for without success, or not measured yet**")
        for one in others:
            text, colour, icon = STATES[one.state]
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge(text, color=colour, icon=icon)
                st.markdown(f"**{_title(one)}** · {escape_markdown(one.words)}")


def _is_stale(stored, content_hash: str) -> bool:
    known = {"spectra": store().has_spectra(content_hash)}
    known["relatives"] = bool(store().comparisons(content_hash) or store().pattern_tests(content_hash))
    return stored.version != ideas_version() or any(known[name] and not stored.looked_at.get(name) for name in known)


def _gains(found: list[Suggestion], location: Location) -> None:
    if not found:
        st.info("No idea would save anything here that is worth the trouble.", icon=":material/done_all:")
        return
    from figures.suggestions import gains_chart

    rows = pd.DataFrame(
        {
            "idea": [_title(one) for one in found],
            "share": [one.gain_bytes / location.num_bytes for one in found],
            "bits": [one.gain_bits for one in found],
            "size": [bytes_text(one.gain_bytes) for one in found],
            "kind": [_price(one) for one in found],
            "baseline": [one.baseline for one in found],
        }
    )
    st.markdown(f"**What each idea would save of {bytes_text(location.num_bytes)}**")
    chart(gains_chart(rows), name="expected-gains", key="expected-gains")
    st.caption(
        "Expected gains, all side information counted. They do not add up: several ideas save the same bits, and they "
        "are counted against different baselines, which each card names."
    )


def _card(one: Suggestion, location: Location, content_hash: str) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{_title(one)}**")
            st.badge(f"−{bytes_text(one.gain_bytes)} {_price(one)}", color=PRICE_COLOURS.get(_price(one), "gray"))
            st.badge(one.confidence, color="gray", help=CONFIDENCES[one.confidence])
            st.space("stretch")
            keep_control(content_hash, "suggestion", one.idea, "", key=f"keep-{one.idea}")
            if (ROOT / LAB).exists() and st.button("Try it", icon=":material/science:", key=f"try-{one.idea}"):
                st.session_state["recipe"] = dict(one.recipe)
                st.switch_page(LAB, query_params={"model": location.name})
        st.markdown(escape_markdown(one.words))
        against = f"Against: {one.baseline}." if one.baseline else ""
        st.caption(escape_markdown(f"{against} {one.limits}".strip()))
        with st.expander(f"Where, and on what grounds · {len(one.tensors):,}", icon=":material/query_stats:"):
            _grounds(one, location)


def _grounds(one: Suggestion, location: Location) -> None:
    from figures.suggestions import gain_map

    places = [place(gain.tensor) for gain in one.tensors]
    rows = pd.DataFrame(
        {
            "layer": ["outside" if p.layer is None else str(p.layer) for p in places],
            "role": [role_title(p.role) for p in places],
            "bits": [gain.gain_bits for gain in one.tensors],
            "tensor": [gain.tensor for gain in one.tensors],
        }
    )
    if len(rows) > 3:
        # Several tensors of one role and layer, such as experts, are one cell: the one that pays most.
        best = rows.sort_values("bits", ascending=False).drop_duplicates(["layer", "role"])
        st.altair_chart(gain_map(best), key=f"map-{one.idea}")
    table = rows[["tensor", "bits"]].assign(bytes=[gain.gain_bytes for gain in one.tensors])
    numbers = pd.DataFrame([dict(gain.evidence) for gain in one.tensors])
    numbers.columns = [name.replace("_", " ") for name in numbers.columns]
    event = st.dataframe(
        pd.concat([table, numbers], axis=1),
        hide_index=True,
        key=f"grounds-{one.idea}",
        height=min(35 * len(table) + 38, 280),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "bits": st.column_config.NumberColumn("bits a weight", format="%.3f"),
            "bytes": st.column_config.NumberColumn(format="%.0f"),
        },
    )
    if event.selection.rows:
        tensor = one.tensors[event.selection.rows[0]].tensor
        if st.button("Show it on the Heatmap", icon=":material/grid_on:", key=f"show-{one.idea}"):
            show_tensor(location, tensor)
    st.caption("Settings to try it with")
    st.json(dict(one.recipe), expanded=False)


def _title(one: Suggestion) -> str:
    ideas = all_ideas()
    return ideas[one.idea].title if one.idea in ideas else one.idea


def _price(one: Suggestion) -> str:
    ideas = all_ideas()
    return PRICES[ideas[one.idea].price] if one.idea in ideas else ""

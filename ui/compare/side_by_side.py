"""One tensor of both checkpoints and their difference: three canvases that move and point together."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from engine.colour_limits import PERCENTS, colour_limits
from engine.colour_scales import ColourScale, colour_scale, linear_scale
from engine.compare.difference import Difference
from engine.compare.matching import Match
from engine.compare.pairs import compare_match
from engine.compare.views import DeltaSource, MatchedSource
from engine.naming import place, role_title
from engine.sources.base import Source, TensorInfo
from ui.colours import Colours, chosen_colouring, chosen_map
from ui.compare.pair import Pair
from ui.heatmap_canvas import Frame, Start, View, heatmap_canvas
from ui.page import escape_markdown
from ui.selection import choose_tensor
from workflows.wording import bytes_text

HEIGHT = 360
MOST_AT_ONCE = 64 << 20
"""Bytes of a tensor up to which its numbers are taken at once, without a job; ours: a tenth of a second."""


def side_by_side(pair: Pair) -> None:
    """The picker of a tensor that both have, its numbers, and the canvases."""
    matches = {match.name_a: match for match in pair.matching.matches if match.is_comparable}
    if not matches:
        st.info("No tensor of A can be laid beside one of B: their shapes differ.", icon=":material/search:")
        return
    match = matches[_pick(list(matches))]
    _facts(pair, match)
    _numbers(pair, match)
    _canvases(pair, match)


def _pick(names: list[str]) -> str:
    asked = st.session_state.get("tensor", st.query_params.get("tensor"))
    if asked not in names:
        queries = [name for name in names if place(name).role in ("query", "qkv")]
        choose_tensor((queries or names)[0])
    label = f"Tensor · {len(names):,}, type to search"
    return st.selectbox(label, names, index=None, key="tensor", bind="query-params") or names[0]


def _facts(pair: Pair, match: Match) -> None:
    where = match.place
    words = [
        f"**{escape_markdown(role_title(where.role))}**"
        + (f" of layer {where.layer}" if where.layer is not None else "")
    ]
    shape = " × ".join(map(str, match.compared_shape)) or "scalar"
    types = match.dtype_a if match.dtype_a == match.dtype_b else f"{match.dtype_a} against {match.dtype_b}"
    words += [f"{shape} {types}"]
    if match.name_b != match.name_a:
        words.append(f"in B: {escape_markdown(match.name_b)}")
    if match.note:
        words.append(escape_markdown(match.note))
    st.caption(" · ".join(words))


def _numbers(pair: Pair, match: Match) -> None:
    """What one pass over this tensor tells; at once where it is small, else behind a button."""
    num_bytes = pair.source_a.info(match.name_a).num_bytes + pair.source_b.info(match.name_b).num_bytes
    if num_bytes > MOST_AT_ONCE and not st.toggle(
        f"Read all of it for the numbers ({bytes_text(num_bytes)})", key="numbers", bind="query-params"
    ):
        return
    found = _difference(pair.key, match.name_a, pair, match)
    values = {
        "relative change": (found.relative_change, "{:.4g}", "‖Δ‖ / ‖A‖"),
        "changed bits": (found.changed_fraction, "{:.2%}", "Share of weights that differ in at least one bit."),
        "1 − cosine": (found.one_minus_cosine, "{:.3g}", "0: the same direction. Computed from ‖Δ‖²."),
        "largest |Δ|": (found.max_abs, "{:.4g}", f"At row {found.row}, column {found.column}."),
        "sign flips": (found.flip_fraction, "{:.2%}", "Share of weights that crossed zero."),
    }
    for column, (label, (value, form, words)) in zip(st.columns(len(values)), values.items(), strict=True):
        column.metric(label, "–" if value != value else form.format(value), help=words)


@st.cache_data(max_entries=128, show_spinner="Comparing this tensor …")
def _difference(key: str, tensor: str, _pair: Pair, _match: Match) -> Difference:
    return compare_match(_pair.source_a, _pair.source_b, _match)


def _canvases(pair: Pair, match: Match) -> None:
    name, kind, percent = chosen_colouring()
    laid, delta = MatchedSource(pair.source_b, pair.matching), DeltaSource(pair.source_a, pair.source_b, pair.matching)
    info_a = pair.source_a.info(match.name_a)
    source_a = pair.source_a
    if match.num_removed:  # the same rows on all three
        source_a = MatchedSource(pair.source_a, _itself(pair, match))
        info_a = source_a.info(match.name_a)
    shared = _scale(pair.key, f"A {match.name_a}", kind, percent, source_a, info_a)
    change = _scale(pair.key, f"Δ {match.name_a}", kind, percent, delta, delta.info(match.name_a))
    st.caption(
        "The three move together: scroll to zoom, drag to pan. A and B share their colours; Δ = B − A has its own."
    )
    views = (
        (f"A · {pair.a.name}", "a", source_a, info_a, shared),
        (f"B · {pair.b.name}", "b", laid, laid.info(match.name_a), shared),
        ("Δ = B − A", "delta", delta, delta.info(match.name_a), change),
    )
    for column, (title, key, source, info, scale) in zip(st.columns(3), views, strict=True):
        with column:
            st.markdown(f"**{escape_markdown(title)}**")
            _one(key, source, info, Colours(scale, chosen_map(name, scale.limits.is_signed)))


@st.fragment
def _one(key: str, source: Source, info: TensorInfo, colours: Colours) -> None:
    start = Start(View.parse(st.session_state.get("view") or st.query_params.get("view", "")))
    frame = Frame(height=HEIGHT, group="compare")
    state = heatmap_canvas(source, info, key=f"compare-{key}", colours=colours, start=start, frame=frame)
    if key == "a":
        if state.is_full:
            st.query_params.pop("view", None)
        else:
            st.query_params["view"] = state.view.text
    if state.selected is None:
        st.caption("Click a weight to keep its value here." if key == "a" else " ")
    else:
        st.markdown(f"Row **{state.selected.row:,}**, column **{state.selected.column:,}**: `{state.selected.text}`")


@st.cache_data(max_entries=64, show_spinner=False)
def _scale(key: str, what: str, kind: str, percent: float | None, _source: Source, _info: TensorInfo) -> ColourScale:
    limits = colour_limits(_source, _info, percent=percent if percent in PERCENTS else None)
    return colour_scale(_source, _info, kind, limits) if kind != "linear" else linear_scale(limits)


def _itself(pair: Pair, match: Match):
    """A matched with itself, cut to the rows that B has too."""
    same = replace(
        match, name_b=match.name_a, shape_b=match.shape_a, dtype_b=match.dtype_a, is_transposed=False, rope_heads=0
    )
    return replace(pair.matching, matches=(same,), only_a=(), only_b=())

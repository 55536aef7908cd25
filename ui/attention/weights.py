"""The heads of one layer as small pictures of their weights, one scale for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from engine.attention.heads import HeadWeights
from engine.naming import place
from engine.pooling import cells, pool
from figures.attention import norm_bars
from ui.attention.choice import PART, TITLES, Choice, choose
from ui.attention.mosaic import Frame, Mosaic, mosaic
from ui.attention.scales import bar_texts
from ui.colours import colour_controls
from ui.page import escape_markdown

MOST_DOWN, MOST_ACROSS = 48, 96
"""Cells of one head's picture."""

WIDEST, NARROWEST = 3.2, 0.8
"""Width over height of a picture: matrices are far wider, and would be stripes."""


def weights_view(choice: Choice, numbers: dict[str, np.ndarray]) -> None:
    """Small multiples of a part of every head, and the norms of all parts."""
    st.segmented_control(
        "Part",
        [title for title, part in TITLES.items() if choice.block.tensor(part) is not None],
        key=PART,
        bind="query-params",
        label_visibility="collapsed",
        on_change=lambda: _choose_part(choice),
        help="What to show of each head.",
    )
    info = choice.block.tensor(choice.part)
    target = replace(choice.selection, info=info, place=place(info.name, info.shape))
    colours = colour_controls(target)
    tiles = _tiles(*_key(choice), choice.part, choice)
    owners = _owners(choice)
    shape = _shape(choice)
    st.caption(
        f"**{choice.part.capitalize()}** weights of every head of {escape_markdown(choice.block.title)}: its "
        f"{shape[0]} features down, {shape[1]:,} model dimensions across. Each cell is the **largest |w|** it covers."
    )
    current = owners.index(next(heads for heads in owners if choice.head in heads))

    def chosen(index: int) -> None:
        head = choice.head if choice.head in owners[index] else owners[index][0]
        choose(choice, choice.block, head, choice.part)

    words = [_spans(length, tiles.shape[axis + 1]) for axis, length in enumerate(shape)]
    picture = Mosaic(
        tiles=tiles,
        scale=colours.scale,
        colours=colours.name,
        frame=Frame(
            tile_width=230 if len(owners) < 20 else 150,
            aspect=min(max(shape[1] / shape[0], NARROWEST), WIDEST),
            largest=460,
            max_height=4000,
            gap=14,
        ),
        label=f"{choice.part} weights of the heads of {choice.block.title}",
        titles=[f"{choice.block.title}, {_owner_words(heads, choice)}" for heads in owners],
        notes=[f"norm {numbers[f'{choice.part}_norm'][heads[0]]:.5g}" for heads in owners],
        captions=[_owner_words(heads, choice).capitalize() for heads in owners],
        cell_rows=[f"feature {word}" for word in words[0]],
        cell_columns=[f"dimension {word}" for word in words[1]],
        value_kind="number",
        bar=bar_texts(colours.scale),
        bar_title="weight",
        selected=current,
    )
    mosaic(picture, key="head_tiles", on_choose=chosen)
    st.markdown("**Norms of the parts of each head**")
    st.altair_chart(
        norm_bars({title: numbers[f"{part}_norm"] for title, part in TITLES.items()}, choice.head), width="stretch"
    )


def _choose_part(choice: Choice) -> None:
    """The control was used; one that was clicked off stays what it was."""
    title = st.session_state.get(PART)
    choose(choice, choice.block, choice.head, TITLES.get(title, choice.part))


def _owners(choice: Choice) -> list[list[int]]:
    """The heads that each picture belongs to: one, or all that share a key and value head."""
    heads = choice.heads
    if choice.part in ("query", "output") or not heads.is_grouped:
        return [[head] for head in range(heads.num_heads)]
    size = heads.num_heads // heads.num_kv_heads
    return [list(range(kv * size, (kv + 1) * size)) for kv in range(heads.num_kv_heads)]


def _owner_words(heads: list[int], choice: Choice) -> str:
    if len(heads) == 1:
        return f"head {heads[0]}"
    return f"heads {heads[0]}–{heads[-1]} share key and value head {choice.heads.kv_head(heads[0])}"


def _key(choice: Choice) -> tuple[str, str, str]:
    source, block = choice.selection.source, choice.block
    return source.uri, source.fingerprint, f"{block.path}|{block.is_cross}|{choice.asked!r}"


def _shape(choice: Choice) -> tuple[int, int]:
    """(features of a head, model dimensions)."""
    where = choice.heads.slice(choice.part, 0)
    features = where.stop - where.start
    return features, where.info.num_elements // where.info.shape[where.axis]


@st.cache_data(max_entries=32, show_spinner="Reading the heads …")
def _tiles(uri: str, fingerprint: str, block: str, part: str, _choice: Choice) -> np.ndarray:
    """(pictures, height, width) float32: features of a head down, model dimensions across, signed extremes."""
    weights = HeadWeights(_choice.selection.source, _choice.heads)
    tiles = []
    for owners in _owners(_choice):
        matrix = weights.matrix(part, owners[0])
        matrix = matrix.T if part == "output" else matrix
        tiles.append(pool(np.ascontiguousarray(matrix, np.float32), MOST_DOWN, MOST_ACROSS))
    return np.stack(tiles)


def _spans(length: int, count: int) -> list[str]:
    """What each of `count` pooled cells covers of 0 … length − 1."""
    step = cells(length, 1, count, 1).row_step
    starts = range(0, length, step)
    return [f"{a}" if step == 1 else f"{a}–{min(length, a + step) - 1}" for a in starts]

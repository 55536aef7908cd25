"""The two circuits of the chosen head: their pictures and their singular values, beside those of the layer's heads."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.attention.circuits import pooled_product
from engine.attention.heads import HeadWeights
from engine.attention.numbers import HEAD_NUMBERS, circuit_factors
from engine.colour_scales import Kind
from engine.tile_colours import picture_scale
from figures.attention import singular_value_curves
from ui.attention.all_heads import number_text
from ui.attention.choice import Choice
from ui.attention.mosaic import Frame, Mosaic, mosaic
from ui.attention.scales import bar_texts, map_and_scale
from ui.attention.table import curves_of
from ui.colours import chosen_map

SIDE = 192
"""Cells of a circuit's picture, each way."""

_WORDS = {
    "qk": (
        "QK circuit, where it looks",
        "W_Qᵀ W_K: a query vector along one row finds a key vector along a bright column. Rows are what asks, columns "
        "what is looked at, both as dimensions of the model.",
        ("query dimension", "key dimension"),
    ),
    "ov": (
        "OV circuit, what it carries",
        "W_O W_V: what is added to the output (rows) for a vector that is looked at (columns). A diagonal copies.",
        ("output dimension", "input dimension"),
    ),
}
_BESIDE = {
    "qk": ("qk_spectral", "qk_effective_rank", "qk_stable_rank"),
    "ov": ("ov_spectral", "ov_effective_rank", "copying"),
}


def circuits_view(choice: Choice, numbers: dict[str, np.ndarray]) -> None:
    """QK left, OV right."""
    st.caption(
        f"Both matrices have rank at most {choice.heads.width}, the width of the head. Biases, the norm before the "
        "attention and the scaling by 1/√d are left out."
    )
    colours = map_and_scale()
    for column, circuit in zip(st.columns(2, gap="large"), _WORDS, strict=True):
        with column:
            _circuit(choice, numbers, circuit, *colours)


def _circuit(choice: Choice, numbers: dict[str, np.ndarray], circuit: str, name: str | None, kind: Kind) -> None:
    title, words, (row_word, column_word) = _WORDS[circuit]
    st.markdown(f"**{title}**", help=words)
    curves = curves_of(choice, circuit)
    if not curves:
        st.info("This checkpoint has no output projection here, so there is no OV circuit.", icon=":material/search:")
        return
    for metric, which in zip(st.columns(3), _BESIDE[circuit], strict=True):
        number = HEAD_NUMBERS[which]
        label = number.title.removeprefix("QK ").removeprefix("OV ").replace("largest singular value", "largest σ")
        metric.metric(label, number_text(float(numbers[which][choice.head])), help=number.description)
    source, block = choice.selection.source, choice.block
    cells, row_step, column_step = _picture(
        source.uri, source.fingerprint, f"{block.path}|{block.is_cross}|{choice.asked!r}", choice.head, circuit, choice
    )
    ends = ("query", "key") if circuit == "qk" else ("output", "value")
    lengths = [_model_width(choice, part) for part in ends]
    scale = picture_scale([cells], kind)
    picture = Mosaic(
        tiles=cells[None],
        scale=scale,
        colours=chosen_map(name, is_signed=True),
        frame=Frame(columns=1, aspect=cells.shape[1] / cells.shape[0], max_height=420),
        label=f"{title} of {choice.title}",
        titles=[f"{circuit.upper()} circuit of {choice.title}"],
        notes=[""],
        cell_rows=_spans(row_word, cells.shape[0], row_step, lengths[0]),
        cell_columns=_spans(column_word, cells.shape[1], column_step, lengths[1]),
        value_kind="number",
        bar=bar_texts(scale, 3),
        bar_title="entry of the product",
    )
    mosaic(picture, key=f"circuit_{circuit}")
    st.altair_chart(singular_value_curves(curves, choice.head), width="stretch")
    st.caption(f"Singular values of this circuit: **head {choice.head}** in front of the layer's other heads.")


@st.cache_data(max_entries=64, show_spinner="Multiplying …")
def _picture(
    uri: str, fingerprint: str, block: str, head: int, circuit: str, _choice: Choice
) -> tuple[np.ndarray, int, int]:
    left, right = circuit_factors(HeadWeights(_choice.selection.source, _choice.heads), circuit, head)
    return pooled_product(left, right, SIDE)


def _model_width(choice: Choice, part: str) -> int:
    """Dimensions of the model that a part reads or writes."""
    where = choice.heads.slice(part, 0)
    return where.info.shape[1 - where.axis]


def _spans(word: str, count: int, step: int, length: int) -> list[str]:
    return [
        f"{word} {k}" if step == 1 else f"{word}s {k * step}–{min(length, (k + 1) * step) - 1}" for k in range(count)
    ]

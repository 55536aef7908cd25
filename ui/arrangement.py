"""The order of the rows and columns of the picture, and what sorting found: shown with what it finds in noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.orders import ORDERS, check_sortable, line_order, neighbour_correlation, shuffled
from engine.sources.base import Source, TensorInfo
from engine.sources.reordered import Reordered
from ui.heatmap_canvas import SortedLines
from ui.page import show_error
from ui.selection import Selection

AXES = ("rows", "columns")
FILE_ORDER = ORDERS[0]
_TITLES = {"norm": "by norm", "seriation": "by seriation", "hierarchical": "by hierarchy"}
_HELP = (
    "**norm**: largest L2 norm first. **seriation**: lines that correlate come close to each other, along a circle. "
    "**hierarchical**: clusters side by side, as in a tree. Tooltips and tables keep the numbers of the file."
)
CLEAR_SPREADS = 5.0
"""Standard deviations of the null that sorting must exceed it by to be called structure here; ours. Between shuffles of
a matrix of n entries the null's correlation spreads by about 1 / √n (measured on 384 × 384: 0.0026 and 0.0012)."""


@dataclass(frozen=True, eq=False)
class Arrangement:
    """A tensor as it is shown.

    Attributes:
        source, info: the tensor in the order shown; the selection's own where nothing is sorted.
        rows, columns: how its lines are sorted; None as in the file.
    """

    source: Source
    info: TensorInfo
    rows: SortedLines | None
    columns: SortedLines | None

    @property
    def is_sorted(self) -> bool:
        return self.rows is not None or self.columns is not None


def order_controls(columns: list[DeltaGenerator], on_change: Callable[[], None]) -> None:
    """Two selects, bound to `?rows=` and `?columns=`.

    Args: columns: where each goes. on_change: called when a person chooses another order.
    """
    for axis, column in zip(AXES, columns, strict=True):
        if st.session_state.get(axis, FILE_ORDER) not in ORDERS:
            st.session_state[axis] = FILE_ORDER  # from a bad URL
        column.selectbox(axis.capitalize(), ORDERS, key=axis, bind="query-params", help=_HELP, on_change=on_change)


def arranged(selection: Selection) -> Arrangement:
    """The selected tensor in the order that was chosen; in file order, with the reason, where it cannot be sorted."""
    kinds = [st.session_state.get(axis) or FILE_ORDER for axis in AXES]
    plain = Arrangement(selection.source, selection.info, None, None)
    if all(kind == FILE_ORDER or kind not in ORDERS for kind in kinds) or selection.info.num_elements == 0:
        return plain
    try:
        check_sortable(selection.info)
    except MeasureError as error:
        show_error(error)
        return plain
    lines = [_sorted(selection, axis, kind) for axis, kind in zip(AXES, kinds, strict=True)]
    source = _reordered(selection.source.fingerprint, selection.info.name, *kinds, selection, lines)
    return Arrangement(source, source.info(selection.info.name), *lines)


def _sorted(selection: Selection, axis: str, kind: str) -> SortedLines | None:
    if kind == FILE_ORDER:
        return None
    return SortedLines(_order(selection.source.fingerprint, selection.info.name, axis, kind, selection), _TITLES[kind])


@st.cache_data(max_entries=32, show_spinner="Sorting …")
def _order(fingerprint: str, tensor: str, axis: str, kind: str, _selection: Selection) -> np.ndarray:
    return line_order(_lines(_selection, axis), kind)


@st.cache_resource(max_entries=2, show_spinner=False)
def _reordered(
    fingerprint: str, tensor: str, rows: str, columns: str, _selection: Selection, _lines: list[SortedLines | None]
) -> Reordered:
    """Few are kept: of a tensor that is decoded or fetched, all of it is in memory."""
    orders = [None if lines is None else lines.numbers for lines in _lines]
    return Reordered(_selection.source, _selection.info, *orders)


def _lines(selection: Selection, axis: str) -> np.ndarray:
    """The tensor as a matrix whose rows are the lines of that axis."""
    matrix = selection.source.read(selection.info.name).reshape(matrix_shape(selection.info.shape))
    return matrix if axis == "rows" else matrix.T


@st.cache_data(max_entries=32, show_spinner="Sorting a shuffled copy, to compare with …")
def _correlations(fingerprint: str, tensor: str, axis: str, kind: str, _selection: Selection) -> tuple[float, ...]:
    """Of neighbouring lines: in file order, sorted, and of a shuffled copy sorted in the same way."""
    lines = _lines(_selection, axis)
    order = _order(fingerprint, tensor, axis, kind, _selection)
    null = shuffled(lines)
    return (
        neighbour_correlation(lines),
        neighbour_correlation(lines, order),
        neighbour_correlation(null, line_order(null, kind)),
    )


def sorting_report(selection: Selection) -> None:
    """One line for each sorted axis: how alike neighbours are, beside what the same sorting finds in shuffled entries.

    Call it last: it sorts a second copy, and the picture must not wait for that.
    """
    for axis in AXES:
        kind = st.session_state.get(axis) or FILE_ORDER
        if kind == FILE_ORDER or selection.info.num_elements == 0:
            continue
        numbers = _correlations(selection.source.fingerprint, selection.info.name, axis, kind, selection)
        st.caption(correlation_text(axis, kind, numbers, selection.info.num_elements), help=_NULL_HELP)


_NULL_HELP = (
    "Mean Pearson correlation of each line with the next one. Sorting finds neighbours in anything: on weights it "
    "lifts such a correlation to about 0.22, and on pure noise to 0.16 – 0.18. So the same entries are shuffled and "
    "sorted in the same way; only what exceeds that is structure."
)


def correlation_text(axis: str, kind: str, numbers: tuple[float, ...], num_entries: int) -> str:
    """The sentence under the picture.

    Args: numbers: correlations in file order, sorted, and of the null; NaN where no two neighbouring lines vary.
    """
    in_file, sorted_, null = numbers
    if math.isnan(sorted_):
        return f":material/sort: {axis.capitalize()} {_TITLES[kind]}: no two lines vary, so nothing can be alike."
    text = (
        f":material/sort: {axis.capitalize()} {_TITLES[kind]}: neighbours correlate **{sorted_:.3f}** "
        f"(file order {in_file:.3f}; **shuffled entries**, sorted in the same way, {null:.3f}). "
    )
    if sorted_ - null >= CLEAR_SPREADS / math.sqrt(num_entries):
        return text + "What exceeds the shuffled copy is structure."
    return text + "That is no more than sorting finds in noise."

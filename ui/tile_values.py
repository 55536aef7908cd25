"""One number for every tensor of a model: what its headers say, or any stored measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from engine.measures.registry import MEASURES
from engine.sources.base import TensorInfo
from ui.page import store
from ui.selection import Selection
from workflows import library
from workflows.wording import bytes_text, count_text

PARAMETERS = "Parameters"
BYTES = "Bytes"
BITS = "Bits a weight"

_UNITS = {"weight": "in units of the weights", "count": "elements", "1": ""}


@dataclass(frozen=True, eq=False)
class TileValues:
    """One measure of every tensor.

    Attributes:
        title: its name on the page. unit: in words, "" for a pure number. description: what it means.
        values: (n,) float64 in file order; NaN where undefined or not measured.
        write: how one of its numbers is written.
    """

    title: str
    unit: str
    description: str
    values: np.ndarray
    write: Callable[[float], str]

    def text(self, index: int) -> str:
        """The value of one tensor, written; "undefined" for NaN."""
        return written(self.values[index], self.write)


def written(value: float, write: Callable[[float], str]) -> str:
    return "undefined" if np.isnan(value) else write(float(value))


def short_text(value: float) -> str:
    """Three digits; large whole numbers in thousands, millions, …"""
    return count_text(value) if float(value).is_integer() and abs(value) >= 1000 else f"{value:.3g}"


_HEADER_MEASURES: dict[str, tuple[str, str, Callable[[TensorInfo], float], Callable[[float], str]]] = {
    PARAMETERS: ("weights", "How many weights the tensor has.", lambda info: info.num_elements, short_text),
    BYTES: ("", "Bytes of the stored data.", lambda info: info.num_bytes, lambda value: bytes_text(int(value))),
    BITS: (
        "bits",
        "Bits of storage for one weight: scales and offsets of quantised blocks included.",
        lambda info: 8 * info.num_bytes / info.num_elements if info.num_elements else np.nan,
        short_text,
    ),
}
"""Title -> (unit, description, value, how it is written), for what headers say of any model."""

_STORED = {entry.title: entry for entry in MEASURES.values() if entry.name != "count"}  # Parameters says the same


def is_measured(selection: Selection) -> bool:
    """Whether the numbers that are stored belong to the files as they are now."""
    return library.status(selection.location) == "measured"


def measure_titles(measured: bool) -> list[str]:
    """The measures there are, by their titles: those of the headers always, the stored ones of a measured model."""
    return [*_HEADER_MEASURES, *(_STORED if measured else ())]


def tile_values(selection: Selection, title: str) -> TileValues:
    """The measure of that title (one of `measure_titles`) for every tensor of the selected model."""
    infos = selection.source.infos()
    if title in _HEADER_MEASURES:
        unit, description, value, write = _HEADER_MEASURES[title]
        return TileValues(title, unit, description, np.array([value(info) for info in infos], np.float64), write)
    entry = _STORED[title]
    table = _stats(selection.location.content_hash)
    by_name = dict(zip(table["tensor"], table[entry.name].astype(np.float64), strict=True))
    values = np.array([by_name.get(info.name, np.nan) for info in infos], np.float64)
    return TileValues(title, _UNITS.get(entry.unit, entry.unit), entry.description, values, short_text)


@st.cache_data(max_entries=8, show_spinner=False)
def _stats(content_hash: str) -> pd.DataFrame:
    return store().tensor_stats(content_hash)

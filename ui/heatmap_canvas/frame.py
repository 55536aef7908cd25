"""What surrounds the picture of a canvas: its size, the order of its lines, sums along its edges, a rectangle on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.pooling import pool
from ui.heatmap_canvas.requests import View

MOST_LINES = 1 << 18
"""Numbers along one edge: at most 1 MiB; chosen by us. More lines are pooled to the one of largest magnitude."""


@dataclass(frozen=True, eq=False)
class SortedLines:
    """Rows or columns that are not in the order of the file.

    Attributes:
        numbers: (n,) int64; the number, in the file, of the line at each place. title: how they are sorted ("by norm").
    """

    numbers: np.ndarray
    title: str

    def place(self, number: int) -> int:
        """Where the line of that number is; −1 if there is none."""
        hits = np.flatnonzero(self.numbers == number)
        return int(hits[0]) if hits.size else -1


@dataclass(frozen=True, eq=False)
class Edges:
    """One number for every row and column, drawn along the edges of the picture.

    Attributes:
        title: what they are ("sum", "norm").
        values: gives those of the rows and of the columns, in the order of the picture; called once the picture stands.
    """

    title: str
    values: Callable[[], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Frame:
    """All of it.

    Attributes:
        height: of the picture with its axes, in CSS pixels. rows, columns: their order; None as in the file.
        edges: along the picture; None for none. rectangle: marked on it, in places; None for none.
        group: canvases of the same group show the same window; "" for none.
    """

    height: int = 560
    rows: SortedLines | None = None
    columns: SortedLines | None = None
    edges: Edges | None = None
    rectangle: View | None = None
    group: str = ""

    def place(self, entry: tuple[int | None, int | None]) -> tuple[int | None, int | None]:
        """Where (row, column) of the file is in the picture; None stays None, and a line there is not is at −1."""
        return tuple(
            index if lines is None or index is None else lines.place(index)
            for index, lines in zip(entry, (self.rows, self.columns), strict=True)
        )

    def number(self, place: tuple[int, int]) -> tuple[int, int]:
        """The (row, column) of the file that is at a place of the picture."""
        return tuple(
            index if lines is None else int(lines.numbers[index])
            for index, lines in zip(place, (self.rows, self.columns), strict=True)
        )

    def line_numbers(self) -> dict[str, np.ndarray]:
        """What the browser must know to name sorted lines as in the file."""
        sorted_ = {"row_numbers": self.rows, "column_numbers": self.columns}
        return {name: lines.numbers for name, lines in sorted_.items() if lines is not None}

    def edge_lists(self) -> dict[str, np.ndarray]:
        """The numbers along the edges as they travel, float32."""
        rows, columns = self.edges.values()
        return {"edge_rows": _bounded(rows), "edge_columns": _bounded(columns)}


def _bounded(values: np.ndarray) -> np.ndarray:
    return pool(values[None], 1, MOST_LINES)[0]

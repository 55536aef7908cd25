"""The list of measures: each a pure function that turns one reading into one number."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.errors import MeasureError
from engine.measures.results import NUM_BINS, QUANTILE_PERCENTS, AxisProfile, Distribution

Reads = Literal["distribution", "rows", "columns"]

READING_VERSION = 1
"""Raised when the reading itself (quantiles, histogram, profiles) changes its meaning."""

MEASURES: dict[str, Measure] = {}
"""Every measure by name, in the order of its file; the columns of the SQL view `tensor_stats`."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One registered measure.

    Attributes:
        name: the function's name, and the column people see.
        unit: "1" for a pure number, "weight" for the unit of the weights, "count" for a number of elements.
        version: raised when the numbers change their meaning; part of the key of every stored value.
        title: a few words for a table heading.
        description: the function's docstring.
        reads: what the function takes: the tensor's Distribution, or the AxisProfile of its rows or columns.
        function: the pure function itself.
    """

    name: str
    unit: str
    version: int
    title: str
    description: str
    reads: Reads
    function: Callable[..., float]

    def value(self, distribution: Distribution, rows: AxisProfile | None, columns: AxisProfile | None) -> float:
        """The measure of one reading: a Python float; NaN where it is undefined or its profile was not taken."""
        subject = {"distribution": distribution, "rows": rows, "columns": columns}[self.reads]
        return math.nan if subject is None else float(self.function(subject))


def measure(*, unit: str, title: str, version: int = 1, reads: Reads = "distribution") -> Callable:
    """Register a pure function as a measure under its own name; the function is returned unchanged.

    Args: as in `Measure`.
    Raises: MeasureError if the name is taken or the function has no docstring.
    """

    def register(function: Callable[..., float]) -> Callable[..., float]:
        name, description = function.__name__, inspect.getdoc(function)
        if name in MEASURES:
            raise MeasureError(
                f"The measure {name} is registered twice.", "Give one of the two functions another name."
            )
        if not description:
            raise MeasureError(f"The measure {name} has no docstring.", "Say what it means and give its formula.")
        MEASURES[name] = Measure(name, unit, version, title, description, reads, function)
        return function

    return register


def settings_hash() -> str:
    """16 hex digits that change when any measure's version, the quantiles or the histogram's bins change.

    Stored with every reading: an equal hash means that measuring the same content again would give the same rows.
    """
    settings = {
        "reading": READING_VERSION,
        "quantiles": QUANTILE_PERCENTS,
        "bins": NUM_BINS,
        "measures": {entry.name: entry.version for entry in MEASURES.values()},
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

"""The list of features: each a pure function that turns the facts of one matrix into one number."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.discovery.signature.facts import Facts
from engine.errors import MeasureError

VERSION = 1
"""Of the signature. Raised when a feature comes, goes, moves, or changes its meaning; storage keeps versions apart."""

Group = Literal["scale", "distribution", "norms", "spectrum", "heads", "order", "outliers"]
Invariance = Literal["scale", "sign", "rows", "columns", "entries", "rotation"]
Transform = Literal["linear", "log", "log1p"]

GROUPS: dict[str, str] = {
    "scale": "Scale",
    "distribution": "Shape of the distribution",
    "norms": "Rows and columns",
    "spectrum": "Spectrum",
    "heads": "Heads",
    "order": "Order (Fourier)",
    "outliers": "Outliers",
}
"""Group -> its title, in the order of the vector."""

ENTRIES: frozenset[Invariance] = frozenset({"scale", "rows", "columns", "entries"})
"""Of features that know only the values, not where they stand."""

LINES: frozenset[Invariance] = frozenset({"scale", "rows", "columns"})
"""Of features that a network with its hidden units in another order has as well."""

FEATURES: dict[str, Feature] = {}
"""Every feature by name, in the order of the vector."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One registered feature.

    Attributes:
        name: unique; the column people see. unit: "1" for a pure number, "weight", "bit/weight", "share".
        group: one of `GROUPS`. title: a few words for a table heading. description: what it means, with its formula.
        invariances: what may be done to the matrix without moving it: "scale" (times a positive number), "sign" (times
            −1), "rows", "columns" (put in another order), "entries" (shuffled), "rotation" (from either side).
        transposed: the feature whose value it has for the transposed matrix; its own name where that does not matter.
        transform: before features are compared: "log" of lasting ratios, "log1p" of counts, "linear" of the others.
        resolution: the smallest difference, after the transform, that means something; standardisation never
            stretches less than that to one unit, so that noise about zero does not outweigh facts. Chosen by us.
        function: the pure function itself.
    """

    name: str
    unit: str
    group: Group
    title: str
    description: str
    invariances: frozenset[Invariance]
    transposed: str
    transform: Transform
    resolution: float
    function: Callable[[Facts], float]

    def value(self, facts: Facts) -> float:
        """The feature of a matrix: a Python float; NaN where it is undefined, never infinite."""
        value = float(self.function(facts))
        return value if math.isfinite(value) else math.nan


@dataclass(frozen=True, slots=True)
class Traits:
    """What features of one group have in common, for `feature` and `line_feature`; fields as in `Feature`."""

    group: Group
    invariances: frozenset[Invariance]
    unit: str = "1"
    transform: Transform = "linear"
    resolution: float = 0.05


def feature(traits: Traits, title: str) -> Callable:
    """Register a pure function of `Facts` as a feature under its own name; the function is returned unchanged.

    Raises: MeasureError if the name is taken or the function has no docstring.
    """

    def register(function: Callable[[Facts], float]) -> Callable[[Facts], float]:
        _add(traits, function.__name__, title, _words(function), function.__name__, function)
        return function

    return register


def line_feature(traits: Traits, title: str) -> Callable:
    """Register a function of (facts, axis) as two features, "row_…" for axis 0 and "column_…" for axis 1.

    Transposing a matrix exchanges the two. The title and the docstring speak of {lines} and of a {line}.

    Raises: MeasureError if a name is taken or the function has no docstring.
    """

    def register(function: Callable[[Facts, int], float]) -> Callable[[Facts, int], float]:
        for axis, line in enumerate(("row", "column")):
            other = ("column", "row")[axis]
            name = f"{line}_{function.__name__}"
            words = {"line": line, "lines": line + "s", "other": other, "others": other + "s"}
            description, heading = _words(function).format(**words), title.format(**words)
            _add(traits, name, heading, description, f"{other}_{function.__name__}", _of_axis(function, axis))
        return function

    return register


def transformed(values: np.ndarray) -> np.ndarray:
    """Raw values as they are compared: each feature's logarithm where its transform says so.

    Args: values: (…, n) float64, features along the last axis. Returns: the same shape; NaN stays NaN, and a number
        that has no logarithm becomes NaN.
    """
    result = np.array(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        for column, entry in enumerate(FEATURES.values()):
            if entry.transform == "log":
                result[..., column] = np.log(result[..., column])
            elif entry.transform == "log1p":
                result[..., column] = np.log1p(result[..., column])
    result[~np.isfinite(result)] = np.nan
    return result


def _of_axis(function: Callable[[Facts, int], float], axis: int) -> Callable[[Facts], float]:
    return lambda facts: function(facts, axis)


def _words(function: Callable) -> str:
    description = inspect.getdoc(function)
    if not description:
        raise MeasureError(f"The feature {function.__name__} has no docstring.", "Say what it means, with its formula.")
    return description


def _add(
    traits: Traits, name: str, title: str, description: str, transposed: str, function: Callable[[Facts], float]
) -> None:
    if name in FEATURES:
        raise MeasureError(f"The feature {name} is registered twice.", "Give one of the functions another name.")
    FEATURES[name] = Feature(
        name,
        traits.unit,
        traits.group,
        title,
        description,
        traits.invariances,
        transposed,
        traits.transform,
        traits.resolution,
        function,
    )

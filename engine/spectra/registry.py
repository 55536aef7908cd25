"""The list of spectral measures: each a pure function that turns one spectrum into one number."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import MeasureError
from engine.spectra.results import Spectrum
from engine.spectra.settings import SpectrumSettings

READING_VERSION = 1
"""Raised when the singular values, the tail fit or the noise edges change their meaning."""

SPECTRAL_MEASURES: dict[str, SpectralMeasure] = {}
"""Every spectral measure by name, in the order of its file; the SQL view `tensor_stats` has them once one was taken."""


@dataclass(frozen=True, slots=True)
class SpectralMeasure:
    """One registered spectral measure.

    Attributes:
        name: the function's name, and the column people see.
        unit: "1" for a pure number, "weight" as a singular value, "weight²" as an eigenvalue, "count" for how many.
        version: raised when the numbers change their meaning; part of the key of every stored value.
        title: a few words for a table heading.
        description: the function's docstring.
        function: the pure function itself.
    """

    name: str
    unit: str
    version: int
    title: str
    description: str
    function: Callable[[Spectrum], float]


def spectral_measure(*, unit: str, title: str, version: int = 1) -> Callable:
    """Register a pure function of a `Spectrum` as a measure under its own name; the function is returned unchanged.

    Args: as in `SpectralMeasure`.
    Raises: MeasureError if the name is taken or the function has no docstring.
    """

    def register(function: Callable[[Spectrum], float]) -> Callable[[Spectrum], float]:
        name, description = function.__name__, inspect.getdoc(function)
        if name in SPECTRAL_MEASURES:
            raise MeasureError(f"The measure {name} is registered twice.", "Give one of the functions another name.")
        if not description:
            raise MeasureError(f"The measure {name} has no docstring.", "Say what it means and give its formula.")
        SPECTRAL_MEASURES[name] = SpectralMeasure(name, unit, version, title, description, function)
        return function

    return register


def settings_hash(settings: SpectrumSettings) -> str:
    """16 hex digits that change when a measure's version or a setting changes the numbers; stored with each of them."""
    facts = {
        "reading": READING_VERSION,
        "settings": settings.facts(),
        "measures": {entry.name: entry.version for entry in SPECTRAL_MEASURES.values()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

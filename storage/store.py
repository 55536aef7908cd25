"""The store: everything that is kept between runs, behind typed methods."""

from __future__ import annotations

from pathlib import Path

from storage.batches import Batches
from storage.comparisons import Comparisons
from storage.database import Database
from storage.experiments import Experiments
from storage.findings import Findings
from storage.forensics import ForensicsStore
from storage.health import Health
from storage.location import DATABASE_NAME, data_folder
from storage.locations import Locations
from storage.measures import Measures
from storage.models import Models
from storage.neighbours import Neighbours
from storage.null_signatures import NullSignatures
from storage.pattern_library import PatternLibrary
from storage.query import Queries
from storage.readings import Readings
from storage.sessions import Sessions
from storage.signatures import Signatures
from storage.spectra import Spectra
from storage.suggestions import SuggestionStore
from storage.tables import Tables
from storage.training import Training

PATIENCE_S = 10.0
"""How long a call waits for another process that holds the file; chosen by us: longer than any write of ours takes,
shorter than a person waits before a dead page."""


class Store(
    Locations,
    Models,
    Readings,
    Spectra,
    Health,
    Comparisons,
    Findings,
    ForensicsStore,
    SuggestionStore,
    Batches,
    PatternLibrary,
    Signatures,
    NullSignatures,
    Neighbours,
    Experiments,
    Training,
    Sessions,
    Queries,
    Tables,
):
    """One database file. Cheap to make, safe to share between threads; no file is held open between two calls.

    The file is made, or upgraded after a backup copy, when it is first used.

    Args:
        folder: where the file lies; None for `data_folder()`.
        patience_s: how long a call waits while another process holds the file, in seconds.
        measures: the measures that readings carry; None for the engine's registry.
    """

    def __init__(
        self, folder: Path | None = None, *, patience_s: float = PATIENCE_S, measures: Measures | None = None
    ) -> None:
        self.folder = data_folder() if folder is None else Path(folder).resolve()
        self.path = self.folder / DATABASE_NAME
        self._database = Database(self.path, patience_s, measures)

    def exists(self) -> bool:
        """Whether there is a database file already."""
        return self.path.exists()

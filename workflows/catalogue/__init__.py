"""The catalogue: models worth looking at, as facts with our descriptions, and what of it is already here."""

from workflows.catalogue.entry import CatalogueEntry, catalogue
from workflows.catalogue.filters import Filters, select
from workflows.catalogue.standing import Standing, standings

__all__ = ["CatalogueEntry", "Filters", "Standing", "catalogue", "select", "standings"]

"""What a shared-pattern test of so many models could show, said before it is run."""

from __future__ import annotations

from engine.discovery.power import Power, power
from engine.discovery.signature import FEATURES

USUAL_ROLES = 7
"""Roles of a transformer's matrices: embedding, query, key, value, output, into and out of the feed-forward."""


def power_before(num_models: int) -> Power:
    """If all of them are unrelated; a test for each feature and usual role."""
    return power(num_models, len(FEATURES) * USUAL_ROLES)

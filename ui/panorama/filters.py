"""The layer and role filters above every view, applied to a whole model."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.naming import Place, role_title
from ui.selection import ALL, OUTSIDE


def are_wanted(places: Sequence[Place]) -> list[bool]:
    """Whether each tensor's place passes the filters; all pass where none is set."""
    layer, role = st.session_state.get("layer", ALL), st.session_state.get("role", ALL)

    def is_wanted(where: Place) -> bool:
        fits = layer == ALL or (where.layer is None if layer == OUTSIDE else str(where.layer) == layer)
        return fits and role in (ALL, role_title(where.role))

    return [is_wanted(where) for where in places]

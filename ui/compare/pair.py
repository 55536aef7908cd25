"""The two models of the Compare page, opened, with their tensors matched; both are in the URL."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from engine.compare.matching import Matching, match_tensors
from engine.sources.base import Source
from storage.records import Location
from ui.page import store
from ui.selection import open_location, pick_model
from workflows.compare import laid_over
from workflows.locations import locations

OTHER = "other"


@dataclass(frozen=True, eq=False)
class Pair:
    """Two checkpoints that are compared: A, the earlier or original one, and B.

    Attributes:
        a, b: where they are. source_a, source_b: opened; of a LoRA adapter, merged onto the other.
        matching: which tensors belong together.
    """

    a: Location
    b: Location
    source_a: Source
    source_b: Source
    matching: Matching

    @property
    def key(self) -> str:
        """Changes when either checkpoint does."""
        return f"{self.source_a.fingerprint} {self.source_b.fingerprint}"


def pick_pair() -> Pair | None:
    """Both pickers with a button between that swaps them; None (and why) where there are no two models to compare."""
    known = locations(store())
    a_column, swap_column, b_column = st.columns([4, 0.9, 4], vertical_alignment="bottom")
    with a_column:
        a = pick_model(label="A · the original, or the earlier one")
    if a is None:
        return None
    others = [location.name for location in known if location.uri != a.uri]
    if not others:
        st.info("There is only one model here. Add the one to compare it with in the Zoo.", icon=":material/add:")
        st.page_link("pages/1_Zoo.py", label="Open the Zoo", icon=":material/inventory_2:")
        return None
    with b_column:
        b = pick_model(label="B · what became of it", key=OTHER, among=others, default=_likely_other(a, known))
    with swap_column:
        st.button("Swap", icon=":material/swap_horiz:", key="swap", on_click=_swap, args=(a.name, b.name))
    source_a, source_b = laid_over(open_location(a), open_location(b))
    return Pair(a, b, source_a, source_b, _matching(source_a.fingerprint, source_b.fingerprint, source_a, source_b))


def current_hashes(pair: Pair) -> tuple[str, str] | None:
    """The content hashes of both, if both were measured and their files are still those; None otherwise."""
    sides = [
        location.content_hash if location.fingerprint == open_location(location).fingerprint else None
        for location in (pair.a, pair.b)
    ]
    return None if None in sides else tuple(sides)


def _likely_other(a: Location, known: list[Location]) -> str:
    """What a person would compare A with: the model with as many parameters whose name is most like A's."""
    from difflib import SequenceMatcher

    others = [location for location in known if location.uri != a.uri]
    likeness = {x.name: SequenceMatcher(None, a.name, x.name).ratio() for x in others}
    return max(others, key=lambda x: (x.num_parameters == a.num_parameters, likeness[x.name])).name


def _swap(a: str, b: str) -> None:
    st.session_state.update({"model": b, OTHER: a})


@st.cache_resource(max_entries=16, show_spinner="Matching the tensors …")
def _matching(fingerprint_a: str, fingerprint_b: str, _a: Source, _b: Source) -> Matching:
    return match_tensors(_a, _b)

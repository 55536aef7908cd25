"""Where a person is on the trainer's page, as the URL says it: `?run=` for one run, `?show=` for what is seen of it.

Not `?look=`, the name that Heatmap gives to its own: no page can be left with a parameter that its own widget holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

RUNS, NEW = "Runs", "New model"
"""The looks where no run is chosen."""

PROGRESS = "Progress"
"""The first look at a run."""

_LOOK, _RUN = "show", "run"


def run_in_url() -> str:
    """The id of the run that is shown; "" for none."""
    return st.query_params.get(_RUN, "")


def look_switch(looks: Sequence[str]) -> str:
    """The switch between looks, and the one that is chosen; a look that is not on offer becomes the first."""
    if st.session_state.get(_LOOK, looks[0]) not in looks:
        st.session_state[_LOOK] = looks[0]  # from a bad URL, or of the page before
    chosen = st.segmented_control(
        "Look at",
        looks,
        default=looks[0],
        required=True,
        key=_LOOK,
        bind="query-params",
        label_visibility="collapsed",
        width="stretch",
    )
    return chosen or looks[0]


def open_run(run_id: str) -> None:
    """From a callback: show this run, from its first look."""
    st.session_state[_LOOK] = PROGRESS
    st.query_params[_RUN] = run_id


def show_overview(look: str = RUNS) -> None:
    """From a callback: leave the run that is shown."""
    st.session_state[_LOOK] = look
    st.query_params.pop(_RUN, None)

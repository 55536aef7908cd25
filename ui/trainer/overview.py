"""All runs as cards; where there is none, what this page is for and a first model in one click."""

from __future__ import annotations

import math

import streamlit as st

from figures.self_play import REWARD
from figures.training import LOSS, sparkline
from ui.page import escape_markdown, user_errors
from ui.trainer.first_model import first_model
from ui.trainer.looks import NEW, open_run, show_overview
from ui.trainer.reading import all_runs, history_of
from ui.trainer.state import best_bits, error_line, progress_words, run_buttons, state_badge
from workflows.deployment import is_public
from workflows.training import TrainingRun

POLL_S = 2.0
"""How often cards of working runs are drawn anew, in seconds."""

COLUMNS = 3


def overview() -> None:
    """The cards, live while something works; the empty state where there is nothing."""
    found = all_runs()
    if not found:
        first_model()
        return
    if any(run.is_active for run in found):
        _live_cards()
    else:
        _cards(found)
    if not is_public():
        st.button("New model", icon=":material/add:", type="primary", on_click=show_overview, args=(NEW,))


@st.fragment(run_every=POLL_S)
def _live_cards() -> None:
    with user_errors():
        found = all_runs()
        _cards(found)
        if not any(run.is_active for run in found):
            st.rerun()


def _cards(found: list[TrainingRun]) -> None:
    for first in range(0, len(found), COLUMNS):
        for column, run in zip(st.columns(COLUMNS), found[first : first + COLUMNS], strict=False):
            with column, st.container(border=True, height="stretch"), user_errors():
                _card(run)


def _card(run: TrainingRun) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{escape_markdown(run.name)}**")
        st.space("stretch")
        state_badge(run)
    history = history_of(run)
    is_playing = bool((history["name"] == REWARD).any())
    if len(history):
        st.altair_chart(sparkline(history, (REWARD, LOSS) if is_playing else (LOSS,)), key=f"spark-{run.id}")
    else:
        st.space(56)
    bits = best_bits(run)
    score = f"**{bits:.3f}** bits a byte on held-out text" if math.isfinite(bits) else "no look at held-out text yet"
    st.markdown(score)
    st.caption(progress_words(run))
    if run.progress is not None:
        st.progress(run.progress.fraction or 0.0)
    error_line(run)
    with st.container(horizontal=True):
        if st.button(
            "Open",
            key=f"open-{run.id}",
            icon=":material/open_in_full:",
            on_click=open_run,
            args=(run.id,),
        ):
            st.rerun()  # the whole page, not only the cards
        run_buttons(run, key="card", is_full=False)

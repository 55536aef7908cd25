"""Where nothing was trained yet: what this page is for, and a first model in one click."""

from __future__ import annotations

import streamlit as st

from engine.training.corpora.bundled import bundled
from engine.training.footprint import num_parameters
from engine.training.presets import PRESETS, Preset
from engine.training.settings import CorpusChoice
from ui.page import escape_markdown, tried
from ui.trainer.cost import advice_line
from ui.trainer.fields import MODEL, TRAINING, forget
from ui.trainer.looks import NEW, show_overview
from ui.trainer.new_model import free_name, start_run
from workflows.deployment import is_public
from workflows.training_request import TrainingRequest
from workflows.wording import count_text

STEPS = (
    (
        ":material/menu_book:",
        "Give it a text",
        "Your own book, or one that comes along. Part of it is set aside to judge.",
    ),
    (":material/monitoring:", "Watch it learn", "The loss falls, its writing grows, and every layer's weights change."),
    (":material/forum:", "Meet it", "Let it write, and open it in Heatmap, 3D, Compare and Chat like any model."),
)


def first_model() -> None:
    """Three sentences and three presets."""
    for column, (icon, title, words) in zip(st.columns(3, gap="large"), STEPS, strict=True):
        with column:
            st.markdown(f"##### {icon} {title}")
            st.caption(words)
    st.space("small")
    st.subheader("Nothing was trained here yet. Begin with one of these", anchor=False)
    for column, preset in zip(st.columns(3), PRESETS.values(), strict=True):
        with column, st.container(border=True, height="stretch"):
            _card(preset)


def _card(preset: Preset) -> None:
    st.markdown(f"**{preset.name}** · {count_text(num_parameters(preset.model))} parameters")
    st.markdown(escape_markdown(preset.summary))
    advice_line(preset.name)
    if is_public():
        return
    with st.container(horizontal=True):
        st.button(
            "Train it now",
            key=f"now-{preset.name}",
            icon=":material/play_arrow:",
            type="primary" if preset is next(iter(PRESETS.values())) else "secondary",
            help=f"On {next(iter(bundled().values())).title}, which comes along.",
            on_click=tried,
            args=(_start, preset),
        )
        st.button(
            "Set it up",
            key=f"set-{preset.name}",
            icon=":material/tune:",
            help="Choose the text, see what it costs, change what you like.",
            on_click=_set_up,
            args=(preset,),
        )


def _start(preset: Preset) -> None:
    text = CorpusChoice(f"bundled:{next(iter(bundled()))}")
    start_run(TrainingRequest(free_name(preset.name), preset.model, corpora=(text,), training=preset.training))


def _set_up(preset: Preset) -> None:
    st.session_state["preset"] = preset.name
    forget(MODEL, preset.model)
    forget(TRAINING, preset.training, "train_")
    show_overview(NEW)

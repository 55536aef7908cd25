"""What a model would cost, before anything is made."""

from __future__ import annotations

import streamlit as st

from engine.training.footprint import num_parameters
from ui.trainer.texts import Text
from workflows.training_request import TrainingRequest
from workflows.wording import count_text

USUAL_TOKENS_A_PARAMETER = 20
"""What compute-optimal training reads of text that is read once (Hoffmann et al. 2022)."""

BYTES_A_TOKEN = 3.5
"""Of English with a vocabulary of some thousands; measured before the tokenizer is there it can only be a guess."""


def advice_line(preset: str) -> None:
    """Whether this machine suits the preset, in plain words."""


def cost_panel(request: TrainingRequest, text: Text) -> None:
    """Parameters, memory, disk, time, and how much text that is."""
    if request.model is not None:
        st.metric("parameters", count_text(num_parameters(request.model)))

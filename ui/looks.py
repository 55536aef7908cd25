"""The ways to look at the selected model on the Heatmap page: one row each."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ui.measurements import measurements
from ui.page import user_errors
from ui.selection import Selection
from ui.tensor_view import tensor_caption, tensor_view

KEY = "look"
TENSOR = "Tensor"


def _tensor(selection: Selection) -> None:
    tensor_caption(selection)
    picture, numbers = st.columns([1.65, 1], gap="medium")
    with picture, user_errors():
        tensor_view(selection)
    with numbers, user_errors():
        measurements(selection)


def _whole_model(selection: Selection) -> None:
    from ui.panorama import panorama_look

    with user_errors():
        panorama_look(selection)


def _animation(selection: Selection) -> None:
    from ui.animation import animation_look

    with user_errors():
        animation_look(selection)


def _attention(selection: Selection) -> None:
    from ui.attention import attention_look

    attention_look(selection)


def _spectrum(selection: Selection) -> None:
    from ui.spectrum_view import spectrum_look

    spectrum_look(selection)


def _fourier(selection: Selection) -> None:
    from ui.fourier_view import fourier_look

    fourier_look(selection)


def _health(selection: Selection) -> None:
    from ui.health_view import health_look

    health_look(selection)


LOOKS: dict[str, Callable[[Selection], None]] = {
    TENSOR: _tensor,
    "Whole model": _whole_model,
    "Attention": _attention,
    "Spectrum": _spectrum,
    "Fourier": _fourier,
    "Animation": _animation,
    "Health": _health,
}
"""Every look, by the name in the URL (`?look=`), in reading order. A look draws everything below the pickers."""


def show_look(selection: Selection) -> None:
    """The switch between the looks, and the one that is chosen."""
    if st.session_state.get(KEY, TENSOR) not in LOOKS:
        st.session_state[KEY] = TENSOR  # from a bad URL
    chosen = st.segmented_control(
        "Look at",
        list(LOOKS),
        default=TENSOR,
        required=True,
        key=KEY,
        bind="query-params",
        label_visibility="collapsed",
        width="stretch",
    )
    LOOKS[chosen](selection)

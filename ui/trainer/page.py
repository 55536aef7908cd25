"""The page from top to bottom: the runs and the way to a new model, or one run (`?run=`)."""

from __future__ import annotations

import streamlit as st

from ui.page import show_late_error, user_errors
from ui.trainer.looks import NEW, RUNS, look_switch, run_in_url
from ui.trainer.new_model import new_model
from ui.trainer.overview import overview
from ui.trainer.run_page import run_page
from workflows.deployment import is_public


def trainer_page() -> None:
    """Everything below the page's title."""
    run_id = run_in_url()
    if run_id:
        run_page(run_id)
        return
    look = look_switch((RUNS, NEW))
    if is_public():
        st.info(
            "This Weightscope is public: nothing can be trained here. Run Weightscope on your own machine for that; it "
            "takes one command.",
            icon=":material/public:",
        )
    with user_errors():
        if look == RUNS:
            show_late_error()
            overview()
        elif not is_public():
            new_model()

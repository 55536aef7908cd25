"""The heatmap: one tensor, every weight, with its statistics beside it."""

import streamlit as st

from ui.measurements import measurements
from ui.page import page_setup, user_errors
from ui.selection import pick
from ui.tensor_view import tensor_caption, tensor_view

page_setup("Heatmap", ":material/grid_on:", "Look at any tensor, from the whole matrix down to one weight.")

with user_errors():
    selection = pick()
    if selection is not None:
        tensor_caption(selection)
        picture, numbers = st.columns([1.65, 1], gap="medium")
        with picture, user_errors():
            tensor_view(selection)
        with numbers, user_errors():
            measurements(selection)

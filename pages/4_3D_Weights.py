"""A tensor, or the whole model, in three dimensions."""

from ui.page import page_setup, user_errors
from ui.selection import pick
from ui.tensor_3d import show_space

page_setup(
    "3D Weights", ":material/landscape:", "Weights as a landscape: outliers stand up, structure shows as ridges."
)

with user_errors():
    selection = pick()
    if selection is not None:
        show_space(selection)

"""The heatmap: a model, one of its tensors, every weight, with the statistics beside it."""

from ui.looks import show_look
from ui.page import page_setup, user_errors
from ui.selection import pick

page_setup("Heatmap", ":material/grid_on:", "Look at any tensor, from the whole matrix down to one weight.")

with user_errors():
    selection = pick()
    if selection is not None:
        show_look(selection)

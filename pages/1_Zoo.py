"""The Zoo: every checkpoint known here, with its status; add, measure, delete."""

from ui.add_models import add_models
from ui.job_panel import latest_jobs, show_start_error
from ui.model_list import model_list
from ui.page import page_setup, user_errors

page_setup("Zoo", ":material/inventory_2:", "Every checkpoint known here. Add one, measure it, look at it.")

with user_errors():
    show_start_error()
    model_list()

with user_errors():
    add_models()

with user_errors():
    latest_jobs()

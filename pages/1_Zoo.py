"""The Zoo: every checkpoint known here, with its status; add, measure, delete."""

import streamlit as st

from ui.add_models import add_models
from ui.job_panel import latest_jobs
from ui.model_list import model_list
from ui.page import page_setup, show_late_error, user_errors

page_setup("Zoo", ":material/inventory_2:", "Every checkpoint known here. Add one, measure it, look at it.")

with st.expander("Add a model", icon=":material/add:", key="add", bind="query-params"):
    add_models()

with user_errors():
    show_late_error()
    model_list()

with user_errors():
    latest_jobs()

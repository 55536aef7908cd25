"""The Zoo: find a model, get it, know what it is."""

import streamlit as st

from ui.access import public_notice
from ui.add_models import add_models
from ui.catalogue import any_hub_model, catalogue_shelf
from ui.job_panel import latest_jobs
from ui.machine_panel import machine_shelf
from ui.model_actions import go_to_inspected
from ui.model_list import model_list
from ui.model_page import model_page
from ui.page import page_setup, show_late_error, user_errors

SHELVES = ("Catalogue", "Here", "Trained here", "Added by me", "This machine")

page_setup("Zoo", ":material/inventory_2:", "Find a model, get it, know what it is.")
go_to_inspected()

card = st.query_params.get("card")
if card:
    with user_errors():
        show_late_error()
        model_page(card)
    st.stop()

shelf = st.segmented_control(
    "Shelf",
    SHELVES,
    default="Catalogue",
    required=True,
    key="shelf",
    bind="query-params",
    label_visibility="collapsed",
)
public_notice()
with st.expander("Add a model of your own", icon=":material/add:", key="add", bind="query-params"):
    add_models()

with user_errors():
    show_late_error()
    match shelf:
        case "Here":
            model_list("here")
        case "Trained here":
            model_list("trained")
        case "Added by me":
            model_list("mine")
        case "This machine":
            machine_shelf()
        case _:
            any_hub_model()
            catalogue_shelf()

with user_errors():
    latest_jobs()

"""The front door: what this is, which models are here, what ran lately, where to go."""

import streamlit as st

from ui.job_panel import latest_jobs
from ui.model_cards import before_and_after, model_cards
from ui.page import TAGLINE, page_setup, user_errors
from ui.session_panel import latest_views

page_setup("Weightscope", ":material/biotech:", TAGLINE)

with user_errors():
    words, picture = st.columns([1, 1.5], gap="large", vertical_alignment="center")
    with words:
        st.markdown(
            "Open a model checkpoint and **look at every weight** in it, down to the exact number.  \n"
            "**Measure** every tensor exactly, and keep the numbers in one DuckDB file that any program can query.  \n"
            "Then decide what to trust, what to compare and what to compress, with the evidence in front of you."
        )
        st.page_link("pages/3_Heatmap.py", label="Look at a tensor", icon=":material/grid_on:")
        st.page_link("pages/5_Compare.py", label="Compare two models", icon=":material/compare_arrows:")
        st.page_link("pages/6_Discovery.py", label="Find what models share", icon=":material/hub:")
        st.page_link("pages/7_Self-Play_Trainer.py", label="Train a model of your own", icon=":material/exercise:")
        st.page_link("pages/2_Chat.py", label="Run a model", icon=":material/chat:")
        st.page_link("pages/1_Zoo.py", label="Add your own model", icon=":material/inventory_2:")
        st.page_link("pages/11_SQL.py", label="Query what was measured", icon=":material/database:")
    with picture:
        before_and_after()

with user_errors():
    st.subheader("Models here", anchor=False)
    model_cards()

with user_errors():
    latest_views()

with user_errors():
    latest_jobs()

"""SQL: any query over everything that was measured, on a read-only snapshot."""

import streamlit as st

from ui.page import page_setup, store, user_errors
from ui.sql_editor import answer, editor, examples, schema

page_setup(
    "SQL",
    ":material/database:",
    "Query everything that was measured. Queries see a read-only snapshot: nothing here can change or leak data.",
)

work, tables = st.columns([2.7, 1], gap="large")
with work, user_errors():
    examples()
    sql = editor()
    if sql:
        with st.spinner("Running …"):
            result = store().query(sql)
        answer(result)
with tables, user_errors():
    schema()

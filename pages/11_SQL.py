"""SQL: any query over everything that was measured, on a read-only snapshot."""

import streamlit as st

from ui.page import page_setup, store, user_errors
from ui.sql_editor import examples, result_table, schema

page_setup(
    "SQL",
    ":material/database:",
    "Query everything that was measured. Queries see a read-only snapshot: nothing here can change or leak data.",
)

with user_errors():
    examples()
    with st.form("query", border=False):
        sql = st.text_area("Query", key="q", bind="query-params", height=200, placeholder="FROM model_stats")
        is_asked = st.form_submit_button("Run", type="primary", icon=":material/play_arrow:", help="Ctrl+Enter")
    if sql and sql.strip():
        with st.spinner("Running …"):
            result = store().query(sql)
        result_table(result)
    elif is_asked:
        st.caption("Type a query, or take one of the worked ones above.")
with user_errors():
    schema()

"""The parts of the SQL page: examples, the schema with its comments, a result as table and CSV."""

from __future__ import annotations

import streamlit as st

from storage.query import QueryResult
from storage.worked_queries import worked_queries
from ui.page import store


def examples() -> None:
    """A picker that puts a worked query of docs/sql.md into the editor."""
    known = worked_queries()
    st.selectbox(
        "Worked queries",
        list(known),
        index=None,
        key="worked_query",
        placeholder=f"Take one of {len(known)} worked queries, and change it to your liking",
        on_change=_use,
        args=(known,),
    )


def _use(known: dict[str, str]) -> None:
    st.session_state["q"] = known.get(st.session_state["worked_query"], "")


def result_table(result: QueryResult) -> None:
    """Rows as a table, with their number, the time taken, and a CSV download."""
    table = result.to_pandas()
    words = f"{len(table):,} row{'' if len(table) == 1 else 's'} in {result.elapsed_s:.2f} s"
    if result.truncated:
        words += f" (only the first {len(table):,} are shown: add a limit or an aggregate)"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(words)
        st.space("stretch")
        st.download_button(
            "CSV", table.to_csv(index=False).encode(), "weightscope.csv", "text/csv", icon=":material/download:"
        )
    st.dataframe(table, hide_index=True, width="stretch")


def schema() -> None:
    """Tables and views with what they hold; each opens to its columns."""
    st.subheader("Tables", anchor=False)
    st.caption(f"From a terminal, also while this app runs: `duckdb -readonly {store().path}`")
    for table in store().tables():
        with st.expander(f"**{table.name}** · {table.comment}"):
            st.dataframe(
                [{"column": c.name, "type": c.type, "what it holds": c.comment} for c in table.columns],
                hide_index=True,
                width="stretch",
            )

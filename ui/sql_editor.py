"""The parts of the SQL page: worked queries, the editor, the schema with its comments, an answer as table and chart."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from figures.query_chart import KINDS, MOST_MARKS, NO_COLOUR, Axes, column_kinds, default_axes, query_chart
from storage.query import MAX_ROWS, MEMORY_LIMIT, TIMEOUT_S, QueryResult
from storage.tables import Table
from storage.worked_queries import worked_queries
from ui.export_panel import chart
from ui.page import escape_markdown, store, user_errors
from workflows.deployment import is_public
from workflows.query_export import csv_bytes, parquet_bytes

TABLE, CHART = "Table", "Chart"
_FORMS = (TABLE, CHART)


def examples() -> None:
    """The worked queries of docs/sql.md: one click puts one into the editor and runs it."""
    with st.popover("Worked queries", icon=":material/lightbulb:"), st.container(gap="xxsmall"):
        st.caption("One click runs it; then change it to your liking.")
        for number, (title, sql) in enumerate(worked_queries().items(), 1):
            st.button(
                f"{number}. {title}",
                key=f"worked-{number}",
                type="tertiary",
                on_click=_use,
                args=(sql,),
                help=_code(sql),
            )


def _code(sql: str) -> str:
    return f"```sql\n{sql}\n```"


def _use(sql: str) -> None:
    """Another query: the chart of the last one has nothing to say about it."""
    st.session_state["q"] = sql
    for key in ("chart", "x", "y", "by"):
        st.session_state.pop(key, None)
        st.query_params.pop(key, None)


def editor() -> str:
    """The query, bound to `?q=`; Ctrl+Enter or the button runs it. Returns: "" where there is none."""
    st.html("<style>.st-key-q textarea{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.9rem}</style>")
    with st.form("query", border=False):
        sql = st.text_area(
            "Query",
            key="q",
            bind="query-params",
            height=190,
            placeholder="FROM model_stats",
            label_visibility="collapsed",
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            is_asked = st.form_submit_button("Run", type="primary", icon=":material/play_arrow:", help="Ctrl+Enter")
            st.caption(f"Read-only · at most {MAX_ROWS:,} rows, {TIMEOUT_S:g} s, {MEMORY_LIMIT}")
    if is_asked and not (sql and sql.strip()):
        st.caption("Type a query, take a worked one, or click a table.")
    return (sql or "").strip()


@st.fragment
def answer(result: QueryResult) -> None:
    """The rows as a table or a chart, with their number, the time taken, and downloads."""
    with user_errors():
        table = result.to_pandas()
        form = _head(result, len(table))
        if form == CHART:
            _chart(table)
        else:
            st.dataframe(table, hide_index=True, width="stretch")


def _head(result: QueryResult, num_rows: int) -> str:
    if st.session_state.get("result") not in _FORMS:
        st.session_state["result"] = TABLE  # at first, and from a bad URL
    words = f"{num_rows:,} row{'' if num_rows == 1 else 's'} in {result.elapsed_s:.2f} s"
    if result.truncated:
        words += f" · only the first {num_rows:,}: add a limit or an aggregate"
    with st.container(horizontal=True, vertical_alignment="center"):
        form = st.segmented_control(
            "Show the answer as",
            _FORMS,
            required=True,
            key="result",
            bind="query-params",
            label_visibility="collapsed",
        )
        st.caption(words)
        st.space("stretch")
        for label, make, mime in (
            ("CSV", csv_bytes, "text/csv"),
            ("Parquet", parquet_bytes, "application/vnd.apache.parquet"),
        ):
            st.download_button(
                label,
                lambda make=make: make(result),
                f"weightscope.{label.lower()}",
                mime,
                key=f"sql-{label}",
                on_click="ignore",
                icon=":material/download:",
            )
    return form


def _chart(table: pd.DataFrame) -> None:
    """Kind, axes and colour, bound to the URL, and the chart."""
    kinds, first = column_kinds(table), default_axes(table)
    if first is None:
        st.info("There is nothing to draw: a chart needs a column of numbers.", icon=":material/bar_chart:")
        return
    columns = list(kinds)
    kind_column, x_column, y_column, colour_column = st.columns(4)
    kind = _choice(kind_column, "Kind", KINDS, "chart", first.kind)
    x = _choice(x_column, "Along", columns, "x", first.x)
    y = _choice(y_column, "Value", columns, "y", first.y)
    colour = _choice(colour_column, "Colour", [NO_COLOUR, *columns], "by", first.colour)
    if len(table) > MOST_MARKS:
        st.caption(f"The first {MOST_MARKS:,} of {len(table):,} rows are drawn.")
    chart(query_chart(table, Axes(kind, x, y, colour)), "weightscope-query", key="query-chart")


def _choice(column, label: str, options, key: str, standard: str) -> str:
    """A select box in the URL; a column that the answer lacks becomes the sensible one."""
    if st.session_state.get(key) not in (None, *options):
        st.session_state.pop(key)
    chosen = column.selectbox(label, options, index=list(options).index(standard), key=key, bind="query-params")
    return chosen if chosen is not None else standard


def schema() -> None:
    """Tables and views with what they hold; each opens to its columns, and to a query of it."""
    st.markdown("**Tables**")
    with st.container(height=720, border=False, gap="xsmall"):
        for table in store().tables():
            icon = ":material/table_view:" if table.is_view else ":material/table:"
            with st.expander(table.name, icon=icon):
                _columns(table)
    if not is_public():
        st.caption("From a terminal, also while this app runs:")
        st.code(f'duckdb -readonly "{store().path}"', language="sh", wrap_lines=True)


def _columns(table: Table) -> None:
    st.caption(escape_markdown(table.comment))
    st.button(
        "Look inside",
        key=f"look-{table.name}",
        icon=":material/search:",
        on_click=_use,
        args=(f'FROM "{table.name}"\nLIMIT 100',),
    )
    lines = []
    for column in table.columns:
        name, kind, comment = map(escape_markdown, (column.name, column.type, column.comment))
        lines.append(f"**{name}** :gray[{kind}]  \n:small[{comment}]")
    st.markdown("\n\n".join(lines))

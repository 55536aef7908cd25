"""The library as a file: written for others, and taken in from them."""

from __future__ import annotations

import streamlit as st

from ui.page import escape_markdown, store, tried
from workflows.deployment import is_public


def exchange_view() -> None:
    """Give the library to others, and take in theirs."""
    out_column, in_column = st.columns(2, gap="large")
    patterns = store().patterns()
    imported, _ = store().library_signatures()
    with out_column, st.container(border=True):
        st.markdown("**Give it to others**")
        num_here = len(store().signatures().places)
        st.caption(
            f"{len(patterns):,} kept patterns and {num_here + len(imported):,} signatures as a zip of two Parquet "
            "files: findings, settings, notes, model names and their hashes, no weights."
        )
        _export()
    with in_column, st.container(border=True):
        st.markdown("**Take in what others found**")
        st.caption("Columns, sizes, texts and numbers are checked before anything is stored; nothing in it is run.")
        file = st.file_uploader("A library", type=["zip"], key="library-file")
        if file is not None and st.button("Take it in", type="primary", key="library-import"):
            _import(file)
    if len(imported):
        st.markdown("**Signatures that were taken in**")
        summary = imported.groupby(["origin", "model_name", "content_hash"], as_index=False).agg(
            matrices=("tensor", "size"), family=("family", "first")
        )
        st.dataframe(summary, hide_index=True)
        if not is_public():
            for origin in sorted(imported["origin"].unique()):
                st.button(
                    f"Forget those of {escape_markdown(origin)}",
                    key=f"forget-origin-{origin}",
                    on_click=tried,
                    args=(store().forget_library_signatures, origin),
                )


def _export() -> None:
    from workflows.pattern_library import export_library

    st.download_button(
        "Export",
        lambda: export_library(store()),
        "weightscope-library.zip",
        "application/zip",
        icon=":material/download:",
        key="library-export",
    )


def _import(file) -> None:
    from workflows.pattern_library import import_library

    found = import_library(store(), file.getvalue(), file.name)
    st.success(
        f"{found.num_patterns:,} of {found.of_patterns:,} patterns and {found.num_signatures:,} of "
        f"{found.of_signatures:,} signatures are new here.",
        icon=":material/check_circle:",
    )

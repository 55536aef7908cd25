"""Adding models: by path, by upload, by scanning a folder."""

from __future__ import annotations

import streamlit as st

from engine.sources.formats import FORMATS
from ui.page import escape_markdown, store, user_errors
from workflows import library
from workflows.deployment import is_public
from workflows.wording import bytes_text

UPLOAD_TYPES = [suffix.removeprefix(".") for file_format in FORMATS for suffix in file_format.suffixes]
UPLOAD_LIMIT_BYTES = 4 * 1000**3
"""Chosen by us: what a browser uploads in reasonable time; larger files are added by path."""


def add_models() -> None:
    """Three ways in, side by side; only uploads in a public deployment."""
    if is_public():
        with user_errors():
            _by_upload()
        return
    by_path, by_upload, by_scan = st.tabs(
        [":material/description: By path", ":material/upload: By upload", ":material/folder_open: Scan a folder"]
    )
    with by_path, user_errors():
        _by_path()
    with by_upload, user_errors():
        _by_upload()
    with by_scan, user_errors():
        _by_scan()


def _by_path() -> None:
    with st.form("add-path", border=False):
        path = st.text_input(
            "File, folder, or name in the Hugging Face cache",
            key="add_path",
            placeholder="/models/my-model or sentence-transformers/all-MiniLM-L6-v2",
            help="A safetensors, PyTorch, GGUF, ONNX or numpy file, a folder that holds one (sharded too), or the "
            "owner/name of a model that is already in the hub cache. Only headers are read; nothing is copied.",
        )
        if st.form_submit_button("Add", icon=":material/add:") and path.strip():
            added = library.add_path(store(), path.strip())
            st.toast(f"{added.name} is here.", icon=":material/check_circle:")
            st.rerun()


def _by_upload() -> None:
    file = st.file_uploader(
        f"One checkpoint file, up to {bytes_text(UPLOAD_LIMIT_BYTES)}",
        type=UPLOAD_TYPES,
        max_upload_size=UPLOAD_LIMIT_BYTES // 1000**2,
    )
    st.caption("PyTorch files are read as tensors only: code inside them is never run.")
    if file is not None and st.button("Add this file", icon=":material/add:"):
        added = library.add_upload(store(), file.name, file, limit_bytes=UPLOAD_LIMIT_BYTES)
        st.toast(f"{added.name} is here.", icon=":material/check_circle:")
        st.rerun()


def _by_scan() -> None:
    with st.form("scan", border=False):
        folder = st.text_input(
            "Folder",
            key="scan_folder",
            placeholder="/models",
            help="Searched with its subfolders; links are not followed in circles.",
        )
        if st.form_submit_button("Scan", icon=":material/search:") and folder.strip():
            with st.spinner("Looking for checkpoints …"):
                st.session_state["scan_outcome"] = library.scan_folder(store(), folder.strip())
            st.rerun()
    outcome = st.session_state.pop("scan_outcome", None)
    if outcome is None:
        return
    st.success(
        f"{len(outcome.added)} added, {len(outcome.known)} known already, {len(outcome.skipped)} skipped.",
        icon=":material/folder_open:",
    )
    for path, reason in outcome.skipped:
        st.caption(f"`{str(path).replace('`', '')}`: {escape_markdown(reason)}")

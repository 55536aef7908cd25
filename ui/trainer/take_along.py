"""A trained model as one zip to keep, to send, or to go on from elsewhere; and one that came so."""

from __future__ import annotations

from typing import BinaryIO

import streamlit as st

from storage.records import Location
from ui.page import escape_markdown, store, user_errors
from ui.trainer.links import model_location
from workflows.model_zip import add_model_zip, model_zip
from workflows.training import TrainingRun
from workflows.view_export import safe_name
from workflows.wording import bytes_text

UPLOAD_LIMIT_BYTES = 4 * 1000**3
"""Chosen by us: what a browser uploads in reasonable time; a larger folder is added by its path, in the Zoo."""


def take_along(run: TrainingRun) -> None:
    """The download of a finished model: weights, tokenizer, configuration and card."""
    location = model_location(run)
    if location is not None:
        st.download_button(
            f"Zip, {bytes_text(location.num_bytes)}",
            lambda: _packed(location),
            safe_name(location.name, "zip"),
            "application/zip",
            key="zip",
            on_click="ignore",
            icon=":material/download:",
            help="Model, tokenizer and card. Any program that reads Llama checkpoints opens it; here you can upload it "
            "and go on.",
        )


def _packed(location: Location) -> BinaryIO:
    return model_zip(store(), location).open("rb")


def upload_model() -> str | None:
    """A zip of a model folder that becomes a model here; returns the name of the one that has just come."""
    file = st.file_uploader(
        "A model as a zip",
        type=["zip"],
        max_upload_size=UPLOAD_LIMIT_BYTES // 1000**2,
        key=f"model_zip_{st.session_state.get('zips', 0)}",
        help="The folder of a Llama model with its tokenizer, such as the download of a model trained here.",
    )
    if file is None:
        return None
    with user_errors():
        added = add_model_zip(store(), file.name, file, limit_bytes=UPLOAD_LIMIT_BYTES)
        st.session_state["zips"] = st.session_state.get("zips", 0) + 1
        st.toast(f"{escape_markdown(added.name)} is here.", icon=":material/check_circle:")
        return added.name
    return None

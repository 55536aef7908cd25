"""From a run to the pages that show its model: each checkpoint is an ordinary model there."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from storage.records import Location
from storage.training import TrainingCheckpoint
from ui.page import store
from ui.trainer.reading import checkpoints_of
from workflows import library
from workflows.trained_models import INITIAL, model_folder
from workflows.training import TrainingRun

HEATMAP, SPACE = "pages/3_Heatmap.py", "pages/4_3D_Weights.py"
COMPARE, CHAT = "pages/5_Compare.py", "pages/2_Chat.py"
_SHARED = ("model", "other", "tensor", "layer", "role", "view", "look", "over", "show")
"""What other pages would take over from this session, in the place of what the link says."""


def model_location(run: TrainingRun) -> Location | None:
    """The finished model in the library; None before it is finished, or after it was deleted."""
    uri = str(run.result.get("uri") or "")
    return next((known for known in library.locations(store()) if known.uri == uri), None) if uri else None


def folder_of(run: TrainingRun, checkpoint: TrainingCheckpoint) -> str:
    """Where a checkpoint lies; "" if it is gone. What a new model was before training has a folder of its own."""
    home = model_folder(store(), run.name)
    places = [checkpoint.folder, str(home / INITIAL) if checkpoint.step == 0 else ""]
    return next((place for place in places if place and Path(place).is_dir()), "")


def known_checkpoint(run: TrainingRun, checkpoint: TrainingCheckpoint) -> Location:
    """A checkpoint as a model of the library, added if need be. Raises: SourceError if it is gone."""
    name = f"{run.name}-step-{checkpoint.step}"
    return library.add_path(store(), folder_of(run, checkpoint), name=name)


def go(page: str, **parameters: str) -> None:
    """Leave for another page, with these parameters in its URL and nothing of what was chosen there before."""
    for key in {*_SHARED, *parameters}:
        st.session_state.pop(key, None)
    st.switch_page(page, query_params=parameters)


def latest_here(run: TrainingRun) -> Location | None:
    """What of a run can be looked at now: the finished model, else its latest checkpoint that is on the disk."""
    finished = model_location(run)
    if finished is not None:
        return finished
    kept = [checkpoint for checkpoint in checkpoints_of(run) if folder_of(run, checkpoint)]
    return known_checkpoint(run, kept[-1]) if kept else None


def model_links(run: TrainingRun, *, key: str) -> None:
    """Buttons that lead to the model on the other pages."""
    with st.container(horizontal=True):
        for label, icon, page in (
            ("Heatmap", ":material/grid_on:", HEATMAP),
            ("3D Weights", ":material/landscape:", SPACE),
            ("Chat", ":material/chat:", CHAT),
        ):
            if st.button(label, key=f"{key}-{label}", icon=icon):
                _lead(run, page)


def film_button(run: TrainingRun, tensor: str) -> None:
    """To the Heatmap's film of one tensor over the checkpoints that are on the disk."""
    if sum(bool(folder_of(run, checkpoint)) for checkpoint in checkpoints_of(run)) < 2:
        return
    if st.button("See every weight as a film", key="film", icon=":material/movie:"):
        _lead(run, HEATMAP, tensor=tensor, look="Animation", over="versions")


def _lead(run: TrainingRun, page: str, **parameters: str) -> None:
    location = latest_here(run)
    if location is None:
        st.toast("No checkpoint of this run is on the disk yet.", icon=":material/hourglass_empty:")
    else:
        go(page, model=location.name, **parameters)

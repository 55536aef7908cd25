"""A model that was trained here: its checkpoints as a film and as lines, from the database alone."""

from __future__ import annotations

import numpy as np
import pytest

from storage.store import Store
from tests.pages.test_animation import film
from tests.pages.training_rows import TENSOR, remember
from workflows import library
from workflows.trained_models import model_folder


@pytest.fixture
def trained(write_safetensors) -> str:
    """The finished model of a run whose checkpoints were all deleted."""
    store = Store()
    home = model_folder(store, "my-book")
    write_safetensors(home / "model.safetensors", {TENSOR: np.full((4, 4), 0.07, np.float32)})
    remember(model=str(home))
    return library.add_path(store, home, origin="trained").name


def test_the_animation_offers_the_steps_of_the_training(open_page, trained):
    app = open_page("pages/3_Heatmap.py", model=trained, look="Animation", tensor=TENSOR, over="training steps")
    assert not app.exception, app.exception
    header = film(app)
    assert header["labels"] == ["before training", "step 3", "step 6"]
    assert header["title"] == TENSOR
    assert len(header["frame_knots"]) == 1, "one scale for all"
    assert "small pictures" in header["facts"]


def test_a_model_from_elsewhere_has_no_steps(open_page, added):
    app = open_page("pages/3_Heatmap.py", model=added, look="Animation")
    assert not app.exception
    assert "training steps" not in app.selectbox(key="over").options


def test_compare_draws_how_far_each_role_went(open_page, trained, text_of):
    app = open_page("pages/5_Compare.py", model=trained, other=trained, show="Over versions")
    assert not app.exception, app.exception
    assert "at 2 checkpoints" in text_of(app)

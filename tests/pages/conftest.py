"""Pages run in-process by Streamlit's own AppTest, on real files and a real database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from storage.store import Store
from workflows import library, locations
from workflows.extract import extract

HOME = Path(__file__).resolve().parent.parent.parent / "Home.py"


@pytest.fixture(autouse=True)
def _fresh_caches():
    """Cached pictures and stores belong to the data folder of one test."""
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def no_bundled_models(tmp_path, monkeypatch):
    """As if nothing came with the product: the emptiest house."""
    monkeypatch.setattr(locations, "BUNDLED", tmp_path / "none")


@pytest.fixture
def open_page():
    """open_page("pages/3_Heatmap.py", model="m") -> the page after its first run, query parameters set."""

    def open_(page: str | None = None, **parameters: str) -> AppTest:
        app = AppTest.from_file(str(HOME), default_timeout=60)
        for name, value in parameters.items():
            app.query_params[name] = value
        if page is not None:
            app = app.switch_page(page)
        return app.run()

    return open_


@pytest.fixture
def checkpoint(tmp_path, write_safetensors) -> Path:
    """A small decoder-like checkpoint with one NaN and a name full of mark-up."""
    rng = np.random.default_rng(1)
    arrays = {
        f"model.layers.{layer}.self_attn.{role}_proj.weight": rng.normal(0, 0.02, (48, 64)).astype(np.float32)
        for layer in range(2)
        for role in "qkvo"
    }
    arrays["model.embed_tokens.weight"] = rng.normal(size=(300, 64)).astype(np.float16)
    arrays["broken.weight"] = np.array([[1.0, np.nan], [np.inf, 0.0]], np.float32)
    arrays["<b>*odd*</b>_[name](x)"] = np.arange(12, dtype=np.int64).reshape(3, 4)
    return write_safetensors(tmp_path / "tiny" / "model.safetensors", arrays)


@pytest.fixture
def added(checkpoint) -> str:
    """The checkpoint known under its name, not measured."""
    return library.add_path(Store(), checkpoint).name


@pytest.fixture
def measured(added) -> str:
    """The checkpoint known and measured."""
    extract(added, store=Store())
    return added


def words(app: AppTest) -> str:
    """All text on the page."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(element.value for kind in kinds for element in kind)


@pytest.fixture
def text_of():
    return words

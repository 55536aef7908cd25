"""The whole model as a picture to keep: what the buttons give opens, and has the size that was asked for."""

import io

import pytest
from PIL import Image

from ui.panorama import export


@pytest.mark.parametrize(
    ("parameters", "width"), [({}, 1200), ({"export_width": "2400 px", "measure": "Parameters"}, 2400)]
)
def test_the_buttons_give_pictures(open_page, measured, monkeypatch, parameters, width):
    made = {}
    monkeypatch.setattr(export, "download", lambda label, make, name, mime, key: made.update({name: make}))
    app = open_page("pages/3_Heatmap.py", model=measured, look="Whole model", **parameters)
    assert not app.exception
    assert {name.rpartition(".")[2] for name in made} == {"png", "webp"}
    for name, make in made.items():
        assert Image.open(io.BytesIO(make())).width == width, name

"""Charts as files: offline, valid, on the paper of the theme, the same bytes each time."""

import io
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engine.errors import WeightscopeError
from engine.measures.distribution import distribution
from figures.charts_export import DENSITY, chart_png, chart_svg
from figures.distributions import histogram
from figures.pictures import DARK, LIGHT


@pytest.fixture(scope="module")
def chart():
    return histogram(distribution(np.random.default_rng(0).normal(size=2000).astype(np.float32)))


def test_an_svg_is_a_drawing_with_letters_and_bars(chart):
    root = ElementTree.fromstring(chart_svg(chart))
    kinds = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert root.tag.endswith("svg") and kinds.count("path") > 100 and kinds.count("text") > 8
    texts = {element.text for element in root.iter() if element.tag.endswith("text")}
    assert {"value", "weights", "median"} <= texts


def test_a_png_is_dense_and_on_the_paper_of_its_theme(chart):
    sizes = set()
    for is_dark, ink in ((False, LIGHT), (True, DARK)):
        image = Image.open(io.BytesIO(chart_png(chart, is_dark=is_dark)))
        pixels = np.asarray(image.convert("RGB"))
        assert tuple(pixels[0, 0]) == ink.paper
        assert (np.abs(pixels.astype(int) - (0x3D, 0x85, 0xC6)).max(axis=-1) <= 2).mean() > 0.02  # bars
        sizes.add(image.size)
    assert len(sizes) == 1 and sizes.pop()[0] > 900 * DENSITY


def test_the_same_chart_gives_the_same_bytes(chart):
    assert chart_svg(chart) == chart_svg(chart) and chart_png(chart) == chart_png(chart)


def test_a_chart_keeps_its_own_size_and_settings():
    table = pd.DataFrame({"x": [1, 2], "y": [3, 4]})
    small = (
        alt.Chart(table, width=120, height=80).mark_bar().encode(x="x:Q", y="y:Q").configure_axis(labelColor="#ff0000")
    )
    root = ElementTree.fromstring(chart_svg(small))
    assert float(root.get("width")) < 300
    assert b"#ff0000" in chart_svg(small)


def test_nothing_is_fetched_from_the_network():
    remote = alt.Chart("http://127.0.0.1:9/data.csv").mark_bar().encode(x="a:Q")
    with pytest.raises(WeightscopeError, match="could not be drawn"):
        chart_svg(remote)

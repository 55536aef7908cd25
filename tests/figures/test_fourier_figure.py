"""The charts of waves: what they draw, and that they can be drawn of anything."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from engine.discovery.fourier import FourierSettings, Peak, fourier_reading
from engine.discovery.fourier_power import power_picture
from figures.fourier import autocorrelation_chart, axis_power_chart, power_chart, shared_limits


def rows_of(chart) -> list[dict]:
    """The rows of every data set in a chart's specification."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


@pytest.fixture(scope="module")
def reading():
    matrix = np.random.default_rng(0).standard_normal((900, 30)) + np.cos(2 * np.pi * np.arange(900) / 9)[:, None]
    return fourier_reading(matrix, FourierSettings(num_nulls=4))


def test_the_picture_is_drawn_upright_with_its_highest_cell_brightest():
    picture = np.ones((8, 4), np.float32)
    picture[6, 1] = 100.0  # a frequency above zero lies in the upper half
    row = next(row for row in rows_of(power_chart(picture, (0.5, 100))) if "image" in row)
    assert (row["left"], row["right"], row["bottom"], row["top"]) == (0, 0.5, -0.5, 0.5)
    image = Image.open(io.BytesIO(base64.b64decode(row["image"].partition(",")[2]))).convert("RGB")
    assert image.size == (4, 8)
    brightness = np.asarray(image, int).sum(axis=2)
    assert np.unravel_index(brightness.argmax(), brightness.shape) == (1, 1)


def test_every_peak_is_ringed_where_it_is_and_says_its_periods():
    peaks = (Peak(0.125, 0.25, 40.0, 0.1, 0.05), Peak(0.0, 0.5, 30.0, 0.05, 0.05))
    rows = [row for row in rows_of(power_chart(np.ones((4, 4)), (0.5, 2), peaks)) if "share" in row]
    assert [(row["left"], row["bottom"], row["rows"], row["columns"]) for row in rows] == [
        (0.25, 0.125, "8", "4"),
        (0.5, 0.0, "does not change", "2"),
    ]


def test_limits_are_shared_and_span_all_pictures():
    low, high = shared_limits([np.array([[1.0, 2.0]]), np.array([[0.5, 90.0]]), np.array([[np.nan, 0.0]])])
    assert 0.5 <= low < 1.1 and high == 90
    assert shared_limits([np.full((2, 2), np.nan)]) == (0.1, 1.0)
    low, high = shared_limits([np.full((2, 2), 3.0)])
    assert 0 < low < 3 < high


def test_a_long_curve_keeps_its_peak(reading):
    rows = rows_of(axis_power_chart(reading.rows, "row"))
    curve = [row for row in rows if "period" in row]
    assert len(curve) <= 400 < len(reading.rows.relative)
    highest = max(curve, key=lambda row: row["value"])
    assert highest["period"] == pytest.approx(9) and highest["value"] == pytest.approx(reading.rows.relative.max())


def test_correlations_are_drawn_from_the_first_neighbour_on_beside_the_band(reading):
    rows = rows_of(autocorrelation_chart(reading.columns, "column"))
    points = {row["at"]: row["value"] for row in rows if "value" in row}
    assert list(points) == list(range(1, 30))
    assert points[2] == pytest.approx(reading.columns.autocorrelation[2])
    band = [row for row in rows if "low" in row]
    assert [row["low"] for row in band] == pytest.approx([reading.columns.autocorrelation_band[0, 1]] * 2)


@pytest.mark.parametrize("matrix", [np.full((5, 6), 1.0), np.eye(2), np.random.default_rng(1).normal(size=(2, 300))])
def test_charts_can_be_drawn_of_anything(matrix):
    for nulls in (0, 1):
        reading = fourier_reading(matrix, FourierSettings(num_nulls=nulls))
        picture = power_picture(reading.spectrum, 16, 16)
        power_chart(picture, shared_limits([picture]), reading.peaks).to_json()
        for axis, line in ((reading.rows, "row"), (reading.columns, "column")):
            axis_power_chart(axis, line).to_json()
            autocorrelation_chart(axis, line).to_json()

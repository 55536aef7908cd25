"""The numbers behind the whole-model views: heights, messages, values."""

import json
import struct

import numpy as np
import pytest

import engine.sources
from engine.naming import place
from engine.panorama import Member, panorama
from engine.tile_colours import NAN_NUMBER, cell_numbers, group_scales
from storage.records import Location
from ui.model_3d import city_table, height_shares
from ui.panorama.canvas import Scene, encoded
from ui.selection import Selection
from ui.tile_values import BITS, PARAMETERS, tile_values


def test_heights_are_shares_of_the_98th_percentile_of_the_magnitudes():
    values = np.array([-1.0, *np.linspace(0, 1, 98), 50.0])
    shares, are_cut = height_shares(values, is_log=False)
    limit = np.percentile(np.abs(values), 98)
    np.testing.assert_allclose(shares, np.minimum(np.abs(values) / limit, 1.0))
    assert are_cut[-1] and shares[-1] == 1.0


def test_logarithmic_heights_lift_the_small_and_keep_the_order():
    values = np.geomspace(0.01, 1.0, 20)
    (plain, _), (lifted, _) = height_shares(values, is_log=False), height_shares(values, is_log=True)
    assert (np.diff(lifted) >= 0).all() and (lifted >= plain - 1e-9).all() and lifted[0] > 5 * plain[0]


@pytest.mark.parametrize("is_log", [False, True])
def test_undefined_heights_stay_undefined_and_zeros_are_flat(is_log):
    shares, are_cut = height_shares(np.array([np.nan, 0.0, 0.0]), is_log)
    assert np.isnan(shares[0]) and (shares[1:] == 0).all() and not are_cut.any()
    assert np.isnan(height_shares(np.array([np.nan]), is_log)[0]).all()
    assert height_shares(np.zeros(0), is_log)[0].size == 0


def test_the_canvas_gets_every_cell_as_the_number_of_its_colour():
    names = ["h.0.attn.q_proj.weight", "h.1.attn.q_proj.weight", "gone.weight"]
    layout = panorama([Member(name, (2, 3), place(name)) for name in names])
    grids = [np.array([[0.5, -1.0, np.nan]]), np.array([[np.inf], [0.25]]), None]
    scales = group_scales(grids, [0, 0, 0], "linear", are_values=False)
    scene = Scene(
        layout=layout,
        names=names,
        facts=["2 × 3"] * 3,
        notes=["<b>"] * 3,
        grids=grids,
        scales=scales,
        name="blue-red",
        marks=[""] * 3,
        row_marks=[],
        is_dim=[False, True, False],
        selected=None,
        bar=["−1", "0", "1"],
        bar_title="weight",
        are_values=False,
    )
    message = encoded(scene)
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    cells = np.frombuffer(message, "<u2", offset=4 + length)
    assert header["grids"] == [[1, 3, 0], [2, 1, 3], None] and header["dim"] == [1]
    expected = np.concatenate([cell_numbers(grid, scales[0]).ravel() for grid in grids[:2]])
    np.testing.assert_array_equal(cells, expected)
    assert cells[2] == NAN_NUMBER


def test_the_table_behind_the_city_has_every_tensor_with_both_numbers(write_safetensors, tmp_path):
    arrays = {"model.layers.3.mlp.up_proj.weight": np.ones((2, 3), np.float16), "empty": np.zeros((0, 4), np.float32)}
    path = write_safetensors(tmp_path / "m.safetensors", arrays)
    with engine.sources.open(str(path)) as source:
        location = Location("m", source.uri, "added", source.fingerprint, source.format, 2, 6, 12)
        info = source.infos()[0]
        selection = Selection(location, source, info, place(info.name, info.shape))
        table = city_table(selection, tile_values(selection, PARAMETERS), tile_values(selection, BITS))
    table = table.set_index("tensor")
    assert list(table.columns) == ["stack", "layer", "role", "part", "shape", "dtype", PARAMETERS, BITS]
    assert table.loc["model.layers.3.mlp.up_proj.weight"].tolist() == ["", 3, "ffn_in", "weight", "2x3", "F16", 6, 16]
    assert table.loc["empty", PARAMETERS] == 0 and np.isnan(table.loc["empty", BITS])

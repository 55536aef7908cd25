"""The panorama as a picture: every tile where the layout says, every pixel in the colour of its number."""

import numpy as np
import pytest

from engine.colour_maps import NAN_COLOUR, colour_image
from engine.naming import place
from engine.panorama import Member, panorama
from engine.tile_colours import group_scales
from figures.panorama_picture import Mosaic, panorama_picture
from figures.picture_frame import DARK, LIGHT, PictureFrame

NAMES = [f"h.{layer}.attn.{role}_proj.weight" for layer in range(2) for role in "qk"]


def mosaic(grids, are_values=False, groups=None):
    layout = panorama([Member(name, (8, 8), place(name)) for name in NAMES])
    scales = group_scales(grids, groups or [0] * len(grids), "linear", are_values=are_values)
    return Mosaic(layout, grids, scales, "blue-red", are_values)


def regions(picture, colour):
    """The bounding box (top, bottom, left, right) of a colour, and how many of its pixels have it."""
    found = (np.asarray(picture) == np.uint8(colour)).all(axis=2)
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    return (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1), int(found.sum())


def test_each_tile_is_a_rectangle_of_its_number_where_its_layer_and_role_are():
    values = [-4.0, -2.0, 2.0, 4.0]
    shown = mosaic([np.full((1, 1), value) for value in values], are_values=True)
    picture = panorama_picture(shown, PictureFrame(width=1200))
    assert picture.width == 1200
    boxes = {}
    for value, name in zip(values, NAMES, strict=True):
        colour = colour_image(np.array([value]), shown.scales[0], "blue-red")[0]
        box, count = regions(picture.crop((0, 0, 1000, picture.height)), colour)
        assert count >= 114 * 50  # the tile, whole
        boxes[name] = box
    q0, k0, q1, k1 = (boxes[name] for name in NAMES)
    assert q0[0] == q1[0] and q0[3] <= q1[2]  # one row; layer 1 is right of layer 0
    assert k0[2] == q0[2] and q0[1] <= k0[0]  # one column; key is below query
    assert k1[0] == k0[0] and k1[2] == q1[2]


def test_cells_have_exactly_the_colours_of_the_screen():
    rng = np.random.default_rng(0)
    grids = [rng.normal(size=(2, 2)).astype(np.float32) for _ in NAMES]
    grids[3][0, 1] = np.nan
    shown = mosaic(grids)
    picture = np.asarray(panorama_picture(shown, PictureFrame(width=1200)))
    present = {tuple(colour) for colour in picture.reshape(-1, 3)}
    for grid in grids:
        assert {tuple(c) for c in colour_image(grid, shown.scales[0], "blue-red").reshape(-1, 3)} <= present
    assert NAN_COLOUR in present


def test_an_outlier_is_seen_however_small_the_tile():
    grids = [np.zeros((32, 32), np.float32) for _ in NAMES]
    grids[0][17, 5] = 1.0
    shown = mosaic(grids)
    strongest = tuple(colour_image(np.array([1.0]), shown.scales[0], "blue-red")[0])
    for width in (320, 1200):
        picture = panorama_picture(shown, PictureFrame(width=width))
        left_half = np.asarray(picture)[:, : int(picture.width * 0.6)]
        assert strongest in {tuple(c) for c in left_half.reshape(-1, 3)}


@pytest.mark.parametrize(("is_dark", "ink"), [(False, LIGHT), (True, DARK)])
def test_what_cannot_be_shown_is_hatched_and_never_coloured(is_dark, ink):
    shown = mosaic([None, np.zeros((0, 4)), np.full((1, 1), np.nan), np.full((1, 1), 2.0)], are_values=True)
    picture = np.asarray(panorama_picture(shown, PictureFrame(width=1200, is_dark=is_dark)))
    colours = {tuple(c) for c in picture.reshape(-1, 3)}
    assert ink.line in colours and NAN_COLOUR not in colours
    assert tuple(picture[0, 0]) == ink.paper


def test_a_colour_bar_stands_there_only_where_it_holds_for_every_tile():
    grids = [np.full((2, 2), float(k + 1)) for k in range(4)]
    one, apart = mosaic(grids), mosaic(grids, groups=[0, 1, 2, 3])
    blues = [tuple(c) for c in colour_image(np.linspace(-4, -1, 60), one.scales[0], "blue-red")]  # only the bar's

    def num_blues(shown):
        present = {tuple(c) for c in np.asarray(panorama_picture(shown, PictureFrame())).reshape(-1, 3)}
        return len(present.intersection(blues))

    assert num_blues(one) > 10 and num_blues(apart) == 0


def test_a_picture_of_nothing_and_of_a_model_without_layers_can_be_drawn():
    empty = Mosaic(panorama([]), [], [], "blue-red")
    assert panorama_picture(empty, PictureFrame(width=400)).width == 400
    layout = panorama([Member("a.weight", (2, 2), place("a.weight"))])
    free = Mosaic(layout, [np.ones((2, 2))], group_scales([np.ones((2, 2))], [0], "linear", are_values=False), "grey")
    assert panorama_picture(free, PictureFrame(width=400)).height > 20

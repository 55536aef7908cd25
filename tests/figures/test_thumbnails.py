"""Pictures of tensors and models, pixel by pixel."""

import io

import numpy as np
from PIL import Image

from engine.colour_maps import COLOUR_MAPS, NAN_COLOUR, colour_image
from engine.colour_scales import signed_scale
from engine.naming import Place
from figures.thumbnails import GAP, TILE, model_strip, shared_limit, tensor_picture


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def weight(layer, role, stack=""):
    return Place(layer, role, "weight", stack)


def test_a_picture_shows_each_cell_as_a_sharp_square_in_the_colour_of_its_number():
    values = np.array([[1.0, -1.0], [0.0, np.nan]], np.float32)
    picture = pixels(tensor_picture(values, height=10, limit=1.0))
    assert picture.shape == (10, 10, 3)
    expected = colour_image(values, signed_scale(1.0), "blue-red").repeat(5, axis=0).repeat(5, axis=1)
    np.testing.assert_array_equal(picture, expected)
    assert tuple(picture[9, 9]) == NAN_COLOUR


def test_a_picture_follows_the_shape_of_its_grid_within_bounds():
    for shape, width in [((10, 10), 40), ((10, 20), 80), ((1, 32), 160), ((32, 1), 10), ((0, 4), 40)]:
        assert pixels(tensor_picture(np.ones(shape, np.float32), height=40)).shape == (40, width, 3)


def test_pictures_with_one_limit_show_the_same_number_in_the_same_colour():
    quiet, loud = (np.full((2, 2), value, np.float32) for value in (0.1, 1.0))
    limit = shared_limit([quiet, loud])
    assert not np.array_equal(pixels(tensor_picture(quiet, limit=limit)), pixels(tensor_picture(loud, limit=limit)))


def test_the_shared_limit_passes_over_nan_and_infinity_and_is_never_zero():
    assert shared_limit([np.array([np.nan, np.inf, -3.0])]) == 3.0
    assert shared_limit([np.zeros(4)]) == 1.0
    assert shared_limit([]) == 1.0
    assert shared_limit([np.r_[np.zeros(999), 5.0]]) == 5.0


def test_a_strip_places_layers_from_left_to_right_and_roles_from_top_to_bottom():
    places = [
        weight(None, "token_embedding"),
        weight(1, "query"),
        weight(0, "ffn_in"),
        weight(0, "query"),
        weight(1, "ffn_in"),
        weight(None, "lm_head"),
    ]
    tiles = [(place, np.full((4, 4), (k - 2.5) / 3, np.float32)) for k, place in enumerate(places)]
    limit = shared_limit(values for _, values in tiles)
    picture = pixels(model_strip(tiles))
    factor = picture.shape[0] // (2 * TILE + GAP)
    pitch, left = factor * (TILE + GAP), (picture.shape[1] - factor * (4 * (TILE + GAP) - GAP)) // 2

    def colour_at(row, column):
        red, green, blue, alpha = picture[row * pitch + pitch // 3, left + column * pitch + pitch // 3]
        return alpha, (red, green, blue)

    layout = {(0, 0): 0, (0, 1): 3, (0, 2): 1, (1, 1): 2, (1, 2): 4, (0, 3): 5}
    for (row, column), tile in layout.items():
        expected = colour_image(tiles[tile][1][0, 0], signed_scale(limit), "blue-red")
        assert colour_at(row, column) == (255, tuple(expected)), (row, column)
    assert colour_at(1, 0)[0] == 0 and colour_at(1, 3)[0] == 0  # transparent, for light and dark pages


def test_two_tensors_of_one_role_in_one_layer_both_show():
    tiles = [(weight(0, "query"), np.ones((2, 2), np.float32)), (weight(0, "query"), -np.ones((2, 2), np.float32))]
    picture = pixels(model_strip(tiles))
    shown = picture[picture[..., 3] == 255][:, :3]
    assert {tuple(colour) for colour in shown} == {tuple(COLOUR_MAPS["blue-red"].colours[k]) for k in (0, 255)}


def test_layers_of_several_stacks_stand_beside_each_other():
    tiles = [(weight(0, "query", stack), np.ones((2, 2), np.float32)) for stack in ("encoder", "decoder")]
    shown = (pixels(model_strip(tiles))[..., 3] == 255).any(axis=0)
    assert np.diff(np.r_[0, shown.astype(int)]).clip(0).sum() == 2


def test_a_model_without_layers_is_a_grid_of_all_its_tensors():
    tiles = [(weight(None, "other"), np.full((3, 3), k + 1, np.float32)) for k in range(10)]
    picture = pixels(model_strip(tiles))
    assert (picture[..., 3] == 255).mean() > 0.5


def test_a_very_deep_model_keeps_its_first_and_last_layer_in_a_bounded_picture():
    tiles = [(weight(k, "query"), np.full((1, 1), 1.0 if k in (0, 999) else -1.0, np.float32)) for k in range(1000)]
    picture = pixels(model_strip(tiles))
    assert picture.shape[1] <= 80 * (TILE + GAP)
    strongest = tuple(COLOUR_MAPS["blue-red"].colours[255])
    assert tuple(picture[5, 5, :3]) == strongest and tuple(picture[5, -5, :3]) == strongest


def test_a_tensor_without_entries_leaves_its_place_open():
    tiles = [(weight(0, "query"), np.ones((2, 2), np.float32)), (weight(1, "query"), np.zeros((0, 2), np.float32))]
    assert pixels(model_strip(tiles))[..., 3].any()

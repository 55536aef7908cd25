"""Colour maps: their shape, that they read, and that special numbers never look like ordinary ones."""

import io

import numpy as np
import pytest
from PIL import Image

from engine.colour_limits import ColourLimits
from engine.colour_maps import (
    COLOUR_MAPS,
    NAN_COLOUR,
    NEGINF_COLOUR,
    POSINF_COLOUR,
    colour_image,
    colour_map,
    default_colour_map,
    png,
    value_png,
)
from engine.colour_scales import linear_scale, signed_scale
from engine.errors import WeightscopeError

EVERY_MAP = pytest.mark.parametrize("name", COLOUR_MAPS)


def lightness(colours):
    """CIE L* of sRGB colours, 0 … 100."""
    linear = np.where(colours / 255 <= 0.04045, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


@EVERY_MAP
def test_a_map_is_256_colours_under_its_name(name):
    entry = COLOUR_MAPS[name]
    assert entry.name == name
    assert entry.colours.shape == (256, 3) and entry.colours.dtype == np.uint8
    assert not entry.colours.flags.writeable


def test_there_are_signed_and_unsigned_maps_for_light_and_dark_pages():
    assert len(COLOUR_MAPS) == 8
    assert {(entry.is_signed, entry.is_dark) for entry in COLOUR_MAPS.values()} >= {(True, False), (True, True)}
    assert sum(not entry.is_signed for entry in COLOUR_MAPS.values()) == 4


@EVERY_MAP
def test_special_numbers_look_like_no_colour_of_any_map(name):
    colours = COLOUR_MAPS[name].colours.astype(float)
    for special in (NAN_COLOUR, POSINF_COLOUR, NEGINF_COLOUR):
        assert np.linalg.norm(colours - special, axis=1).min() > 90


@EVERY_MAP
def test_lightness_never_turns_back_between_the_ends_and_the_middle(name):
    entry = COLOUR_MAPS[name]
    light = lightness(entry.colours.astype(float))
    if not entry.is_signed:
        assert (np.diff(light) > -0.5).all() and light[-1] - light[0] > 50
        return
    towards = -1 if entry.is_dark else 1
    assert (towards * np.diff(light[:128]) > -0.5).all() and (towards * np.diff(light[128:]) < 0.5).all()
    assert abs(light[0] - light[-1]) < 30  # purple-orange ends in a darker purple; the others are within 15


@EVERY_MAP
def test_zero_is_neutral_in_signed_maps(name):
    if COLOUR_MAPS[name].is_signed:
        middle = COLOUR_MAPS[name].colours[127:129].astype(int)
        assert np.ptp(middle, axis=1).max() <= 12


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("blue-red", "053061", "67001f"), ("viridis", "440154", "fde725"), ("cividis", "00204d", "ffea46")],
)
def test_the_ends_of_a_map_are_its_published_colours(name, first, last):
    assert [bytes(COLOUR_MAPS[name].colours[k]).hex() for k in (0, -1)] == [first, last]


def test_a_number_takes_its_colour_by_the_stated_rule_and_the_ends_saturate():
    values = np.array([-9.0, -1.0, -1.0 + 2 / 256, 0.0, 0.999, 1.0, 9.0])
    image = colour_image(values, signed_scale(1.0), "blue-red")
    np.testing.assert_array_equal(image, COLOUR_MAPS["blue-red"].colours[[0, 0, 1, 128, 255, 255, 255]])


def test_nan_and_infinities_take_their_own_colours():
    scale = linear_scale(ColourLimits(0.0, 1.0, False))
    image = colour_image(np.array([[np.nan, np.inf, -np.inf]], np.float32), scale, "magma")
    assert image.tolist() == [[list(NAN_COLOUR), list(POSINF_COLOUR), list(NEGINF_COLOUR)]]


def test_an_image_survives_png_exactly():
    image = colour_image(np.random.default_rng(0).standard_normal((7, 11)), signed_scale(2.0), "ice-fire")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(image)))), image)


@pytest.mark.parametrize("name", ["blue-red", "viridis"])
@pytest.mark.parametrize("special", [0.0, np.nan, np.inf])
def test_a_png_of_numbers_has_exactly_the_colours_of_the_screen(name, special):
    values = np.random.default_rng(0).standard_normal((23, 41)).astype(np.float32)
    values[3, 5], scale = special, signed_scale(2.0)
    picture = Image.open(io.BytesIO(value_png(values, scale, name)))
    assert picture.mode == ("P" if special == 0 else "RGB")
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), colour_image(values, scale, name))


def test_a_png_of_finite_numbers_takes_half_the_bytes_of_its_colours():
    values, scale = np.random.default_rng(0).standard_normal((256, 256)), signed_scale(2.0)
    assert len(value_png(values, scale, "blue-red")) < 0.67 * len(png(colour_image(values, scale, "blue-red")))


def test_an_unknown_map_is_refused_with_the_names_there_are():
    with pytest.raises(WeightscopeError, match="viridis"):
        colour_map("jet")


def test_the_default_map_suits_the_data_and_the_page():
    for is_signed in (True, False):
        for is_dark in (True, False):
            assert COLOUR_MAPS[default_colour_map(is_signed, is_dark)].is_signed == is_signed
    assert COLOUR_MAPS[default_colour_map(True, True)].is_dark
    assert not COLOUR_MAPS[default_colour_map(True, False)].is_dark

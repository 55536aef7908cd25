"""Exported pictures, pixel by pixel: the plot has exactly the colours of the screen, and the frame says what it is."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.colour_limits import ColourLimits
from engine.colour_maps import NAN_COLOUR, NEGINF_COLOUR, POSINF_COLOUR, colour_image
from engine.colour_scales import linear_scale, rank_scale, signed_scale, symmetric_log_scale
from engine.errors import WeightscopeError
from engine.heatmaps import Grid
from figures.lettering import drawable, fitted, short_number, text_width, ticks
from figures.pictures import (
    DARK,
    LIGHT,
    Axes,
    PictureFrame,
    bar_ticks,
    colour_bar,
    coloured_cells,
    framed,
    heatmap_picture,
    plot_size,
    png_bytes,
    tiles,
    webp_bytes,
)

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(24, 36)).astype(np.float32)


def exact_grid(values, row=0, column=0):
    values = np.asarray(values, np.float32)
    return Grid(values, row, row + values.shape[0], column, column + values.shape[1], 1, 1)


def place_of(part, picture):
    """Where (top, left) a block of pixels lies in a picture; None if it is not there."""
    part, picture = np.asarray(part), np.asarray(picture)
    height, width = part.shape[:2]
    room = picture[: picture.shape[0] - height + 1, : picture.shape[1] - width + 1]
    for top, left in np.argwhere((room == part[0, 0]).all(axis=-1)):
        if np.array_equal(picture[top : top + height, left : left + width], part):
            return int(top), int(left)
    return None


def enlarged(values, scale, name, height, width):
    """The slow version: every pixel asks which cell lies under its centre."""
    colours = colour_image(values, scale, name)
    picture = np.zeros((height, width, 3), np.uint8)
    for y, x in itertools.product(range(height), range(width)):
        picture[y, x] = colours[int((y + 0.5) * len(values) / height), int((x + 0.5) * len(values[0]) / width)]
    return picture


@pytest.mark.parametrize(
    ("scale", "name"),
    [
        (signed_scale(1.5), "blue-red"),
        (symmetric_log_scale(ColourLimits(-2.0, 2.0, True)), "ice-fire"),
        (rank_scale(WEIGHTS), "purple-green"),
        (linear_scale(ColourLimits(0.0, 1.0, False)), "viridis"),
    ],
)
@pytest.mark.parametrize("is_dark", [False, True])
def test_the_plot_has_exactly_the_colours_of_the_numbers(scale, name, is_dark):
    frame = PictureFrame("weights", width=320, is_dark=is_dark)
    height, width = plot_size(*WEIGHTS.shape, frame)
    assert height >= 24 and width >= 36
    expected = enlarged(WEIGHTS, scale, name, height, width)
    assert place_of(expected, heatmap_picture(exact_grid(WEIGHTS), scale, name, frame)) is not None


@given(shape=st.tuples(st.integers(1, 4000), st.integers(1, 4000)), width=st.sampled_from([320, 451, 1200, 4096]))
@settings(max_examples=200, deadline=None)
def test_a_plot_fits_its_picture_and_uses_it(shape, width):
    frame = PictureFrame(width=width)
    height, across = plot_size(*shape, frame)
    assert 1 <= height <= 0.7 * width and 1 <= across <= width - 100 * frame.unit
    room_height, room_width = plot_size(1_000_000, 1_000_000, frame)
    cell = max(height / shape[0], across / shape[1])
    assert height > 0.34 * room_height or across > 0.34 * room_width or cell >= 0.7 * 96 * frame.unit


def test_cells_beyond_the_pixels_are_pooled_so_that_no_outlier_is_lost():
    values = np.zeros((999, 777), np.float32)
    values[501, 333], values[998, 776], values[0, 0] = -7.0, np.nan, np.inf
    picture = coloured_cells(values, signed_scale(7.0), "blue-red", 50, 50)
    assert (picture == colour_image(-7.0, signed_scale(7.0), "blue-red")).all(axis=-1).sum() == 1
    assert tuple(picture[-1, -1]) == NAN_COLOUR and tuple(picture[0, 0]) == POSINF_COLOUR


def test_pooled_cells_are_even_where_that_costs_little():
    frame = PictureFrame(width=720)
    grid = Grid(RNG.normal(size=(384, 384)).astype(np.float32), 0, 1536, 0, 384, 4, 1)
    room = plot_size(1536, 384, frame)
    assert 384 < room[0] < 2 * 384
    plot = colour_image(grid.values, signed_scale(1.0), "grey")
    assert place_of(plot, heatmap_picture(grid, signed_scale(1.0), "grey", frame)) is not None  # a pixel each


def test_sorted_lines_keep_their_own_numbers_along_the_axes():
    frame = PictureFrame(width=600)
    grid = exact_grid(WEIGHTS)
    plain = np.asarray(heatmap_picture(grid, signed_scale(1.0), "grey", frame))
    same = np.asarray(heatmap_picture(grid, signed_scale(1.0), "grey", frame, axes=Axes(np.arange(24), np.arange(36))))
    other = np.asarray(heatmap_picture(grid, signed_scale(1.0), "grey", frame, axes=Axes(np.arange(24)[::-1], None)))
    np.testing.assert_array_equal(plain, same)
    assert (plain != other).any()
    _, left = place_of(enlarged(WEIGHTS, signed_scale(1.0), "grey", *plot_size(24, 36, frame)), other)
    np.testing.assert_array_equal(plain[:, left:], other[:, left:])  # only the row numbers differ


def test_frames_that_speak_of_the_same_numbers_have_the_same_layout():
    broken = WEIGHTS.copy()
    broken[0, 0], broken[1, 1] = np.nan, 99.0
    whole = np.stack([WEIGHTS, broken])
    frame = PictureFrame("title", width=500)
    sizes = {
        heatmap_picture(exact_grid(values), signed_scale(1.0), "grey", frame, whole=whole).size for values in whole
    }
    assert len(sizes) == 1


def test_a_small_window_has_cells_of_equal_whole_pixels():
    frame = PictureFrame(width=1200)
    height, width = plot_size(64, 64, frame)
    assert height == width and height % 64 == 0


def test_the_colour_bar_runs_from_the_low_end_to_the_high_end_of_any_scale():
    frame = PictureFrame()
    for scale in (signed_scale(3.0), symmetric_log_scale(ColourLimits(-3.0, 3.0, True)), rank_scale(WEIGHTS)):
        bar = np.asarray(colour_bar(scale, "blue-red", 512, frame))
        column = bar[10 : 10 + 512, 5]
        expected = colour_image(scale.values_at(1 - (np.arange(512) + 0.5) / 512), scale, "blue-red")
        np.testing.assert_array_equal(column, expected)
        assert tuple(column[0]) != tuple(column[-1])


def test_numbers_beyond_the_scale_are_admitted_beside_the_bar_and_only_at_their_end():
    def labels(extremes):
        bar = np.asarray(colour_bar(signed_scale(3.0), "blue-red", 300, PictureFrame(), extremes=extremes))
        ink = (bar[:, 20:] != LIGHT.paper).any(axis=-1)
        return ink[:30].sum(), ink[-30:].sum()  # letters at the upper and at the lower end

    inside, above, below = labels((-3.0, 3.0)), labels((-3.0, 3.1)), labels((-3.1, 3.0))
    assert labels(None) == inside
    assert above[0] > inside[0] and above[1] == inside[1]
    assert below[1] > inside[1] and below[0] == inside[0]


def test_what_is_no_number_is_explained_only_where_it_occurs():
    broken = WEIGHTS.copy()
    broken[0, 0], broken[2, 2], broken[4, 4] = np.nan, np.inf, -np.inf
    scale, frame = signed_scale(1.0), PictureFrame(width=600)
    for values, count in ((WEIGHTS, 0), (broken, 1)):
        pixels = np.asarray(heatmap_picture(exact_grid(values), scale, "grey", frame))
        below = pixels[-40:]
        for colour in (NAN_COLOUR, POSINF_COLOUR, NEGINF_COLOUR):
            assert bool((below == colour).all(axis=-1).any()) == bool(count)


def test_letters_stand_on_the_paper_of_their_theme():
    for is_dark, ink in ((False, LIGHT), (True, DARK)):
        frame = PictureFrame("Title", "subtitle", "source", width=400, is_dark=is_dark)
        pixels = np.asarray(heatmap_picture(exact_grid(WEIGHTS), signed_scale(1.0), "grey", frame))
        assert tuple(pixels[0, 0]) == ink.paper == tuple(pixels[-1, -1])
        head = pixels[15:50, 15:100].reshape(-1, 3)
        assert (head == ink.text).all(axis=-1).any()  # the title
        assert not (pixels[:, :3] != ink.paper).any()  # and a margin


def test_without_title_and_source_the_picture_is_lower_and_the_plot_the_same():
    bare, told = PictureFrame(width=500), PictureFrame("Title", "subtitle", "source", width=500)
    pictures = [heatmap_picture(exact_grid(WEIGHTS), signed_scale(1.0), "grey", frame) for frame in (bare, told)]
    assert pictures[0].height < pictures[1].height
    plot = enlarged(WEIGHTS, signed_scale(1.0), "grey", *plot_size(*WEIGHTS.shape, bare))
    assert all(place_of(plot, picture) for picture in pictures)


def test_names_in_any_script_broken_unicode_and_control_characters_are_drawn_as_one_line():
    hostile = "日本語 \ud800 \x00\n\u202e тензор <b>" * 30
    frame = PictureFrame(hostile, hostile, hostile, width=400)
    picture = heatmap_picture(exact_grid(WEIGHTS), signed_scale(1.0), "grey", frame)
    assert picture.width == 400
    assert Image.open(io.BytesIO(png_bytes(picture, {"Title": hostile}))).size == picture.size
    assert "\n" not in drawable(hostile) and drawable("a\x00b") == "a?b" and drawable("2 × 3 ≥ −1") == "2 x 3 >= -1"


def test_scalars_vectors_and_empty_windows_have_a_picture():
    for shape in ((1, 1), (1, 384), (384, 1), (0, 7), (7, 0), (0, 0)):
        picture = heatmap_picture(exact_grid(np.ones(shape)), signed_scale(1.0), "grey", PictureFrame(width=400))
        assert picture.width == 400 and 80 <= picture.height <= 400


def test_the_same_picture_gives_the_same_bytes_and_both_formats_keep_every_pixel():
    def make():
        frame = PictureFrame("Title", "sub", "source", width=400)
        return heatmap_picture(exact_grid(WEIGHTS), signed_scale(1.0), "blue-red", frame)

    pixels = np.asarray(make())
    for write in (webp_bytes, lambda picture: png_bytes(picture, {"Title": "ω 日本"})):
        assert write(make()) == write(make())
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(write(make()))).convert("RGB")), pixels)
    assert Image.open(io.BytesIO(png_bytes(make(), {"Title": "ω 日本"}))).text["Title"] == "ω 日本"


def test_tiles_stand_in_reading_order_and_a_frame_takes_any_picture():
    squares = [np.full((12, 20, 3), 10 * k, np.uint8) for k in range(1, 6)]
    frame = PictureFrame("five", source="somewhere", width=320)
    body = tiles(squares, ["a", "b", "c", "d", "a caption that is too long"], 2, frame)
    places = [place_of(square, body) for square in squares]
    assert places[0][0] == places[1][0] < places[2][0] < places[4][0] and places[0][1] == places[4][1] < places[1][1]
    picture = framed(body, frame)
    assert picture.width == 320 and place_of(body, picture) is not None


def test_a_width_out_of_bounds_is_refused():
    for width in (0, 319, 8193):
        with pytest.raises(WeightscopeError, match=str(width)):
            PictureFrame(width=width)


def test_long_texts_keep_beginning_and_end():
    text = fitted("model.layers.11.self_attn.q_proj.weight", 20, 200)
    assert text.startswith("model.") and text.endswith("weight") and "…" in text and text_width(text, 20) <= 200
    assert fitted("short", 20, 200) == "short" and fitted("anything", 20, 0) in ("", "…")


def test_numbers_are_short_as_on_the_canvas():
    cases = {0.0: "0", 0.01234: "0.0123", -12.0: "-12", 12345.6: "12300", 1.5e-7: "1.5e-7", 2e5: "2e+5", 1e-301: "0"}
    assert {value: short_number(value) for value in cases} == cases
    assert [short_number(value) for value in (np.nan, np.inf, -np.inf)] == ["NaN", "+Inf", "-Inf"]


def test_ticks_are_round_numbers_inside_the_window():
    assert ticks(0, 100, 300, 30) == list(range(0, 100, 10))
    assert ticks(37, 41, 400, 30) == [37, 38, 39, 40]
    assert ticks(30_000, 30_522, 300, 60) == [30_000, 30_200, 30_400]
    assert ticks(0, 1, 90, 60) == [0] and ticks(5, 5, 90, 60) == []


def test_numbers_beside_the_bar_are_round_and_where_they_belong():
    values = [-0.191, -0.15, -0.1, -0.05, 0, 0.05, 0.1, 0.15, 0.191]
    expected = [((value + 0.191) / 0.382, value) for value in values]
    np.testing.assert_allclose(bar_ticks(signed_scale(0.191), 600), expected, atol=1e-12)
    log = bar_ticks(symmetric_log_scale(ColourLimits(-0.5, 0.5, True)), 600)
    assert [value for _, value in log] == pytest.approx([-0.5, -0.1, -0.01, 0, 0.01, 0.1, 0.5])
    assert [share for share, _ in bar_ticks(rank_scale(WEIGHTS), 600)] == pytest.approx(
        [0, 0.125, 0.25, 0.5, 0.75, 0.875, 1], abs=0.01
    )
    for scale in (signed_scale(1e-30), signed_scale(3e30), linear_scale(ColourLimits(0.9, 1.1, False))):
        shares = [share for share, _ in bar_ticks(scale, 300)]
        assert shares[0] == 0 and shares[-1] == 1 and min(np.diff(shares)) * 300 >= 20

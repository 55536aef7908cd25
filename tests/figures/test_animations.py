"""Animations, read back: as many frames as were given, for as long as was asked, with the colours of their numbers."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from engine.colour_maps import colour_image
from engine.colour_scales import signed_scale
from engine.errors import WeightscopeError
from engine.heatmaps import Grid
from figures.animations import animated_gif, animated_webp, check_size
from figures.pictures import PictureFrame, heatmap_picture

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(5, 12, 16)).astype(np.float32)


def frames_of(data):
    image = Image.open(io.BytesIO(data))
    return [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]


def film(values=WEIGHTS, name="blue-red"):
    frame = PictureFrame("film", "a subtitle", "source", width=400)
    grids = [Grid(each, 0, each.shape[0], 0, each.shape[1], 1, 1) for each in values]
    return [heatmap_picture(grid, signed_scale(2.0), name, frame, whole=values) for grid in grids]


def test_a_webp_has_every_frame_for_its_time_and_every_pixel_as_it_was():
    pictures = film()
    read = frames_of(animated_webp(pictures, 4))
    assert len(read) == 5 and Image.open(io.BytesIO(animated_webp(pictures, 4))).info["loop"] == 0
    for picture, (pixels, duration) in zip(pictures, read, strict=True):
        assert duration == 250
        np.testing.assert_array_equal(pixels, np.asarray(picture))


def test_a_gif_has_every_frame_for_its_time_and_colours_near_those_of_the_numbers():
    pictures = film()
    read = frames_of(animated_gif(pictures, 8))
    assert len(read) == 5 and Image.open(io.BytesIO(animated_gif(pictures, 8))).info["loop"] == 0
    for picture, (pixels, duration) in zip(pictures, read, strict=True):
        assert duration == 120  # 125 ms in hundredths of a second
        assert np.abs(pixels.astype(int) - np.asarray(picture)).max() <= 24


def test_a_gif_of_at_most_256_colours_is_exact():
    scale = signed_scale(3.0)
    values = RNG.uniform(-3, 3, (4, 20, 30))
    images = [Image.fromarray(colour_image(each, scale, "ice-fire").repeat(3, 0).repeat(3, 1)) for each in values]
    assert len({tuple(colour) for image in images for colour in np.asarray(image).reshape(-1, 3)}) > 200
    for image, (pixels, _) in zip(images, frames_of(animated_gif(images, 10)), strict=True):
        np.testing.assert_array_equal(pixels, np.asarray(image))


def test_a_cell_that_changes_has_its_colour_in_each_frame():
    values = np.zeros((3, 4, 4), np.float32)
    values[0, 1, 2], values[1, 1, 2], values[2, 1, 2] = -2.0, 0.5, 2.0
    for make in (animated_webp, animated_gif):
        read = frames_of(make(film(values), 2))
        for each, (pixels, duration) in zip(values, read, strict=True):
            assert duration == 500
            colour = colour_image(each[1, 2], signed_scale(2.0), "blue-red").astype(int)
            assert (np.abs(pixels[:, :280].astype(int) - colour).max(axis=-1) <= 8).sum() >= 40 * 40


def test_equal_frames_take_their_time_all_the_same():
    same = film(WEIGHTS[[0, 0, 1]])
    for make in (animated_webp, animated_gif):
        assert sum(duration for _, duration in frames_of(make(same, 5))) == 600


def test_a_single_frame_is_a_picture():
    for make in (animated_webp, animated_gif):
        image = Image.open(io.BytesIO(make(film()[:1], 5)))
        assert getattr(image, "n_frames", 1) == 1 and image.size == film()[0].size


def test_the_same_frames_give_the_same_bytes():
    assert animated_webp(film(), 4) == animated_webp(film(), 4)
    assert animated_gif(film(), 4) == animated_gif(film(), 4)


def test_too_many_pixels_are_refused_before_they_are_made():
    check_size(60, 1200, 900)
    with pytest.raises(WeightscopeError, match="200 frames of 1200 × 900"):
        check_size(200, 1200, 900)

"""Player and exports in a real Chromium: frames, colours and downloads are those of the weights."""

from __future__ import annotations

import io
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image, ImageSequence

from engine.colour_limits import value_limits
from engine.colour_maps import NAN_COLOUR, colour_image
from engine.colour_scales import linear_scale
from storage.store import Store
from workflows import library

pytestmark = pytest.mark.browser
HOME = Path(__file__).resolve().parent.parent.parent / "Home.py"
TENSOR = "model.layers.0.self_attn.q_proj.weight"
STEPS = (100, 200, 300)
SHAPE = (24, 32)


def checkpoint(step):
    rng = np.random.default_rng(step)
    arrays = {
        f"model.layers.{layer}.self_attn.q_proj.weight": rng.normal(0, 0.05 * (layer + 1), SHAPE).astype(np.float32)
        for layer in range(4)
    }
    arrays["model.layers.2.self_attn.q_proj.weight"][3, 4] = np.nan
    return arrays


@pytest.fixture(scope="module")
def app(serve, tmp_path_factory):
    from safetensors.numpy import save_file

    data, runs = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("runs")
    patch = pytest.MonkeyPatch()
    patch.setenv("WEIGHTSCOPE_DATA", str(data))
    for step in STEPS:
        folder = runs / f"checkpoint-{step}"
        folder.mkdir()
        save_file(checkpoint(step), folder / "model.safetensors")
    library.add_path(Store(data), runs / "checkpoint-200", name="run")
    patch.undo()
    return serve(HOME, data)


class Player:
    """The player on a page, spoken to as a person would."""

    def __init__(self, page, address, query):
        self.page = page
        page.goto(f"{address}/Heatmap?look=Animation&model=run&tensor={TENSOR}{query}")
        self.root = page.locator(".player[data-ready=true]")
        self.root.wait_for(timeout=60_000)

    def get(self, name):
        return self.root.get_attribute(f"data-{name}")

    def wait(self, name, value):
        for _ in range(150):
            if self.get(name) == value:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"data-{name} is {self.get(name)!r}, expected {value!r}")

    def scrub(self, index):
        self.root.locator(".scrub").fill(str(index))
        self.wait("frame", str(index))
        self.page.wait_for_timeout(100)

    def cells(self):
        """The colour in the middle of every cell, (24, 32, 3); the pointer is taken away first."""
        self.page.mouse.move(2, 2)
        self.page.wait_for_timeout(150)
        picture = self.root.locator(".picture")
        picture.scroll_into_view_if_needed()
        return cells_of(picture, self.get("plot"))

    def label(self):
        return self.root.locator(".label").inner_text()


def cells_of(canvas, plot):
    pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"))
    x, y, width, height = (float(number) for number in plot.split(","))
    rows = (y + (np.arange(SHAPE[0]) + 0.5) * height / SHAPE[0]).astype(int)
    columns = (x + (np.arange(SHAPE[1]) + 0.5) * width / SHAPE[1]).astype(int)
    return pixels[rows][:, columns].astype(int)


def expected(frames, index, name):
    """The slow version: colours of one frame on the scale of all entries of all frames."""
    entries = np.concatenate([frame[np.isfinite(frame)] for frame in frames]).astype(np.float64)
    return colour_image(frames[index], linear_scale(value_limits(entries)), name).astype(int)


def is_close(cells, colours):
    return np.abs(cells - colours).max() <= 2


@pytest.mark.parametrize(("scheme", "name"), [("light", "blue-red"), ("dark", "ice-fire")])
def test_every_layer_has_the_colours_of_its_weights_and_the_film_plays(app, new_page, scheme, name):
    player = Player(new_page(color_scheme=scheme, viewport={"width": 1440, "height": 1500}), app, "")
    frames = list(checkpoint(200).values())
    for index in (0, 2, 3):
        player.scrub(index)
        assert player.label() == f"layer {index}"
        assert is_close(player.cells(), expected(frames, index, name)), index
    player.scrub(2)
    assert tuple(player.cells()[3, 4]) == NAN_COLOUR and "NaN" in player.root.locator(".legend").inner_text()
    shot = np.asarray(Image.open(io.BytesIO(player.root.locator(".strip").screenshot())).convert("RGB"))
    assert (shot[2, 2].mean() > 200) == (scheme == "light")
    player.root.locator(".fps").select_option("24")
    player.root.get_by_role("button", name="Play").click()
    seen = set()
    for _ in range(100):
        seen.add(player.get("frame"))
        player.page.wait_for_timeout(30)
        if len(seen) == 4:
            break
    assert seen == {"0", "1", "2", "3"} and player.get("playing") == "true"
    player.root.get_by_role("button", name="Pause").click()
    player.wait("playing", "false")


def test_keys_step_the_line_scrubs_and_the_url_keeps_the_frame(app, page):
    player = Player(page, app, "&frame=1")
    assert player.get("frame") == "1" and player.label() == "layer 1"
    player.root.focus()
    for key, frame in (("ArrowRight", "2"), ("End", "3"), ("ArrowRight", "0"), ("ArrowLeft", "3"), ("Home", "0")):
        page.keyboard.press(key)
        player.wait("frame", frame)
    strip = player.root.locator(".strip")
    box = strip.bounding_box()
    strip.click(position={"x": box["width"] - 151, "y": 40})
    player.wait("frame", "3")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query).get("frame") == ["3"], timeout=20_000)
    assert player.get("frame") == "3"  # the rerun that wrote the URL left the player alone
    x, y, width, height = (float(number) for number in player.get("plot").split(","))
    picture = player.root.locator(".picture")
    picture.scroll_into_view_if_needed()
    picture.hover(position={"x": x + 5.5 * width / 32, "y": y + 7.5 * height / 24})
    page.wait_for_timeout(200)
    cell = json.loads(player.get("hover"))
    weight = checkpoint(200)["model.layers.3.self_attn.q_proj.weight"][7, 5]
    assert (cell["rows"], cell["columns"]) == ([7, 8], [5, 6]) and np.float32(cell["value"]) == weight


def test_versions_play_in_the_order_of_their_steps_show_their_change_and_open(app, new_page):
    player = Player(new_page(viewport={"width": 1440, "height": 1500}), app, "&over=versions")
    frames = [checkpoint(step)[TENSOR] for step in STEPS]
    for index, label in enumerate(("checkpoint-100", "run", "checkpoint-300")):
        player.scrub(index)
        assert player.label() == label
        assert is_close(player.cells(), expected(frames, index, "blue-red"))
    film = player.get("film")
    player.page.goto(f"{player.page.url.replace('&frame=2', '')}&shows=change+since+the+first")
    player.root.wait_for(timeout=60_000)
    assert player.get("film") != film
    changes = [frames[1] - frames[0], frames[2] - frames[0]]
    player.scrub(1)
    assert player.label() == "checkpoint-300 − checkpoint-100"
    assert is_close(player.cells(), expected(changes, 1, "blue-red"))
    player.root.get_by_role("button", name="Open this tensor").click()
    player.page.locator(".heatmap[data-ready=true]:not(.player)").wait_for(timeout=60_000)
    query = parse_qs(urlsplit(player.page.url).query)
    assert query["model"] != ["run"] and query["tensor"] == [TENSOR] and query.get("look") != ["Animation"]


def test_animations_to_keep_open_and_hold_every_frame(app, page, tmp_path):
    player = Player(page, app, "&film_width=480+px")
    page.get_by_role("button", name="Export this animation").click()
    frames = list(checkpoint(200).values())
    for label, mode in (("WebP", "webp"), ("GIF", "gif")):
        with page.expect_download(timeout=60_000) as download:
            page.get_by_role("button", name=label, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.name == f"run.Query_weight.4-frames.{mode}"
        image = Image.open(path)
        assert image.width == 480 and image.n_frames == 4
        for index, frame in enumerate(ImageSequence.Iterator(image)):
            pixels = np.asarray(frame.convert("RGB")).astype(int)
            assert frame.info["duration"] == 250
            colour = expected(frames, index, "blue-red")[12, 16]
            assert (np.abs(pixels - colour).max(axis=-1) <= (0 if mode == "webp" else 24)).any()
    assert player.get("frame") == "0"


def test_the_picture_to_keep_is_the_one_on_the_screen_cell_for_cell(app, page, tmp_path):
    page.goto(f"{app}/Heatmap?model=run&tensor={TENSOR}")
    canvas = page.locator(".heatmap[data-ready=true]")
    canvas.wait_for(timeout=60_000)
    page.wait_for_timeout(500)
    page.mouse.move(2, 2)
    on_screen = cells_of(canvas.locator("canvas"), canvas.get_attribute("data-plot"))
    page.get_by_role("button", name="Export", exact=True).click()
    files = {}
    for label in ("PNG", "WebP", "CSV", "Parquet"):
        with page.expect_download(timeout=60_000) as download:
            page.get_by_role("button", name=label, exact=True).click()
        files[label] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[label])
    assert files["PNG"].name == f"run.{TENSOR}.png"
    picture = Image.open(files["PNG"])
    assert picture.width == 1200 and picture.text["Title"] == TENSOR
    pixels = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(files["WebP"]).convert("RGB")))
    weights = checkpoint(200)[TENSOR]
    assert is_close(kept_cells(pixels, weights), on_screen)
    table = np.genfromtxt(files["CSV"], delimiter=",", skip_header=1, dtype=np.float32)
    np.testing.assert_array_equal(table[:, 1:], weights)


def kept_cells(pixels, weights):
    """The colours of the plot in an exported picture, found by the colours that its cells must have."""
    scale = linear_scale(value_limits(weights.astype(np.float64)))
    colours = colour_image(weights, scale, "blue-red")
    for factor in range(40, 4, -1):
        block = colours.repeat(factor, axis=0).repeat(factor, axis=1)
        height, width = block.shape[:2]
        if height > pixels.shape[0] or width > pixels.shape[1]:
            continue
        room = pixels[: pixels.shape[0] - height + 1, : pixels.shape[1] - width + 1]
        for top, left in np.argwhere((room == block[0, 0]).all(axis=-1)):
            if np.array_equal(pixels[top : top + height, left : left + width], block):
                return block[factor // 2 :: factor, factor // 2 :: factor].astype(int)
    raise AssertionError("the picture does not hold the plot")

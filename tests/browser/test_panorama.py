"""The panorama in a real Chromium: what a person sees is what the checkpoint holds, and a click opens it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import engine.sources
from engine.colour_maps import NAN_COLOUR, colour_image
from engine.heatmaps import thumbnail
from engine.panorama import panorama_of
from engine.tile_colours import picture_scale
from storage.store import Store
from workflows import library
from workflows.extract import extract

pytestmark = pytest.mark.browser
HOME = Path(__file__).resolve().parent.parent.parent / "Home.py"
HOSTILE = '<img src=x onerror=alert(1)>"&{}'
VALUE_1 = "model.layers.1.self_attn.v_proj.weight"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from safetensors.numpy import save_file

    rng = np.random.default_rng(3)
    arrays = {
        f"model.layers.{layer}.self_attn.{role}_proj.weight": rng.normal(0, 0.02, (16, 16)).astype(np.float32)
        for layer in range(3)
        for role in "qkvo"
    }
    arrays["model.layers.2.self_attn.q_proj.weight"][5, 7] = np.nan
    arrays["model.embed_tokens.weight"] = rng.normal(0, 0.02, (64, 16)).astype(np.float32)
    arrays[HOSTILE] = np.ones((4, 4), np.float32)
    path = tmp_path_factory.mktemp("seen") / "tiny" / "model.safetensors"
    path.parent.mkdir()
    save_file(arrays, path)
    return path


@pytest.fixture(scope="module")
def app(serve, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    patch = pytest.MonkeyPatch()
    patch.setenv("WEIGHTSCOPE_DATA", str(folder))
    library.add_path(Store(folder), checkpoint)
    extract("tiny", store=Store(folder))
    patch.undo()
    return serve(HOME, folder)


class Panorama:
    """The canvas, spoken to as a person would: by pixels."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".panorama[data-ready=true]")
        self.root.wait_for(timeout=60_000)
        self.root.scroll_into_view_if_needed()

    def box(self, name):
        """A tile's (x, y, width, height) in the page."""
        x, y, width, height = self.root.evaluate("(root, name) => root.panorama.boxOf(name)", name)
        canvas = self.root.locator("canvas").bounding_box()
        return canvas["x"] + x, canvas["y"] + y, width, height

    def middle(self, name):
        x, y, width, height = self.box(name)
        return x + width / 2, y + height / 2

    def wait(self, attribute, value):
        for _ in range(150):
            if self.root.get_attribute(f"data-{attribute}") == value:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"data-{attribute} is {self.root.get_attribute(f'data-{attribute}')!r}, not {value!r}")

    def opened(self, name):
        """Wait until the page looks at that tensor instead."""
        self.page.wait_for_url(f"**tensor={name}**", timeout=60_000)
        self.page.get_by_text(f"{name.split('.')[2]} · 16 × 16 F32").wait_for(timeout=60_000)
        assert "Whole+model" not in self.page.url

    def picture(self):
        """The window as it is seen; one CSS pixel is one pixel."""
        self.page.mouse.move(3, 3)
        self.page.wait_for_timeout(400)
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))


@pytest.fixture
def show(app, new_page):
    def open_page(query="", **options):
        page = new_page(**({"viewport": {"width": 1440, "height": 1300}} | options))
        page.goto(f"{app}/Heatmap?model=tiny&look=Whole+model{query}")
        return Panorama(page)

    return open_page


def test_every_cell_of_every_tile_has_the_colour_that_python_gives_its_number(show, checkpoint):
    panorama = show()
    with engine.sources.open(str(checkpoint)) as source:
        infos = source.infos()
        grids = {info.name: thumbnail(source, info) for info in infos}
        assert panorama.root.get_attribute("data-count") == str(len(panorama_of(infos).tiles))
    scale = picture_scale(list(grids.values()), "linear")
    picture, wrong, looked_at = panorama.picture().astype(int), 0, 0
    for name, grid in grids.items():
        expected = colour_image(grid, scale, "blue-red").astype(int)
        x, y, width, height = panorama.box(name)
        for row in range(0, grid.shape[0], 3):
            for column in range(0, grid.shape[1], 3):
                at_x = int(x + (column + 0.5) * width / grid.shape[1])
                at_y = int(y + (row + 0.5) * height / grid.shape[0])
                wrong += np.abs(picture[at_y, at_x] - expected[row, column]).max() > 1
                looked_at += 1
    assert wrong == 0 and looked_at > 300
    x, y, width, height = (int(n) for n in panorama.box("model.layers.2.self_attn.q_proj.weight"))
    shown = picture[y : y + height, x : x + width].reshape(-1, 3)
    assert (shown == NAN_COLOUR).all(axis=1).any()


def test_a_click_opens_the_tensor_in_its_own_look(show):
    panorama = show()
    panorama.page.mouse.move(*panorama.middle(VALUE_1))
    panorama.wait("hover", VALUE_1)
    tip = panorama.root.locator(".tip")
    assert VALUE_1 in tip.inner_text() and "16 × 16 · F32" in tip.inner_text() and "largest |w|" in tip.inner_text()
    panorama.page.mouse.click(*panorama.middle(VALUE_1))
    panorama.opened(VALUE_1)


def test_keys_walk_from_tile_to_tile_and_enter_opens_one(show):
    start = "model.layers.0.self_attn.q_proj.weight"
    panorama = show(f"&tensor={start}")
    panorama.wait("selected", start)
    panorama.root.focus()
    for key, role in (("ArrowDown", "0.self_attn.q"), ("ArrowDown", "0.self_attn.k"), ("ArrowRight", "1.self_attn.k")):
        panorama.page.keyboard.press(key)
        panorama.wait("focus", f"model.layers.{role}_proj.weight")
    panorama.page.keyboard.press("Enter")
    panorama.opened("model.layers.1.self_attn.k_proj.weight")


def test_one_value_a_tile_zoom_a_filter_and_a_name_that_is_no_markup_on_a_dark_page(show):
    panorama = show("&measure=NaN&layer=2", color_scheme="dark")
    picture = panorama.picture()
    assert picture[3, 600].sum() < 150  # a dark page

    def colour(name):
        x, y, width, _ = (int(n) for n in panorama.box(name))
        return picture[y + 3, x + width // 2].astype(int)

    broken, whole, outside = (
        colour(f"model.layers.{k}_proj.weight") for k in ("2.self_attn.q", "2.self_attn.k", VALUE_1[13:26])
    )
    assert np.abs(broken - whole).max() > 50  # one NaN, and none
    assert outside.sum() < whole.sum()  # filtered out: fades into the dark
    panorama.page.mouse.move(*panorama.middle(HOSTILE))
    panorama.wait("hover", HOSTILE)
    assert HOSTILE in panorama.root.locator(".tip").inner_text() and panorama.root.locator("img").count() == 0
    panorama.page.mouse.wheel(0, -300)
    panorama.page.wait_for_timeout(300)
    assert float(panorama.root.get_attribute("data-zoom")) > 1.5
    panorama.root.get_by_role("button", name="Fit").click()
    panorama.wait("zoom", "1.000")

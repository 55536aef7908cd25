"""The attention look in a real Chromium: what its pictures show is what the checkpoint holds, and a click moves on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.colour_maps import colour_image
from engine.colour_scales import signed_scale
from storage.store import Store
from workflows import library

pytestmark = pytest.mark.browser
HOME = Path(__file__).resolve().parent.parent.parent / "Home.py"
NAME = "model.layers.{}.self_attn.{}_proj.weight"


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(0)
    arrays = {
        NAME.format(layer, part): (rng.normal(size=(32, 32)) * 0.1).astype(np.float32)
        for layer in range(3)
        for part in "qkvo"
    }
    arrays[NAME.format(1, "q")][17, 5] = 4.0  # head 2, feature 1, dimension 5
    return arrays


@pytest.fixture(scope="module")
def address(serve, weights, tmp_path_factory):
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("tiny-attention")
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"num_attention_heads": 4, "hidden_size": 32}), encoding="utf-8")
    data = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIGHTSCOPE_DATA", str(data))
        name = library.add_path(Store(), folder / "model.safetensors").name
    return f"{serve(HOME, data)}/Heatmap?look=Attention&model={name}&tensor={NAME.format(1, 'q')}"


class Mosaic:
    """One mosaic on a page, by the label it has for those who do not see it."""

    def __init__(self, page, label):
        self.page = page
        self.root = page.locator(f'.mosaic[aria-label="{label}"]')
        self.root.wait_for(timeout=60_000)
        self.root.scroll_into_view_if_needed()
        page.wait_for_timeout(300)

    def place(self, index, share_x=0.5, share_y=0.5):
        x, y, width, height = self.root.evaluate("(root, index) => root.mosaic.boxOf(index)", index)
        box = self.root.locator("canvas").bounding_box()
        return box["x"] + x + share_x * width, box["y"] + y + share_y * height

    def hover(self, *place):
        """What the card says of a place; asked again while the page still moves under the pointer."""
        for _ in range(50):
            self.page.mouse.move(*self.place(*place))
            said = json.loads(self.root.get_attribute("data-hover") or "{}")
            if said.get("index") == place[0]:
                return said
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the pointer is over {said}, not over tile {place[0]}")

    def colour(self, *place):
        """The pixel at a place, with the pointer elsewhere."""
        x, y = self.place(*place)
        self.page.mouse.move(2, 2)
        self.page.wait_for_timeout(250)
        clip = {"x": int(x), "y": int(y), "width": 1, "height": 1}
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot(clip=clip))).convert("RGB"))[0, 0].astype(int)


def test_heads_show_their_weights_in_the_heatmaps_colours_and_a_click_moves_the_selection(address, page, weights):
    page.goto(address)
    tiles = Mosaic(page, "query weights of the heads of Layer 1")
    matrix = weights[NAME.format(1, "q")]
    high = np.abs(np.percentile(matrix.astype(np.float64), [0.5, 99.5])).max()
    for head, feature, dimension in ((2, 1, 5), (0, 3, 30), (3, 7, 0)):
        place = head, (dimension + 0.5) / 32, (feature + 0.5) / 8
        cell, value = tiles.hover(*place), matrix[8 * head + feature, dimension]
        assert np.float32(cell["value"]) == value and cell["title"] == f"Layer 1, head {head}"
        assert f"feature {feature} · dimension {dimension}" in cell["words"]
        expected = colour_image(np.array([[value]]), signed_scale(high), "blue-red")[0, 0].astype(int)
        assert np.abs(tiles.colour(*place) - expected).max() <= 3
    page.mouse.click(*tiles.place(3))
    page.wait_for_url("**head=3**")
    every = Mosaic(page, "OV norm of every head")
    assert every.hover(2 * 4 + 1)["title"] == "Layer 2, head 1"
    page.mouse.click(*every.place(2 * 4 + 1))
    page.wait_for_url("**layers.2.self_attn.q_proj**")
    page.wait_for_url("**head=1**")
    Mosaic(page, "query weights of the heads of Layer 2")
    page.get_by_role("button", name="Open weights").click()
    page.locator(".heatmap[data-view='8,16,0,32']").wait_for(timeout=30_000)


def test_the_keyboard_moves_between_heads_and_chooses_one(address, page):
    page.goto(address)
    every = Mosaic(page, "OV norm of every head")
    every.root.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):  # the first press goes to the selected head
        page.keyboard.press(key)
    assert json.loads(every.root.get_attribute("data-hover"))["title"] == "Layer 2, head 1"
    page.keyboard.press("Enter")
    page.wait_for_url("**layers.2.self_attn.q_proj**")


def test_a_dark_narrow_page_has_dark_pictures_and_no_sideways_scrolling(address, new_page):
    page = new_page(color_scheme="dark", viewport={"width": 460, "height": 900})
    page.goto(address + "&attention_view=Circuits")
    circuit = Mosaic(page, "QK circuit, where it looks of Layer 1, head 0")
    picture = np.asarray(Image.open(io.BytesIO(circuit.root.locator("canvas").screenshot())).convert("RGB"))
    assert picture[-3:].mean() < 60 < picture.max()
    assert np.ptp(picture.reshape(-1, 3), axis=0).min() > 80  # blue and red, as a signed map has
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

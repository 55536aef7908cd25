"""The city of blocks in a real Chromium with WebGL: it draws offline, in both themes, and a click selects a tensor."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from storage.store import Store
from tests.browser.conftest import FLAGS
from workflows.extract import extract

pytestmark = pytest.mark.browser
HOME = Path(__file__).resolve().parent.parent.parent / "Home.py"
SOFTWARE_WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def chromium(chromium):
    """Another browser than the usual one, which has no WebGL."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    flags = [flag for flag in FLAGS if flag != "--disable-gpu"]
    browser = chromium.browser_type.launch(executable_path=path, args=[*flags, *SOFTWARE_WEBGL])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def app(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    patch = pytest.MonkeyPatch()
    patch.setenv("WEIGHTSCOPE_DATA", str(folder))
    extract("starter", store=Store(folder))
    patch.undo()
    return serve(HOME, folder)


def open_city(new_page, app, query="", **options):
    page = new_page(viewport={"width": 1200, "height": 1100}, **options)
    page.goto(f"{app}/3D_Weights?model=starter&space=Whole+model{query}")
    chart = page.get_by_test_id("stDeckGlJsonChart")
    chart.wait_for(timeout=60_000)
    return page, chart


def colours(chart):
    """(n, 3) every pixel of the chart, once it shows more than the page's background."""
    for _ in range(100):
        pixels = np.asarray(Image.open(io.BytesIO(chart.screenshot())).convert("RGB")).reshape(-1, 3).astype(int)
        if (np.abs(pixels - pixels[0]).max(axis=1) > 30).mean() > 0.1:
            return pixels
        chart.page.wait_for_timeout(300)
    raise AssertionError("the chart stays empty")


def test_the_city_draws_and_a_click_selects_the_tensor_on_every_page(new_page, app):
    page, chart = open_city(new_page, app, "&block_camera=from+above&colours=magma")
    light = colours(chart)
    assert (light[0] > 240).all()  # the page's own background
    assert len(np.unique(light // 32, axis=0)) > 20  # many colours, not one
    box = chart.bounding_box()
    tip = page.locator(".deck-tooltip")
    name = ""
    for share in np.linspace(0.35, 0.75, 30):
        at = box["x"] + box["width"] * share, box["y"] + box["height"] * 0.5
        page.mouse.move(*at)
        page.wait_for_timeout(250)
        if tip.is_visible() and "model.layers" in (name := tip.inner_text().splitlines()[0]):
            break
    assert "model.layers" in name and "height · Largest magnitude" in tip.inner_text()
    for _ in range(20):  # on a busy machine, a slow click counts as a drag
        page.mouse.click(*at, delay=30)
        page.wait_for_timeout(1500)
        if f"tensor={name}" in page.url:
            break
    page.wait_for_url(f"**tensor={name}**")
    page.mouse.move(5, 5)
    after = colours(chart)
    assert np.abs(np.median(after, axis=0) - np.median(light, axis=0)).max() < 30  # nothing fades
    page.get_by_role("link", name="Open in Heatmap").click()
    page.wait_for_url("**/Heatmap**", timeout=60_000)
    page.wait_for_url(f"**tensor={name}**", timeout=60_000)


def test_the_city_is_dark_on_a_dark_page(new_page, app):
    _, chart = open_city(new_page, app, color_scheme="dark")
    pixels = colours(chart)
    assert pixels[0].sum() < 120
    assert (pixels.max(axis=1) > 120).any()

"""The whole app in a real Chromium: the way of a new user, deep links, two tabs, a refresh, dark pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

import engine.sources
from storage.store import Store
from workflows import library
from workflows.extract import extract

pytestmark = pytest.mark.browser
HOME = Path(__file__).resolve().parent.parent.parent / "Home.py"
TENSOR = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder in which the bundled starter is measured, and starter-init is not."""
    folder = tmp_path_factory.mktemp("data")
    patch = pytest.MonkeyPatch()
    patch.setenv("WEIGHTSCOPE_DATA", str(folder))
    extract("starter", store=Store(folder))
    patch.undo()
    return folder


@pytest.fixture(scope="module")
def app(serve, data):
    return serve(HOME, data)


@pytest.fixture(scope="module")
def weights(data):
    starter = next(known for known in library.locations(Store(data)) if known.name == "starter")
    with engine.sources.open(starter.uri) as source:
        return np.array(source.read(TENSOR))


def canvas_of(page):
    canvas = page.locator(".heatmap[data-ready=true]")
    canvas.wait_for(timeout=60_000)
    return canvas


def hover(page, canvas, row, column):
    """The tooltip's text over an entry that the view shows; the page may still move while it comes to rest."""
    text = ""
    for _ in range(100):
        box = canvas.locator("canvas").bounding_box()
        x, y, width, height = map(float, canvas.get_attribute("data-plot").split(","))
        r0, r1, c0, c1 = map(int, canvas.get_attribute("data-view").split(","))
        across, down = (column + 0.5 - c0) / (c1 - c0), (row + 0.5 - r0) / (r1 - r0)
        page.mouse.move(box["x"] + x + width * across, box["y"] + y + height * down)
        page.wait_for_timeout(50)
        text = canvas.get_attribute("data-hover")
        if text:
            cell = json.loads(text)
            if cell["rows"][0] <= row < cell["rows"][1] and cell["columns"][0] <= column < cell["columns"][1]:
                return text
    raise AssertionError(f"the canvas does not show entry ({row}, {column}), but {text!r}")


def test_a_new_user_goes_from_home_to_measured_numbers(page, app):
    page.goto(app)
    page.get_by_text("Models here").wait_for(timeout=60_000)
    page.get_by_text("starter-init", exact=True).wait_for()
    page.get_by_role("button", name="See").nth(1).click()
    canvas_of(page)
    assert "model=starter-init" in page.url
    page.get_by_role("button", name="Measure").click()
    page.get_by_text("running").or_(page.get_by_text("queued")).first.wait_for(timeout=30_000)
    page.reload()  # the job is no child of the tab
    page.get_by_role("tab", name="Statistics").wait_for(timeout=120_000)
    page.get_by_role("tab", name="Distribution").click()
    page.locator("[data-testid=stVegaLiteChart]").first.wait_for()


def test_a_cold_deep_link_opens_the_tensor_at_its_view_with_exact_values(page, app, weights):
    page.goto(f"{app}/Heatmap?model=starter&tensor={TENSOR}&view=10,30,40,60")
    canvas = canvas_of(page)
    assert canvas.get_attribute("data-view") == "10,30,40,60"
    text = hover(page, canvas, 17, 52)
    assert str(float(weights[17, 52]))[:9] in text or str(weights[17, 52]) in text


def test_zooming_writes_the_view_into_the_url_and_it_survives_other_pages(page, app):
    page.goto(f"{app}/Heatmap?model=starter&tensor={TENSOR}")
    canvas = canvas_of(page)
    hover(page, canvas, 20, 20)
    page.mouse.wheel(0, -400)
    page.wait_for_url("**view=*", timeout=15_000)
    url = page.url
    page.get_by_test_id("stSidebarNav").get_by_text("SQL", exact=True).click()
    page.get_by_text("Tables", exact=True).wait_for()
    page.get_by_test_id("stSidebarNav").get_by_text("Heatmap", exact=True).click()
    canvas = canvas_of(page)
    page.wait_for_url("**view=*", timeout=15_000)
    assert page.url == url


def test_a_jump_from_the_outlier_table_marks_the_weight(page, app, weights):
    page.goto(f"{app}/Heatmap?model=starter&tensor={TENSOR}")
    canvas_of(page)
    page.get_by_role("tab", name="Outliers").click()
    table = page.get_by_test_id("stDataFrame").filter(visible=True).first
    table.wait_for()
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 15, box["y"] + 52)
    page.wait_for_url("**view=*", timeout=15_000)
    row, column = np.unravel_index(np.abs(weights.astype(np.float32)).argmax(), weights.shape)
    page.get_by_text(f"Row {row:,}, column {column:,}").wait_for()


def test_two_tabs_do_not_disturb_each_other(new_page, app):
    first, second = new_page(), new_page()
    first.goto(f"{app}/Heatmap?model=starter&tensor={TENSOR}")
    second.goto(f"{app}/Heatmap?model=starter-init&tensor=model.norm.weight")
    canvas_of(first), canvas_of(second)
    first.reload()
    canvas_of(first)
    assert f"model=starter&tensor={TENSOR}" in first.url
    assert "model=starter-init&tensor=model.norm.weight" in second.url


def test_a_senseless_deep_link_says_so_and_shows_something(page, app):
    page.goto(f"{app}/Heatmap?model=nobody&tensor=%3Cb%3E&view=1,x")
    page.get_by_text("There is no model “nobody” here").wait_for(timeout=60_000)
    canvas_of(page)


def test_a_query_in_the_url_is_answered(page, app):
    page.goto(f"{app}/SQL?q=select+count(*)+as+n+from+tensor_stats+where+model%3D'starter'")
    page.get_by_text("1 row in").wait_for(timeout=60_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_follows_the_colour_scheme(new_page, app, scheme):
    page = new_page(color_scheme=scheme)
    for path in ("", "Zoo", "Heatmap?model=starter", "SQL"):
        page.goto(f"{app}/{path}")
        page.get_by_test_id("stHeading").first.wait_for(timeout=60_000)
        colour = page.get_by_test_id("stApp").evaluate("element => getComputedStyle(element).backgroundColor")
        is_dark = sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) < 300
        assert is_dark == (scheme == "dark"), (path, colour)


def test_after_a_link_to_a_model_that_is_gone_the_page_still_works(page, app):
    page.goto(f"{app}/Heatmap?model=nope")
    canvas_of(page)
    page.get_by_role("button", name="Whole model").or_(page.get_by_text("Whole model", exact=True)).first.click()
    page.get_by_text("each a tile").wait_for(timeout=60_000)
    assert page.locator("[data-testid=stException]").count() == 0


def test_the_zoo_leads_to_a_model_from_a_shelf_that_is_in_the_url(page, app):
    page.goto(f"{app}/Zoo?shelf=Here")
    page.get_by_role("button", name="See").nth(1).click(timeout=60_000)
    canvas_of(page)
    assert "/Heatmap?model=starter" in page.url


@pytest.mark.parametrize("start", ["Compare?model=starter-init&other=starter", "Chat?model=starter-init"])
def test_the_chosen_model_goes_along_through_the_sidebar(page, app, start):
    page.goto(f"{app}/{start}")
    model = page.get_by_test_id("stSelectbox").first.locator("input")
    expect(model).to_have_value("starter-init", timeout=30_000)
    for name in ("Heatmap", "3D Weights", "Compare"):
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
        page.wait_for_url(re.compile(rf"/{name.replace(' ', '_')}\?.*model=starter-init"), timeout=30_000)
        expect(model).to_have_value("starter-init", timeout=30_000)

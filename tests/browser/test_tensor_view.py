"""The tensor view in the whole app: sorted links, jumps, rectangles and the way into space, in a real Chromium."""

import numpy as np
import pytest

import engine.sources
from engine.orders import line_order
from storage.store import Store
from tests.browser.test_app import HOME, TENSOR, canvas_of, hover
from workflows import library
from workflows.extract import extract

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    patch = pytest.MonkeyPatch()
    patch.setenv("WEIGHTSCOPE_DATA", str(folder))
    extract("starter", store=Store(folder))
    patch.undo()
    return folder


@pytest.fixture(scope="module")
def weights(data):
    starter = next(known for known in library.locations(Store(data)) if known.name == "starter")
    with engine.sources.open(starter.uri) as source:
        return np.array(source.read(TENSOR))


@pytest.fixture
def look(serve, data, page):
    def look(parameters):
        page.goto(f"{serve(HOME, data)}/Heatmap?model=starter&tensor={TENSOR}&{parameters}")
        return canvas_of(page)

    return look


def test_a_shared_link_with_orders_and_a_view_shows_the_same_lines_and_names_them_as_in_the_file(look, page, weights):
    rows, columns = line_order(weights, "hierarchical"), line_order(weights.T, "norm")
    canvas = look("rows=hierarchical&columns=norm&view=10,20,30,45&rectangle=12,14,33,36")
    assert (
        canvas.get_attribute("data-view") == "10,20,30,45" and canvas.get_attribute("data-rectangle") == "12,14,33,36"
    )
    shown = hover(page, canvas, 13, 34)
    assert np.float32(shown.split('"value":"')[1].split('"')[0]) == weights[rows[13], columns[34]]
    assert canvas.locator(".place").inner_text() == f"row {rows[13]:,} · column {columns[34]:,}"
    page.get_by_text("shuffled entries").first.wait_for()  # never a sorted picture without its null
    assert page.get_by_text("shuffled entries").count() == 2
    page.get_by_text("2 rows at places 12–13 by hierarchy · 3 columns at places 33–35 by norm").wait_for()


def test_a_jump_finds_the_weight_where_sorting_has_put_it(look, page, weights):
    canvas = look("rows=seriation&columns=norm")
    page.get_by_role("tab", name="Outliers").click()
    table = page.get_by_test_id("stDataFrame").first
    table.wait_for()
    page.wait_for_timeout(800)
    box = table.bounding_box()
    page.mouse.click(box["x"] + 18, box["y"] + 52)  # the first line's mark
    row, column = np.unravel_index(np.argmax(np.abs(weights)), weights.shape)
    for _ in range(100):
        if canvas.get_attribute("data-selected") == f"{row},{column}":
            break
        page.wait_for_timeout(100)
    assert canvas.get_attribute("data-selected") == f"{row},{column}"
    place = int(np.flatnonzero(line_order(weights, "seriation") == row)[0])
    top, bottom = map(int, canvas.get_attribute("data-view").split(",")[:2])
    assert top <= place < bottom
    page.get_by_text(f"Row {row:,}, column {column:,}").wait_for()


def test_a_rectangle_is_measured_kept_in_the_url_zoomed_to_and_cleared(look, page, weights):
    canvas = look("view=0,40,0,60")
    box = canvas.locator("canvas").bounding_box()
    x, y, width, height = map(float, canvas.get_attribute("data-plot").split(","))
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + x + width * 10.5 / 60, box["y"] + y + height * 5.5 / 40)
    page.mouse.down()
    page.mouse.move(box["x"] + x + width * 19.5 / 60, box["y"] + y + height * 24.5 / 40, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    page.get_by_text("rows 5–24 · columns 10–19").wait_for()
    page.wait_for_url("**rectangle=5*25*10*20**")
    page.get_by_role("button", name="Zoom to it").click()
    for _ in range(100):
        if canvas.get_attribute("data-view") == "5,25,10,20":
            break
        page.wait_for_timeout(100)
    assert canvas.get_attribute("data-view") == "5,25,10,20"
    page.get_by_role("button", name="Clear", exact=True).click()
    page.get_by_text("rows 5–24 · columns 10–19").wait_for(state="detached")
    assert "rectangle" not in page.url and canvas.get_attribute("data-rectangle") == ""
    link = page.get_by_role("link", name="3D", exact=True).get_attribute("href")
    assert "view=5%2C25%2C10%2C20" in link and "tensor=" in link
    page.get_by_role("link", name="3D", exact=True).click()
    page.wait_for_url("**/3D_Weights**view=5*25*10*20**")

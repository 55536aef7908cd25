"""The heatmap canvas in a real Chromium: what a person sees and reads is what the checkpoint holds."""

import io
import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from PIL import Image

from engine.colour_limits import ColourLimits
from engine.colour_maps import NAN_COLOUR, NEGINF_COLOUR, POSINF_COLOUR, colour_image
from engine.colour_scales import SCALES, ColourScale, rank_scale, signed_scale, symmetric_log_scale

pytestmark = pytest.mark.browser
APP = Path(__file__).with_name("canvas_app.py")
HOSTILE = '<img src=x onerror=alert(1)>"&'


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(0)
    tall = (rng.standard_normal((30_522, 384)) * 0.05).astype(np.float32)
    tall[12_345, 67] = 3.0
    square = (rng.standard_normal((96, 96)) * 0.1).astype(ml_dtypes.bfloat16)
    square[10, 20], square[30, 40], square[50, 60] = np.nan, np.inf, -np.inf
    ids = (2**53 + np.arange(40)).reshape(5, 8)
    one = np.array(2.5, np.float32)
    peaks = (rng.standard_normal((30_522, 384)) * 0.05).clip(-0.2, 0.2).astype(np.float32)
    places = np.unravel_index(rng.choice(peaks.size, 200, replace=False), peaks.shape)
    peaks[places] = rng.choice([-1, 1], 200) * np.linspace(1, 2, 200)
    names = {
        "peaks": peaks,
        "tall": tall,
        "square": square,
        "vector": tall[7],
        "ids": ids,
        "one": one,
        HOSTILE: tall[:3, :3],
    }
    return names | {"empty": np.zeros((0, 7), np.float32)}


@pytest.fixture(scope="module")
def address(serve, weights, tmp_path_factory):
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("canvas")
    save_file({name: np.asarray(array, order="C") for name, array in weights.items()}, folder / "model.safetensors")
    return serve(APP, folder)


class Canvas:
    """One canvas on a page, spoken to as a person would: by pixels."""

    def __init__(self, page, index=0):
        self.page = page
        self.root = page.locator(".heatmap").nth(index)
        self.root.scroll_into_view_if_needed()
        self.wait("ready", "true")

    def get(self, name):
        return self.root.get_attribute(f"data-{name}")

    def wait(self, name, value, *, is_equal=True):
        for _ in range(150):
            if (self.get(name) == value) == is_equal:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"data-{name} is {self.get(name)!r}, expected {'' if is_equal else 'not '}{value!r}")

    def settle(self):
        self.page.wait_for_timeout(200)
        self.wait("pending", "false")

    @property
    def view(self):
        return [int(n) for n in self.get("view").split(",")]

    def pixel(self, row, column):
        """Where an entry's centre is on the page."""
        box = self.root.locator("canvas").bounding_box()
        x, y = self.places(row, column)
        return box["x"] + x, box["y"] + y

    def places(self, rows, columns):
        """Where centres of entries are on the canvas: numbers, or arrays of them."""
        x, y, width, height = (float(n) for n in self.get("plot").split(","))
        r0, r1, c0, c1 = self.view
        return x + width * (columns + 0.5 - c0) / (c1 - c0), y + height * (rows + 0.5 - r0) / (r1 - r0)

    def hover(self, row, column):
        self.page.mouse.move(*self.pixel(row, column))
        self.wait("hover", "", is_equal=False)
        return json.loads(self.get("hover"))

    def find(self, row, column, value):
        """Hover the cell with that value at an entry's place, or a pixel or two beside it: where, and what it says."""
        x, y = self.pixel(row, column)
        around = [(i, j) for i in range(-3, 4) for j in range(-3, 4)]
        for down, right in sorted(around, key=lambda d: abs(d[0]) + abs(d[1])):
            self.page.mouse.move(x + right, y + down)
            self.page.wait_for_timeout(20)
            cell = json.loads(self.get("hover"))
            if cell["value"] == value:
                return (x + right, y + down), cell
        raise AssertionError(f"no {value} near ({row}, {column})")

    def zoom(self, row, column, clicks):
        self.page.mouse.move(*self.pixel(row, column))
        for _ in range(abs(clicks)):
            self.page.mouse.wheel(0, -200 if clicks > 0 else 200)
            self.page.wait_for_timeout(20)
        self.settle()

    def picture(self):
        data = self.root.locator("canvas").screenshot()
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture
def show(address, new_page):
    def open_page(query="t=tall", index=0, **options):
        page = new_page(**options)
        page.goto(f"{address}/?{query}")
        page.locator(".heatmap").nth(index).wait_for(timeout=30_000)
        return Canvas(page, index)

    return open_page


def test_the_overview_shows_the_whole_tensor_and_its_largest_weight(show, weights):
    canvas = show()
    assert canvas.view == [0, 30_522, 0, 384] and canvas.get("exact") == "false"
    _, cell = canvas.find(12_345, 67, "3")
    assert cell["rows"][0] <= 12_345 < cell["rows"][1] and cell["columns"] == [67, 68] and not cell["exact"]
    assert "largest |w| of" in canvas.root.locator(".note").inner_text()


def test_zooming_reaches_single_weights_and_the_hover_text_is_the_stored_value(show, weights):
    canvas = show()
    canvas.zoom(12_000, 200, 14)
    r0, r1, c0, c1 = canvas.view
    assert r1 - r0 < 60 and c1 - c0 < 120 and canvas.get("exact") == "true"
    assert r0 <= 12_000 <= r1 and c0 <= 200 <= c1
    for row, column in [(r0 + 3, c0 + 3), ((r0 + r1) // 2, (c0 + c1) // 2), (r1 - 4, c1 - 4)]:
        cell = canvas.hover(row, column)
        row, column = cell["rows"][0], cell["columns"][0]
        assert cell["exact"] and np.float32(cell["value"]) == weights["tall"][row, column]
    assert canvas.page.get_by_text(f"tall view {r0},{r1},{c0},{c1}").count() == 1  # Python knows the view


def test_dragging_moves_the_view_by_as_much(show):
    canvas = show("t=tall&v=5000,5040,100,140")
    canvas.page.mouse.move(*canvas.pixel(5020, 120))
    canvas.page.mouse.down()
    canvas.page.mouse.move(*canvas.pixel(5010, 110), steps=6)
    canvas.page.mouse.up()
    canvas.settle()
    assert np.abs(np.subtract(canvas.view, [5010, 5050, 110, 150])).max() <= 1


def test_keys_and_buttons_pan_zoom_and_fit(show):
    canvas = show("t=tall&v=5000,5100,100,200")
    canvas.root.focus()
    canvas.page.keyboard.press("ArrowDown")
    canvas.settle()
    assert canvas.view == [5010, 5110, 100, 200]
    canvas.page.keyboard.press("+")
    canvas.settle()
    assert canvas.view[1] - canvas.view[0] < 100
    canvas.root.get_by_role("button", name="Zoom out").click()
    canvas.root.get_by_role("button", name="Fit").click()
    canvas.settle()
    assert canvas.view == [0, 30_522, 0, 384]
    assert canvas.root.get_by_role("button", name="Fit").is_disabled()


def test_a_double_click_shows_all_of_it(show):
    canvas = show("t=square&v=10,20,10,20")
    canvas.page.mouse.dblclick(*canvas.pixel(15, 15))
    canvas.settle()
    assert canvas.view == [0, 96, 0, 96]


def test_a_deep_link_opens_at_its_view_with_the_overview_beneath(show, weights):
    canvas = show("t=tall&v=12340,12350,60,75")
    assert canvas.view == [12_340, 12_350, 60, 75] and canvas.get("exact") == "true"
    assert canvas.hover(12_345, 67)["value"] == "3"
    canvas.root.get_by_role("button", name="Fit").click()
    canvas.settle()
    assert canvas.view == [0, 30_522, 0, 384]


def test_a_click_selects_the_entry_and_python_names_it_exactly(show, weights):
    canvas = show("t=tall&v=12340,12350,60,75")
    canvas.page.mouse.click(*canvas.pixel(12_347, 70))
    canvas.wait("selected", "12347,70")
    value = str(weights["tall"][12_347, 70])
    canvas.page.get_by_text(f"tall selected 12347 70 {value}").wait_for()
    canvas.page.keyboard.press("Escape")
    canvas.wait("selected", "")


def test_a_click_on_a_pooled_cell_selects_the_outlier_inside_it(show):
    canvas = show()
    place, _ = canvas.find(12_345, 67, "3")
    canvas.page.mouse.click(*place)
    canvas.wait("selected", "12345,67")
    canvas.page.get_by_text("tall selected 12345 67 3.0").wait_for()


@pytest.mark.parametrize("kind", SCALES)
def test_every_pixel_of_an_exact_view_has_the_colour_that_python_gives_its_number(show, weights, kind):
    canvas = show(f"t=square&s={kind}")
    canvas.page.mouse.move(2, 2)
    canvas.page.wait_for_timeout(300)
    picture = canvas.picture()
    values = weights["square"].astype(np.float32)
    finite = values[np.isfinite(values)].astype(np.float64)
    high = np.abs(np.percentile(finite, [0.5, 99.5])).max()
    expected = colour_image(values, scale_of(kind, values, high), "blue-red").astype(int)
    x, y = (np.floor(at).astype(int) for at in canvas.places(*np.indices((96, 96))))
    assert np.abs(picture[y, x] - expected).max() <= 2


def scale_of(kind: str, values: np.ndarray, high: float) -> ColourScale:
    if kind == "rank":
        sample = values[[round(row) for row in np.linspace(0, 95, 64)]]
        return rank_scale(sample[np.isfinite(sample)])
    return signed_scale(high) if kind == "linear" else symmetric_log_scale(ColourLimits(-high, high, True))


def test_the_two_hundred_largest_weights_of_a_tall_matrix_are_all_on_the_screen(show, weights):
    """Each has the colour of its own value, within two pixels of its place, on a scale where no other weight has it."""
    canvas = show("t=peaks&full=yes")
    canvas.page.mouse.move(2, 2)
    canvas.page.wait_for_timeout(300)
    peaks = weights["peaks"]
    order = np.argsort(-np.abs(peaks), axis=None)[:200]
    rows, columns = np.unravel_index(order, peaks.shape)
    picture = canvas.picture().astype(int)
    scale = signed_scale(2.0)
    colours = colour_image(peaks[rows, columns], scale, "blue-red").astype(int)
    others = colour_image(np.array([-0.2, 0.2]), scale, "blue-red").astype(int)
    assert np.abs(colours[:, None] - others).sum(axis=2).min() > 90
    x, y = (np.floor(at).astype(int) for at in canvas.places(rows, columns))
    around = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    near = [np.abs(picture[y + down, x + right] - colours).max(axis=1) for down, right in around]
    num_seen = int((np.min(near, axis=0) <= 2).sum())
    assert num_seen == 200


def test_sums_along_the_edges_follow_the_view_and_name_their_line(show, weights):
    canvas = show("t=tall&e&v=12340,12350,60,75")
    canvas.wait("edges", "sum")
    box = canvas.root.locator("canvas").bounding_box()
    x, y, width, height = (float(n) for n in canvas.get("plot").split(","))
    tall = weights["tall"].astype(np.float64)
    canvas.page.mouse.move(box["x"] + x + width + 15, box["y"] + y + height * 0.55)  # the sixth of ten rows
    cell = json.loads(canvas.get("hover"))
    assert cell["edge"] == "row" and cell["lines"] == [12_345, 12_346]
    assert float(cell["value"]) == pytest.approx(tall[12_345].sum(), rel=1e-6)
    canvas.page.mouse.move(box["x"] + x + width * 0.5, box["y"] + y - 15)  # the eighth of fifteen columns
    cell = json.loads(canvas.get("hover"))
    assert cell["edge"] == "column" and cell["lines"] == [67, 68]
    assert float(cell["value"]) == pytest.approx(tall[:, 67].sum(), rel=1e-6)
    canvas.root.get_by_role("button", name="Fit").click()
    canvas.settle()
    sums = tall.sum(axis=1)
    at = int(np.argmax(np.abs(sums)))
    found = []
    for step in range(-3, 4):
        canvas.page.mouse.move(box["x"] + x + width + 15, box["y"] + y + height * (at + 0.5) / 30_522 + step)
        found.append(json.loads(canvas.get("hover"))["lines"][0])
    assert at in found  # of all lines under a pixel, the one with the largest sum


def test_a_rectangle_is_drawn_with_shift_or_with_the_button_and_taken_away_with_escape(show):
    canvas = show("t=tall&v=5000,5040,100,140")
    page = canvas.page

    def drag(start, stop):
        page.mouse.move(*canvas.pixel(*start))
        page.mouse.down()
        page.mouse.move(*canvas.pixel(*stop), steps=4)
        page.mouse.up()

    page.keyboard.down("Shift")
    drag((5020, 120), (5010, 125))
    page.keyboard.up("Shift")
    page.get_by_text("tall rectangle 5010,5021,120,126").wait_for()
    assert canvas.get("rectangle") == "5010,5021,120,126" and canvas.view == [5000, 5040, 100, 140]
    canvas.root.get_by_role("button", name="Select a rectangle").click()
    drag((5002, 102), (5003, 102))
    page.get_by_text("tall rectangle 5002,5004,102,103").wait_for()
    canvas.root.get_by_role("button", name="Select a rectangle").click()
    drag((5020, 120), (5010, 120))
    canvas.settle()
    assert canvas.view != [5000, 5040, 100, 140] and canvas.get("rectangle") == "5002,5004,102,103"
    canvas.root.focus()
    page.keyboard.press("Escape")
    page.get_by_text("tall rectangle").wait_for(state="detached")
    assert canvas.get("rectangle") == ""


def test_sorted_rows_keep_the_numbers_of_the_file(show, weights):
    canvas = show("t=tall&o=norm&v=0,8,60,75")
    order = np.argsort(-np.linalg.norm(weights["tall"].astype(np.float64), axis=1), kind="stable")
    cell = canvas.hover(2, 67)
    assert cell["rows"] == [2, 3] and np.float32(cell["value"]) == weights["tall"][order[2], 67]
    assert canvas.root.locator(".place").inner_text() == f"row {order[2]:,} · column 67"
    assert "places 0–7 of 30,522 rows by norm" in canvas.root.locator(".window").inner_text()
    canvas.page.mouse.click(*canvas.pixel(2, 67))
    canvas.page.get_by_text(f"tall selected {order[2]} 67 ").wait_for()
    canvas.wait("selected", f"{order[2]},67")
    canvas.page.get_by_role("button", name="Jump").click()  # to row 110 of the file, seen in places 100 … 120
    canvas.wait("selected", "110,20")


def test_nan_and_infinities_have_their_own_colours_names_and_legend(show):
    canvas = show("t=square")
    box = canvas.root.locator("canvas").bounding_box()
    cases = [(10, 20, "NaN", NAN_COLOUR), (30, 40, "+Inf", POSINF_COLOUR), (50, 60, "-Inf", NEGINF_COLOUR)]
    places = [canvas.pixel(row, column) for row, column, _, _ in cases]
    picture = canvas.picture()
    for (row, column, text, colour), (x, y) in zip(cases, places, strict=True):
        assert tuple(picture[int(y - box["y"]), int(x - box["x"])]) == colour
        assert canvas.hover(row, column)["value"] == text
    assert canvas.root.locator(".legend").inner_text().split() == ["NaN", "+Inf", "−Inf"]
    assert show("t=vector").root.locator(".legend").inner_text() == ""


def test_whole_numbers_beyond_float_precision_show_every_digit(show, weights):
    canvas = show("t=ids")
    assert canvas.hover(3, 5)["value"] == str(weights["ids"][3, 5])


def test_vectors_scalars_and_empty_tensors_look_reasonable(show, weights):
    vector = show("t=vector")
    assert vector.view == [0, 1, 0, 384]
    assert np.float32(vector.hover(0, 200)["value"]) == weights["vector"][200]
    assert vector.root.bounding_box()["height"] < 260  # a stripe, not a wall
    assert show("t=one").hover(0, 0)["value"] == "2.5"
    assert show("t=empty").root.get_by_text("This tensor has no entries.").is_visible()


def test_a_tensors_name_is_text_and_never_markup(show):
    canvas = show("t=" + HOSTILE.replace("&", "%26").replace(" ", "%20"))
    assert canvas.root.locator(".name").inner_text() == HOSTILE
    assert canvas.root.locator("img").count() == 0


def test_two_canvases_on_one_page_move_apart(show):
    first = show("t=tall,square")
    second = Canvas(first.page, 1)
    second.zoom(48, 48, 4)
    assert second.view != [0, 96, 0, 96]
    assert first.view == [0, 30_522, 0, 384]
    Canvas(first.page, 0).zoom(15_000, 100, 5)
    assert first.view != [0, 30_522, 0, 384]


def test_a_rerun_with_other_limits_keeps_the_view_and_changes_the_colours(show):
    canvas = show("t=square")
    canvas.zoom(48, 48, 4)
    view, before = canvas.view, canvas.picture()
    canvas.page.get_by_text("Full range").click()
    canvas.page.wait_for_timeout(1500)
    assert canvas.view == view
    assert not np.array_equal(canvas.picture(), before)


def test_python_can_send_the_canvas_to_a_place_and_mark_it(show):
    canvas = show("t=tall")
    canvas.zoom(20_000, 300, 6)
    canvas.page.get_by_role("button", name="Jump").click()
    canvas.wait("selected", "110,20")
    assert canvas.view == [100, 120, 10, 30]
    canvas.zoom(105, 15, -3)
    assert canvas.view != [100, 120, 10, 30]  # and the person is free again


def test_a_canvas_that_was_taken_away_comes_back(show):
    canvas = show("t=tall")
    canvas.page.get_by_text("Show", exact=True).click()
    canvas.page.locator(".heatmap").wait_for(state="detached")
    canvas.page.get_by_text("Show", exact=True).click()
    Canvas(canvas.page).find(12_345, 67, "3")


def test_a_dark_page_gets_a_dark_canvas(show):
    light, dark = (show("t=square", color_scheme=scheme).picture() for scheme in ("light", "dark"))
    assert light[3, 3].mean() > 200 and dark[3, 3].mean() < 60


def test_a_dense_screen_gets_sharp_pixels_and_a_finer_tile(show):
    canvas = show("t=tall", device_scale_factor=2)
    canvas.settle()
    assert canvas.root.locator("canvas").evaluate("c => c.width / c.clientWidth") == pytest.approx(2, abs=0.01)
    canvas.wait("tile-seq", "0", is_equal=False)
    _, cell = canvas.find(12_345, 67, "3")
    assert cell["rows"][1] - cell["rows"][0] < 120


def test_a_narrow_screen_hides_no_outlier(show):
    canvas = show("t=tall", viewport={"width": 420, "height": 800})
    _, cell = canvas.find(12_345, 67, "3")
    assert cell["columns"][1] - cell["columns"][0] > 1


def test_every_turn_of_the_wheel_is_drawn_at_once_without_waiting_for_the_server(show):
    """Counted in redraws rather than in seconds, so a busy machine does not fail it."""
    canvas = show()
    canvas.page.mouse.move(*canvas.pixel(12_000, 200))
    before = canvas.view
    for _ in range(10):
        canvas.page.mouse.wheel(0, -100)
        canvas.page.evaluate("() => new Promise(requestAnimationFrame)")
        canvas.page.evaluate("() => new Promise(requestAnimationFrame)")
        assert canvas.view != before  # drawn at once, from what is here: no answer was waited for
        before = canvas.view

"""3D Weights in a real Chromium: what stands there is what the checkpoint holds, and it can be taken along."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.colour_maps import NAN_COLOUR, POSINF_COLOUR, colour_image
from engine.colour_scales import SCALES, signed_scale
from engine.heatmaps import Grid
from engine.surfaces import coarser, height_scale, heights
from figures.surface_scene import Label, SurfaceScene
from figures.surface_scene.page import surface_page
from storage.store import Store
from workflows import library

pytestmark = pytest.mark.browser
HOME = Path(__file__).resolve().parent.parent.parent / "Home.py"
HOSTILE = '</script><img src=x onerror=alert(1)>"&'


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(0)
    square = (rng.standard_normal((16, 20)) * 0.1).astype(np.float32)
    tall = (rng.standard_normal((4000, 64)) * 0.05).astype(np.float32)
    tall[2345, 6] = 3.0
    broken = square.copy()
    broken[3, 4], broken[10, 11] = np.nan, np.inf
    names = {"square": square, "tall": tall, "broken": broken, "vector": tall[7], HOSTILE: square[:3, :3]}
    return names | {"one": np.array(2.5, np.float32), "empty": np.zeros((0, 7), np.float32)}


@pytest.fixture(scope="module")
def address(serve, weights, tmp_path_factory):
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("surface")
    path = folder / "solid" / "model.safetensors"
    path.parent.mkdir()
    save_file({name: np.asarray(array, order="C") for name, array in weights.items()}, path)
    library.add_path(Store(folder), path)
    return serve(HOME, folder)


class Scene:
    """One scene on a page, spoken to as a person would: by pixels."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".surface[data-ready=true]")
        self.root.wait_for(timeout=60_000)
        self.root.locator(".stage").scroll_into_view_if_needed()

    def get(self, name):
        return self.root.get_attribute(f"data-{name}")

    def wait(self, name, wanted):
        for _ in range(150):
            if wanted(self.get(name)):
                return self.get(name)
            self.page.wait_for_timeout(100)
        raise AssertionError(f"data-{name} is {self.get(name)!r}")

    def pixel(self, row, column):
        """Where an entry's top is on the page."""
        box = self.root.locator(".stage").bounding_box()
        x, y, _ = self.root.evaluate("(e, at) => e.scene.where(e.scene.entry(at))", [row, column])
        return box["x"] + x, box["y"] + y

    def hover(self, row, column):
        self.page.mouse.move(*self.pixel(row, column))
        return json.loads(self.wait("hover", bool))

    def picture(self):
        """What was drawn, without labels: read in the task that draws it, as the exported picture is."""
        data = self.root.evaluate(
            "e => { const s = e.scene; s.render(s.drawn().level, s.frame, s.ratio, false); "
            "return s.surface.toDataURL().split(',')[1]; }"
        )
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)

    def colour(self, picture, row, column):
        x, y, _ = self.root.evaluate("(e, at) => e.scene.where(e.scene.entry(at))", [row, column])
        return picture[int(y), int(x)]


@pytest.fixture
def show(address, new_page):
    def open_page(query, **options):
        page = new_page(**options)
        page.goto(f"{address}/3D_Weights?model=solid&{query}")
        return Scene(page)

    return open_page


@pytest.mark.parametrize(("scheme", "shape"), [("light", "bars"), ("dark", "points")])
def test_from_above_every_cell_has_the_colour_of_the_heatmap(show, weights, scheme, shape):
    scene = show(f"tensor=square&shape={shape}&camera=0,89,4,0,0&raise=0.2", color_scheme=scheme)
    picture = scene.picture()
    assert (picture[2, 2].mean() > 200) == (scheme == "light")  # the page's own background
    limit = np.abs(np.percentile(weights["square"].astype(np.float64), [0.5, 99.5])).max()
    expected = colour_image(weights["square"], signed_scale(limit), "blue-red" if scheme == "light" else "ice-fire")
    rows, columns = [1, 3, 5, 7, 9, 11, 13], [1, 2, 3, 6, 8, 11, 13, 17, 19]  # where no line of the grid runs
    shown = np.array([[scene.colour(picture, row, column) for column in columns] for row in rows])
    assert np.abs(shown - expected[rows][:, columns]).max() <= 2


def test_a_surface_is_shaded_turns_and_comes_back_after_a_loss(show):
    scene = show("tensor=square")
    first = scene.picture()
    reds, blues = ((first[..., i] > first[..., 2 - i] + 50).mean() for i in (0, 2))
    assert 0.01 < reds < 0.5 and 0.01 < blues < 0.5
    x, y = scene.pixel(8, 10)
    scene.page.mouse.move(x, y)
    scene.page.mouse.down()
    scene.page.mouse.move(x + 120, y + 40, steps=4)
    scene.page.mouse.up()
    scene.page.wait_for_url("**camera=*", timeout=15_000)
    turned, camera = scene.picture(), scene.get("camera")
    assert not np.array_equal(first, turned)
    azimuth, elevation, *_ = map(float, camera.split(","))
    assert azimuth == pytest.approx(-32 - 120 * 0.35, abs=2) and elevation == pytest.approx(36 + 40 * 0.35, abs=2)
    scene.page.reload()  # a shared link shows the same picture
    scene = Scene(scene.page)
    assert scene.get("camera") == camera and np.array_equal(turned, scene.picture())
    scene.root.evaluate(
        "e => { window.held = e.scene.renderer.gl; window.end = window.held.getExtension('WEBGL_lose_context');"
        "window.end.loseContext(); }"
    )
    assert "took the picture away" in scene.wait("trouble", bool)
    scene.page.evaluate("() => window.end.restoreContext()")
    scene.wait("trouble", lambda text: not text)
    assert np.array_equal(turned, scene.picture())
    scene.page.get_by_test_id("stSidebarNav").get_by_text("SQL", exact=True).click()
    scene.page.get_by_text("Tables", exact=True).wait_for()
    assert scene.page.evaluate("() => window.held.isContextLost()")  # leaving the page gives it back


def test_a_click_names_the_weight_and_the_heatmap_opens_at_the_same_place(show, weights):
    scene = show("tensor=square&view=2,12,3,18&camera=20,60,3,0,0")
    for row, column in [(5, 7), (9, 12), (11, 4)]:
        cell = scene.hover(row, column)
        assert cell["rows"] == [row, row + 1] and cell["columns"] == [column, column + 1]
        assert np.float32(cell["value"]) == weights["square"][row, column]
    scene.page.mouse.click(*scene.pixel(5, 7))
    scene.wait("selected", lambda text: text == "5,7")
    scene.page.get_by_text(f"Row 5, column 7: {weights['square'][5, 7]!s}").wait_for()
    scene.page.wait_for_url("**weight=5%2C7*", timeout=15_000)
    scene.page.get_by_role("link", name="Show in Heatmap").click()
    heatmap = scene.page.locator(".heatmap[data-ready=true]")
    heatmap.wait_for(timeout=60_000)
    assert heatmap.get_attribute("data-view") == "2,12,3,18" and heatmap.get_attribute("data-selected") == "5,7"
    scene.page.get_by_test_id("stSidebarNav").get_by_text("3D Weights").click()
    back = Scene(scene.page)
    assert back.get("camera") == "20,60,3,0,0" and back.wait("selected", bool) == "5,7"
    assert back.root.evaluate("e => e.scene.header.rows") == [2, 12, 1]


def test_in_a_tall_matrix_the_outlier_stands_up_and_is_found(show):
    scene = show("tensor=tall&detail=128")
    assert scene.get("drawn") == "250,64"
    cell = scene.hover(2345, 6)
    assert cell["value"] == "3" and cell["rows"][0] <= 2345 < cell["rows"][1] and not cell["exact"]
    assert "largest |w| of" in scene.root.locator(".note").inner_text()
    heights_and_levels_are_those_of_the_engine(scene)
    scene.page.mouse.click(*scene.pixel(2345, 6))
    scene.wait("selected", lambda text: text == "2345,6")
    scene.page.get_by_role("button", name="Closer").click()
    scene.page.wait_for_url("**view=2321%2C2370%2C0%2C31*", timeout=15_000)


def heights_and_levels_are_those_of_the_engine(scene):
    found = scene.root.evaluate(
        "e => { const s = e.scene, c = s.full.coarser(1000);"
        "return { full: [...s.full.values], coarse: [...c.values], size: [c.rows, c.columns] }; }"
    )
    values = np.array(found["full"], np.float32).reshape(250, 64)
    coarse = coarser(Grid(values, 0, 4000, 0, 64, 16, 1), 1000).values
    assert found["size"] == list(coarse.shape) and np.array_equal(np.float32(found["coarse"]), coarse.ravel())
    for kind in SCALES:
        scale = height_scale(values, kind)
        told = {"knots": scale.knots.tolist(), "kind": kind, "is_signed": scale.limits.is_signed, "infinite": 1.12}
        made = scene.root.evaluate(
            "(e, told) => { const scale = new e.scene.scale.constructor(told);"
            "return [...e.scene.full.values].map((v) => scale.height(v)); }",
            told,
        )
        assert np.allclose(made, heights(values, scale).ravel(), atol=2e-6)


def test_what_is_no_number_is_a_pin_and_the_picture_to_keep_is_what_is_on_the_screen(show):
    scene = show("tensor=broken&camera=10,50,3.4,0,0")
    assert scene.root.locator(".legend").inner_text().split("\n") == ["NaN in 1 cell", "+Inf in 1 cell"]
    assert scene.hover(10, 11)["value"] == "+Inf" and scene.hover(3, 4)["value"] == "NaN"
    shown = scene.picture()
    with scene.page.expect_download() as saved:
        scene.root.get_by_role("button", name="2×").click()
    assert saved.value.suggested_filename == "broken.3d.png"
    picture = np.asarray(Image.open(saved.value.path()).convert("RGB")).astype(int)
    width, height = scene.root.evaluate("e => [e.scene.stage.clientWidth, e.scene.stage.clientHeight]")
    assert picture.shape[:2] == (2 * (height + 34 + 26), 2 * width)
    kept = picture[68 : 68 + 2 * height : 2, ::2]
    for colour in (NAN_COLOUR, POSINF_COLOUR):
        assert all((np.abs(each - colour).max(axis=2) < 4).sum() > 20 for each in (shown, kept))
    assert (np.abs(kept - shown).max(axis=2) > 20).mean() < 0.05  # labels and smooth edges differ, the rest does not
    assert (picture[:60] < 100).any() and (picture[-50:] < 160).any()  # title and source
    scene.page.wait_for_timeout(200)
    assert np.array_equal(shown, scene.picture())  # and the screen stays as it was


def test_vectors_scalars_empty_tensors_and_hostile_names_are_shown_as_they_are(show, weights):
    scene = show("tensor=vector&shape=bars&camera=0,50,3,0,0")
    assert np.float32(scene.hover(0, 30)["value"]) == weights["vector"][30]
    tensor = scene.page.get_by_role("combobox", name="Tensor")
    for name in ("one", "empty", HOSTILE):
        tensor.fill(name)
        tensor.press("Enter")
        scene.root.locator(".name").get_by_text(name, exact=True).wait_for()
        assert scene.root.locator(".empty").is_visible() == (name == "empty")
        if name == "one":
            assert scene.hover(0, 0)["value"] == "2.5"
    assert scene.root.locator("img").count() == 0


def test_without_webgl_it_says_so_and_leads_to_the_heatmap(address, new_page):
    page = new_page()
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) "
        "{ return kind === 'webgl2' ? null : get.call(this, kind, ...more); };"
    )
    page.goto(f"{address}/3D_Weights?model=solid&tensor=square")
    scene = Scene(page)
    assert "WebGL2" in scene.root.locator(".trouble").inner_text()
    page.get_by_role("link", name="Look at it as a heatmap.").click()
    page.locator(".heatmap[data-ready=true]").wait_for(timeout=60_000)
    assert "tensor=square" in page.url


def test_an_exported_page_draws_turns_and_names_its_cells_without_any_network(new_page, weights, tmp_path):
    values = weights["tall"][:40, :30].copy()
    values[20, 10] = 2.0
    grid = Grid(values, 100, 140, 0, 30, 1, 1)
    scale = signed_scale(0.1)
    scene = SurfaceScene(
        grid, Label(HOSTILE, "F32", (4000, 64), "a <b>model</b>"), height_scale(values, "linear"), scale, "blue-red"
    )
    path = tmp_path / "page.html"
    path.write_bytes(surface_page(scene))
    page = new_page(viewport={"width": 1000, "height": 760})
    requests = []
    page.context.set_offline(True)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    shown = Scene(page)
    assert shown.root.locator(".name").inner_text() == HOSTILE and page.locator("img").count() == 0
    assert "a <b>model</b>" in page.locator(".source").inner_text() and HOSTILE in page.title()
    before = shown.picture().reshape(-1, 3)
    assert (before[:, 0] > before[:, 2] + 60).mean() > 0.01 and (before[:, 2] > before[:, 0] + 40).mean() > 0.01
    assert shown.hover(120, 10) | {"names": ""} == {
        "rows": [120, 121],
        "columns": [10, 11],
        "names": "",
        "value": "2",
        "exact": True,
    }
    page.mouse.click(*shown.pixel(120, 10))
    shown.wait("selected", lambda text: text == "120,10")
    camera = shown.get("camera")
    page.keyboard.press("ArrowRight")
    assert shown.wait("camera", lambda text: text != camera)
    assert not np.array_equal(before, shown.picture().reshape(-1, 3))
    assert requests == [path.as_uri()]

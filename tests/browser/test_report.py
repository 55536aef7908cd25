"""In a real Chromium: a view opens as it was saved, and a report needs no network in any light."""

import pytest

from figures.report_page import report_html
from storage.sessions import ModelReference, SavedView
from storage.store import Store
from tests.browser.test_app import HOME, TENSOR, canvas_of
from workflows.extract import extract
from workflows.report import SECTIONS, ReportOrder, make_report

pytestmark = pytest.mark.browser
EVIL = "<script>document.title='evil'</script><img src='http://evil.example/x.png'>"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    patch = pytest.MonkeyPatch()
    patch.setenv("WEIGHTSCOPE_DATA", str(folder))
    extract("starter", store=Store(folder))
    patch.undo()
    return folder


@pytest.fixture(scope="module")
def report_file(data, tmp_path_factory):
    parameters = {"model": ("starter",), "tensor": (TENSOR,), "view": ("0,32,0,64",)}
    view = SavedView(EVIL, "Heatmap", parameters, {"model": ModelReference("starter")}, EVIL)
    order = ReportOrder("starter", tuple(SECTIONS), (view,), title=EVIL, note="\N{HEBREW LETTER SHIN}" * 9)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(report_html(make_report(order, store=Store(data))))
    return path


def test_a_view_opens_as_it_was_saved(serve, data, page):
    address = serve(HOME, data)
    page.goto(f"{address}/Heatmap?model=starter&tensor={TENSOR}&scale=rank&view=10,20,30,45&rows=norm")
    canvas_of(page)
    page.get_by_text("Save this view").click()
    page.get_by_label("Name", exact=True).fill("A <b>corner</b>")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved as").wait_for()
    page.goto(f"{address}/Heatmap?model=starter-init&columns=norm&edges=norms")
    canvas_of(page)
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Report").click()
    page.get_by_role("radio", name="Saved views").click()
    page.get_by_role("button", name="A <b>corner</b>").click()
    page.wait_for_url("**/Heatmap?*")
    assert canvas_of(page).get_attribute("data-view") == "10,20,30,45"
    page.wait_for_url(lambda url: all(part in url for part in ("model=starter&", "scale=rank", "rows=norm", TENSOR)))
    assert "columns=" not in page.url
    assert "edges=" not in page.url


@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(15, 20, 26)")])
def test_a_report_opens_offline_in_the_readers_own_light(new_page, report_file, scheme, paper):
    page = new_page(offline=True, color_scheme=scheme)
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(report_file.as_uri())
    assert {url.partition(":")[0] for url in requested} <= {"file", "data"}
    assert page.title() == EVIL
    assert page.locator("h1").inner_text() == EVIL
    assert page.locator("script").count() == 0
    assert page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor") == paper
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) > 4
    assert min(widths) > 0
    kinds = page.evaluate("[...document.images].map(image => image.currentSrc === image.src)")
    assert set(kinds) == {scheme == "light"}


def test_right_to_left_notes_begin_at_the_right_and_nothing_is_wider_than_a_phone(new_page, report_file):
    page = new_page(offline=True, viewport={"width": 390, "height": 800})
    page.goto(report_file.as_uri())
    note = page.locator(".words-note p").first
    assert note.evaluate("each => getComputedStyle(each).direction") == "rtl"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

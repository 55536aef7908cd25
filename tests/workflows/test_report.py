"""Reports hold what was asked for, as the pages show it, and nothing hostile that a reader could meet."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from engine.colour_maps import default_colour_map
from engine.errors import Cancelled, SourceError
from figures.picture_frame import PictureFrame
from figures.report_document import Found, Heading, Picture, Table, Words
from figures.report_markdown import report_zip
from figures.report_page import report_html
from storage.sessions import ModelReference, SavedView
from storage.store import Store
from workflows import report as reports
from workflows.compare import compare
from workflows.extract import extract
from workflows.health import examine
from workflows.report import SECTIONS, ReportOrder, make_report
from workflows.report_pictures import BODY_HEIGHT, WIDTH, Desk, arranged_view, tensor_scale
from workflows.reports import CallbackReport
from workflows.spectra import spectra
from workflows.view_export import view_picture, with_texts

QUERY = "encoder.layer.0.attention.self.query.weight"
EVIL = "<script>alert(1)</script>](javascript:alert(1))\N{HEBREW LETTER SHIN}\u202e"


def view(name: str = "v", page: str = "Heatmap", note: str = "", **parameters: str) -> SavedView:
    texts = {"model": "tiny", "tensor": QUERY} | parameters
    models = {key: ModelReference(texts[key]) for key in ("model", "other") if key in texts}
    return SavedView(name, page, {key: (text,) for key, text in texts.items()}, models, note)


def blocks(document, kind) -> list:
    return [block for section in document.sections for block in section.blocks if isinstance(block, kind)]


def warnings(document) -> list[str]:
    """What the report says is missing."""
    said = [block.text for block in blocks(document, Words) if block.kind == "warning"]
    return [text for text in said if "known by its name only" not in text]


def order(tiny, *sections: str, **facts) -> ReportOrder:
    return ReportOrder(str(tiny), sections or tuple(SECTIONS), **facts)


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> tuple[Path, Store]:
    """A small model, measured, and its store, for tests that only read."""
    random, folder = np.random.default_rng(7), tmp_path_factory.mktemp("house")
    arrays = {
        "embeddings.word_embeddings.weight": random.normal(size=(50, 16)).astype(np.float32),
        QUERY: random.standard_t(3, size=(16, 16)).astype(np.float32),
        "encoder.layer.0.attention.self.query.bias": random.normal(size=16).astype(np.float32),
        "encoder.layer.0.intermediate.dense.weight": random.normal(size=(32, 16)).astype(np.float32),
        "position_ids": np.arange(50, dtype=np.int64),
    }
    path, made = folder / "tiny.safetensors", Store(folder / "data")
    save_file(arrays, path)
    extract(str(path), store=made)
    return path, made


@pytest.fixture
def measured(house) -> Path:
    return house[0]


@pytest.fixture
def store(house) -> Store:
    return house[1]


def test_a_full_report_has_every_section_and_is_the_same_file_twice(house, data, tmp_path, write_safetensors):
    measured, store = house[0], Store(data)
    arrays = {QUERY: np.eye(16, dtype=np.float32)}
    other = write_safetensors(tmp_path / "other.safetensors", arrays)
    extract(str(other), store=store)
    compare(str(other), str(measured), store=store)
    examine(str(measured), store=store)
    spectra(str(measured), store=store)
    full = order(measured, views=(view(note="seen"),), other="other", note="Mine.", date="today", title="T")
    document = make_report(full, store=store)
    assert [section.title for section in document.sections] == [title for title, _ in SECTIONS.values()]
    assert warnings(document) == []
    assert report_html(document) == report_html(make_report(full, store=store))
    assert report_zip(document) == report_zip(make_report(full, store=store))
    names = [picture.name for picture in blocks(document, Picture)]
    assert len(set(names)) == len(names) >= 8


def test_what_was_not_measured_is_said_and_the_rest_is_there(tiny, data):
    store = Store(data)
    document = make_report(order(tiny, other=""), store=store)
    assert "Measure this model first" in " ".join(block.text for block in blocks(document, Words))
    assert any("whole-model" in picture.name for picture in blocks(document, Picture))


def test_a_view_is_the_picture_of_the_heatmap_page(measured, store):
    seen = view(view="0,8,4,12", scale="rank", rows="norm", colours="automatic")
    (picture,) = blocks(make_report(order(measured, "views", views=(seen,)), store=store), Picture)
    desk = Desk(store)
    location = next(each for each in store.locations() if each.name == "tiny")
    source = desk.open(location)
    parameters = {"view": "0,8,4,12", "scale": "rank", "rows": "norm"}
    shown = arranged_view(location, source, source.info(QUERY), parameters)
    matrix = source.read(QUERY).astype(np.float64)
    assert list(shown.rows) == list(np.argsort(-np.linalg.norm(matrix, axis=1), kind="stable"))
    scale = tensor_scale(desk, location, source, source.info(QUERY), parameters)
    frame = with_texts(shown, scale, PictureFrame(width=WIDTH, body_height=BODY_HEIGHT))
    expected = view_picture(shown, scale, default_colour_map(True, False), frame)
    assert np.array_equal(np.asarray(picture.light), np.asarray(expected))
    assert not np.array_equal(np.asarray(picture.light), np.asarray(picture.dark))
    desk.close()


LOOKS = {
    "whole model": ({"look": "Whole model"}, 1),
    "whole model by a number": ({"look": "Whole model", "measure": "Parameters", "tiles": "scale per role"}, 1),
    "whole model by a statistic": ({"look": "Whole model", "measure": "Standard deviation"}, 1),
    "attention": ({"look": "Attention"}, 1),
    "spectrum that was not measured": ({"look": "Spectrum"}, 0),
    "health that was not examined": ({"look": "Health"}, 0),
    "landscape": ({"page": "3D Weights"}, 1),
    "the city": ({"page": "3D Weights", "space": "Whole model"}, 1),
    "not compared": ({"page": "Compare", "other": "tiny"}, 0),
    "itself beside itself": ({"page": "Compare", "other": "tiny", "show": "Side by side"}, 3),
    "a query": ({"page": "SQL", "q": "SELECT 1.5 AS a, NULL AS b, '<b>' AS c"}, 0),
    "a query that fails": ({"page": "SQL", "q": "DROP TABLE model"}, 0),
    "another page": ({"page": "Report"}, 0),
    "a page that is not here": ({"page": "Nowhere"}, 0),
    "a tensor that is not here": ({"tensor": "nothing"}, 0),
    "a model that is not here": ({"model": "nothing"}, 0),
    "a window that is none": ({"view": "9,1,x", "limits": "∞", "scale": "?", "colours": "?", "rows": "?"}, 1),
    "a window outside": ({"view": "900,999,0,4"}, 1),
    "a window of a large number": ({"view": f"0,{10**30},0,4"}, 1),
}


@pytest.mark.parametrize(("parameters", "count"), LOOKS.values(), ids=LOOKS)
def test_every_look_becomes_pictures_or_words(measured, store, parameters, count):
    document = make_report(order(measured, "views", views=(view("This one", **parameters),)), store=store)
    assert len(blocks(document, Picture)) == count
    assert [heading.text for heading in blocks(document, Heading)] == ["This one"]
    assert len(document.sections[0].blocks) > 1


def test_a_query_is_a_table_with_its_nulls(measured, store):
    seen = view(page="SQL", q="SELECT 1.5 AS a, NULL AS b, '<b>' AS c")
    (table,) = blocks(make_report(order(measured, "views", views=(seen,)), store=store), Table)
    assert (table.columns, table.rows) == (("a", "b", "c"), (("1.5", "–", "<b>"),))


def test_hostile_names_and_words_disturb_nothing(data, tmp_path, write_safetensors):
    store, matrix = Store(data), np.random.default_rng(1).normal(size=(24, 24)).astype(np.float32)
    path = write_safetensors(tmp_path / "evil.safetensors", {EVIL: matrix, "nan.weight": matrix * np.nan})
    extract(str(path), store=store)
    examine(str(path), store=store)
    spectra(str(path), store=store)
    seen = SavedView(EVIL, "Heatmap", {"model": ("evil",), "tensor": (EVIL,)}, {"model": ModelReference("evil")}, EVIL)
    document = make_report(order(path, views=(seen,), title=EVIL, note=EVIL, date=EVIL), store=store)
    assert blocks(document, Found)
    page = report_html(document).decode()
    assert "<script" not in page
    assert "\u202e" not in page
    with zipfile.ZipFile(io.BytesIO(report_zip(document))) as archive:
        for name in archive.namelist():
            assert re.fullmatch(r"report\.md|images/[A-Za-z0-9._-]+\.(png|svg)", name)
            if name.endswith(".svg"):
                tree = ElementTree.fromstring(archive.read(name))
                assert not any(element.tag.endswith("script") for element in tree.iter())


def test_bounds_are_kept_and_said(measured, store, monkeypatch):
    for bound in ("MOST_VIEWS", "MOST_ROWS"):
        monkeypatch.setattr(reports, bound, 1)
    views = (view("first"), view("second"))
    document = make_report(order(measured, "views", "statistics", views=views), store=store)
    assert warnings(document) == ["A report holds 1 views; these are left out: second."]
    (table,) = blocks(document, Table)
    assert len(table.rows) == 1
    assert "of 5 tensors" in table.caption


def test_the_largest_picture_that_noise_makes_keeps_a_report_small_enough(data, tmp_path, write_safetensors):
    store, noise = Store(data), np.random.default_rng(0).normal(size=(1200, 1200)).astype(np.float32)
    path = write_safetensors(tmp_path / "noise.safetensors", {"w": noise})
    seen = SavedView("v", "Heatmap", {"model": ("noise",), "tensor": ("w",)}, {"model": ModelReference("noise")})
    document = make_report(order(path, "views", views=(seen,)), store=store)
    assert reports.MOST_VIEWS * len(report_html(document)) < 40e6


def test_progress_tells_every_part_and_can_stop(measured, store):
    told = []
    make_report(
        order(measured, "summary", "views", views=(view("mine"),)), store=store, report=CallbackReport(told.append)
    )
    assert {"The model", "Views", "mine"} <= {progress.current for progress in told}
    assert told[-1].fraction == 1.0

    def stop(_):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        make_report(order(measured), store=store, report=CallbackReport(stop))


def test_a_model_that_is_not_here_is_an_error(store):
    with pytest.raises(SourceError):
        make_report(ReportOrder("nothing", ("summary",)), store=store)


def test_the_command_writes_html_or_a_zip(tiny, command, tmp_path):
    page, archive = tmp_path / "r.html", tmp_path / "r.zip"
    done = command("report", str(tiny), "-o", str(page), "--sections", "summary,panorama", "--title", "<T>", "--json")
    assert done.returncode == 0, done.stderr
    assert b'<h1 dir="auto">&lt;T&gt;</h1>' in page.read_bytes()
    assert command("report", str(tiny), "-o", str(archive), "--sections", "panorama").returncode == 0
    with zipfile.ZipFile(archive) as opened:
        (name,) = [each for each in opened.namelist() if each.startswith("images/")]
        assert Image.open(io.BytesIO(opened.read(name))).width == WIDTH


@pytest.mark.parametrize(
    "wrong", [("-o", "r.pdf"), ("--sections", "nothing"), ("--view", "nothing"), ("-o", "/nowhere/at/all.html")]
)
def test_a_wrong_command_says_what_to_do(tiny, command, wrong):
    done = command("report", str(tiny), "--sections", "summary", *wrong)
    assert done.returncode == 1
    assert "hint:" in done.stderr

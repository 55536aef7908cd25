"""Views travel as files, find their models by content, and hostile files change nothing."""

import contextlib
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import WeightscopeError
from storage.records import Location
from storage.sessions import ModelReference, SavedView
from workflows import sessions
from workflows.extract import extract
from workflows.sessions import keep_views, new_view, page_files, read_views, reopened, save_view, views_file

HASH = "ab" * 32
VIEW = SavedView(
    "Outliers",
    "Heatmap",
    {"model": ("mine",), "view": ("0,4,0,8",), "rows": ("norm",)},
    {"model": ModelReference("mine", HASH)},
    "\N{HEBREW LETTER ALEF} <b>",
    datetime(2026, 1, 2, tzinfo=UTC),
)


def here(name: str, content_hash: str | None) -> Location:
    return Location(name, f"/{name}", "added", "f", "safetensors", 1, 1, 1, content_hash)


def file_of(**changes) -> bytes:
    """The file of one view, with parts of that view replaced."""
    file = json.loads(views_file([VIEW]))
    file["views"][0] |= changes
    return json.dumps(file).encode()


def test_a_file_gives_back_its_views_and_the_same_bytes():
    views = [VIEW, SavedView("plain", "SQL", {"q": ("FROM model\n-- \t“x”",)})]
    assert read_views(views_file(views)) == views
    assert views_file(read_views(views_file(views))) == views_file(views)


texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40)


@given(texts.filter(str.strip), texts, st.dictionaries(st.from_regex(r"\A[a-z][a-z_]{0,8}\Z"), st.tuples(texts)))
def test_any_text_survives_the_file(name, note, parameters):
    view = SavedView(name, "Heatmap", parameters, {}, note)
    assert read_views(views_file([view])) == [view]


def test_a_model_is_found_by_its_content_under_another_name():
    found = reopened(VIEW, [here("mine", "cd" * 32), here("renamed", HASH)])
    assert (found.parameters["model"], found.warnings, found.problem) == (["renamed"], (), "")
    assert found.file == "pages/3_Heatmap.py"
    assert found.parameters["rows"] == ["norm"]


def test_of_two_places_with_the_content_the_one_with_the_name_is_opened():
    assert reopened(VIEW, [here("copy", HASH), here("mine", HASH)]).parameters["model"] == ["mine"]


@pytest.mark.parametrize(("content_hash", "words"), [("cd" * 32, "another content"), (None, "not measured here")])
def test_without_the_content_the_name_counts_with_a_warning(content_hash, words):
    found = reopened(VIEW, [here("mine", content_hash)])
    assert found.parameters["model"] == ["mine"]
    assert words in found.warnings[0]


def test_a_model_that_is_not_here_is_named_with_what_to_do():
    found = reopened(VIEW, [here("another", "cd" * 32)])
    assert "“mine” (content abababababab) is not here" in found.problem
    assert "Zoo" in found.hint


def test_a_page_that_is_not_here_opens_nothing():
    found = reopened(SavedView("x", "../../etc/passwd", {}), [])
    assert found.file == ""
    assert found.problem


def test_the_view_of_a_page_knows_the_content_of_its_model(store, tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "one.safetensors", {"w": np.eye(4, dtype=np.float32)})
    outcome = extract(str(path), store=store)
    view = new_view(store, " mine ", "Heatmap", {"model": ["one"], "embed": ["true"], "view": [""]}, "note")
    assert (view.name, dict(view.parameters)) == ("mine", {"model": ("one",)})
    assert view.models == {"model": ModelReference("one", outcome.content_hash)}
    write_safetensors(path, {"w": np.zeros((5, 5), np.float32)})
    assert new_view(store, "x", "Heatmap", {"model": ["one"]}).models["model"].content_hash is None
    save_view(store, view)
    with pytest.raises(WeightscopeError, match="already"):
        save_view(store, view)


def test_views_from_a_file_get_free_names_and_are_not_kept_twice(store):
    assert keep_views(store, [VIEW]) == ["Outliers"]
    assert keep_views(store, [VIEW]) == []
    other = SavedView("Outliers", "SQL", {}, {}, "", VIEW.saved_at)
    assert keep_views(store, [other, other]) == ["Outliers (2)", "Outliers (3)"]


def test_a_public_deployment_keeps_nothing(store, monkeypatch):
    monkeypatch.setenv("WEIGHTSCOPE_PUBLIC", "1")
    for act in (
        lambda: save_view(store, VIEW),
        lambda: keep_views(store, [VIEW]),
        lambda: sessions.delete_view(store, "x"),
        lambda: sessions.change_view(store, "x", new_name="y", note=""),
    ):
        with pytest.raises(WeightscopeError, match="public"):
            act()


def test_there_is_an_end_to_how_many_are_kept(store, monkeypatch):
    monkeypatch.setattr(sessions, "MOST_VIEWS", 1)
    save_view(store, VIEW)
    with pytest.raises(WeightscopeError, match="already"):
        keep_views(store, [SavedView("more", "SQL", {})])


HOSTILE = {
    "empty": b"",
    "no JSON": b"PK\x03\x04",
    "no text": b"\xff\xfe\x00",
    "another format": b'{"format": "x"}',
    "a list": b"[]",
    "nested without end": b"[" * 200_000,
    "too large": b" " * (sessions.MOST_FILE_BYTES + 1),
    "a newer version": json.dumps({"format": sessions.FORMAT, "version": 2, "views": []}).encode(),
    "views is an object": json.dumps({"format": sessions.FORMAT, "version": 1, "views": {}}).encode(),
    "too many views": json.dumps({"format": sessions.FORMAT, "version": 1, "views": [{}] * 501}).encode(),
    "a view is a number": json.dumps({"format": sessions.FORMAT, "version": 1, "views": [1]}).encode(),
    "no name": file_of(name=""),
    "a name of blanks": file_of(name="  "),
    "a name that is a number": file_of(name=5),
    "a long name": file_of(name="x" * 121),
    "control characters": file_of(name="a\x1b[31m"),
    "half a character": file_of(name="\ud800"),
    "two lines": file_of(name="a\nb"),
    "a long note": file_of(note="x" * 10_001),
    "no page": file_of(page=None),
    "parameters are a list": file_of(parameters=[]),
    "a parameter is a text": file_of(parameters={"view": "0"}),
    "a parameter holds numbers": file_of(parameters={"view": [0]}),
    "a key with markup": file_of(parameters={"<script>": ["0"]}, models={}),
    "a NUL": file_of(parameters={"view": ["\0"]}, models={}),
    "many keys": file_of(parameters={f"k{i}": ["0"] for i in range(65)}, models={}),
    "many texts": file_of(parameters={"view": ["0"] * 65}, models={}),
    "a long text": file_of(parameters={"view": ["x" * 20_001]}, models={}),
    "a model without a parameter": file_of(parameters={}),
    "a model under another key": file_of(parameters={"view": ["0"]}, models={"view": {"name": "x"}}),
    "a model without a name": file_of(models={"model": {}}),
    "a model that is a text": file_of(models={"model": "x"}),
    "a path for a hash": file_of(models={"model": {"name": "x", "content_hash": "../../etc/passwd"}}),
    "a time that is none": file_of(saved_at="yesterday"),
    "a time that is a number": file_of(saved_at=5),
    "a time before all times": file_of(saved_at="0001-01-01T00:00:00+23:59"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_with_words(data):
    with pytest.raises(WeightscopeError) as caught:
        read_views(data)
    assert len(str(caught.value)) < 400


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "page", "parameters", "models", "note", "saved_at", "model"]),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(view):
    data = json.dumps({"format": sessions.FORMAT, "version": 1, "views": [view]}).encode()
    with contextlib.suppress(WeightscopeError):
        read_views(data)


def test_pages_are_known_by_their_titles():
    files = page_files()
    assert files["3D Weights"] == "pages/4_3D_Weights.py"
    assert files["SQL"] == "pages/11_SQL.py"

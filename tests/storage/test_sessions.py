"""Saved views come back as they were saved, keep their names apart, and outlive their models."""

from datetime import UTC, datetime

import pytest

from engine.errors import StorageError
from engine.measures.registry import settings_hash
from storage.sessions import ModelReference, SavedView
from tests.storage.made import make_model

VIEW = SavedView(
    name="Outliers; “it's” \N{HEBREW LETTER ALEF}",
    page="Heatmap",
    parameters={
        "model": ("starter",),
        "view": ("0,4,0,8",),
        "many": ("a", "b"),
        "tensor": ('x"; DROP TABLE model --',),
    },
    models={"model": ModelReference("starter", "ab" * 32), "other": ModelReference("init")},
    note="Look here.\n<b>bold</b>",
    saved_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


def named(name: str, **facts) -> SavedView:
    return SavedView(name, "Heatmap", {}, **facts)


def test_a_view_comes_back_as_it_was_saved(store):
    store.save_views([VIEW])
    assert store.saved_views() == [VIEW]
    assert store.saved_view(VIEW.name) == VIEW
    assert store.saved_view("another") is None


def test_a_taken_name_is_refused_and_nothing_is_written(store):
    store.save_views([VIEW])
    with pytest.raises(StorageError, match="already"):
        store.save_views([named("new"), named(VIEW.name)])
    assert store.saved_views() == [VIEW]


def test_a_view_can_take_the_place_of_one_with_its_name(store):
    store.save_views([VIEW])
    store.save_views([named(VIEW.name, note="now")], replace=True)
    (found,) = store.saved_views()
    assert (found.note, found.parameters, found.models) == ("now", {}, {})


def test_the_latest_view_comes_first(store):
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (2, 3, 1)]
    store.save_views([named(str(day.day), saved_at=day) for day in days])
    assert [view.name for view in store.saved_views()] == ["3", "2", "1"]


def test_a_view_is_renamed_and_noted_unless_the_name_is_taken(store):
    store.save_views([named("a"), named("b")])
    store.change_view("a", new_name="c", note="why")
    store.change_view("c", new_name="c", note="because")
    assert store.saved_view("c").note == "because"
    with pytest.raises(StorageError, match="already"):
        store.change_view("c", new_name="b", note="")
    with pytest.raises(StorageError, match="no saved view"):
        store.change_view("a", new_name="d", note="")
    assert {view.name for view in store.saved_views()} == {"b", "c"}


def test_a_deleted_view_is_gone(store):
    store.save_views([VIEW])
    assert store.delete_view(VIEW.name)
    assert not store.delete_view(VIEW.name)
    assert store.saved_views() == []


def test_a_view_outlives_its_model(store):
    store.save_model(make_model(), settings_hash())
    model = store.models()[0]
    store.save_views([named("mine", models={"model": ModelReference(model.name, model.content_hash)})])
    store.delete_model(model.name)
    assert store.saved_view("mine").models["model"].content_hash == model.content_hash

"""Places are kept once each, under names of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from engine.errors import StorageError
from tests.storage.made import SETTINGS, make_location, make_model


def test_a_location_comes_back_as_it_was_added(store):
    when = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    added = store.add_location(make_location(content_hash="c", added_at=when))
    assert added == store.location("small") == store.location("/models/small") == store.locations()[0]
    assert added.added_at == when
    assert added.added_at.tzinfo == UTC
    assert store.location("nobody") is None


def test_the_same_name_elsewhere_gets_a_number(store):
    names = [store.add_location(make_location("m", uri=f"/{i}")).name for i in range(3)]
    assert names == ["m", "m-2", "m-3"]


def test_adding_the_same_place_again_updates_it_and_keeps_its_name(store):
    first = store.add_location(make_location("m", uri="/a", content_hash="c"))
    same = store.add_location(make_location("other", uri="/a", num_tensors=9))
    assert (same.name, same.added_at, same.num_tensors, same.content_hash) == ("m", first.added_at, 9, "c")
    changed = store.add_location(make_location("m", uri="/a", fingerprint="f2"))
    assert changed.content_hash is None
    assert store.locations() == [changed]


def test_a_name_does_not_hide_behind_a_uri(store):
    store.add_location(make_location("first", uri="second"))
    store.add_location(make_location("second", uri="/b"))
    assert store.location("second").uri == "/b"


def test_the_content_hash_is_set_when_it_was_measured_and_goes_with_the_model(store):
    model = make_model()
    store.add_location(make_location())
    store.save_model(model, SETTINGS)
    store.set_content_hash("/models/small", model.content_hash, "f2")
    found = store.location("small")
    assert (found.content_hash, found.fingerprint) == (model.content_hash, "f2")
    store.delete_model("small")
    assert store.location("small").content_hash is None
    with pytest.raises(StorageError, match="/nowhere"):
        store.set_content_hash("/nowhere", "c", "f")


def test_removing_a_location_leaves_the_readings(store):
    store.add_location(make_location())
    store.save_model(make_model(), SETTINGS)
    assert store.remove_location("small")
    assert not store.remove_location("small")
    assert store.locations() == []
    assert len(store.models()) == 1


@pytest.mark.parametrize("name", ["it's", "x'; DROP TABLE location; --", '"', "模型"])
def test_names_of_any_kind_are_only_names(store, name):
    store.add_location(make_location(name, uri=name))
    assert store.location(name).uri == name
    assert store.remove_location(name)

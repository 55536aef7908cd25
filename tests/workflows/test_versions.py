"""Versions of one model: what is found, what is not, and in which order."""

import numpy as np
import pytest

import engine.sources
from workflows import locations
from workflows.locations import add_path
from workflows.versions import BEFORE_TRAINING, step_of, versions


def arrays(value, width=4):
    return {"layers.0.weight": np.full((3, width), value, np.float32), "head.weight": np.ones((2, width), np.float32)}


def found(store, name):
    known = locations.locations(store)
    current = next(location for location in known if location.name == name)
    return versions(current, known, engine.sources.open)


@pytest.fixture(autouse=True)
def _nothing_bundled(tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "BUNDLED", tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-100", 100),
        ("global_step2000", 2000),
        ("run-7-epoch=3", 3),
        ("step_0", 0),
        ("model-step100.safetensors", 100),
        ("tiny-init", BEFORE_TRAINING),
        ("bert-base-uncased", None),
        ("", None),
    ],
)
def test_names_of_training_tell_their_step(name, step):
    assert step_of(name) == step


def test_folders_named_after_steps_are_versions_in_the_order_of_their_numbers(tmp_path, store, write_safetensors):
    for step in (1000, 50, 200):
        write_safetensors(tmp_path / "run" / f"checkpoint-{step}" / "model.safetensors", arrays(step))
    write_safetensors(tmp_path / "run" / "checkpoint-300" / "model.safetensors", arrays(1, width=5))  # another shape
    (tmp_path / "run" / "checkpoint-400").mkdir()  # nothing inside
    write_safetensors(tmp_path / "run" / "model.safetensors", arrays(9))  # the end of the training
    name = add_path(store, tmp_path / "run" / "checkpoint-200").name
    result = found(store, name)
    assert [version.step for version in result] == [50, 200, 1000, None]
    assert [version.label for version in result] == ["checkpoint-50", name, "checkpoint-1000", "run"]
    assert [version.is_known for version in result] == [False, True, False, False]
    for version in result[:3]:
        with engine.sources.open(version.location.uri) as source:
            assert source.read("layers.0.weight")[0, 0] == version.step


def test_from_the_folder_above_the_checkpoints_below_are_found(tmp_path, store, write_safetensors):
    write_safetensors(tmp_path / "run" / "model.safetensors", arrays(9))
    for step in (1, 2):
        write_safetensors(tmp_path / "run" / f"step_{step}" / "model.safetensors", arrays(step))
    add_path(store, tmp_path / "run")
    assert [version.label for version in found(store, "run")] == ["step_1", "step_2", "run"]


def test_files_side_by_side_and_paths_inside_a_step_folder_work_as_well(tmp_path, store, write_safetensors):
    for step in (10, 20):
        write_safetensors(tmp_path / "flat" / f"tiny-step{step}.safetensors", arrays(step))
        write_safetensors(tmp_path / "deep" / f"epoch-{step}" / "weights" / "model.safetensors", arrays(step))
    flat = add_path(store, tmp_path / "flat" / "tiny-step20.safetensors", name="flat")
    deep = add_path(store, tmp_path / "deep" / "epoch-10" / "weights" / "model.safetensors", name="deep")
    for location in (flat, deep):
        result = [
            version for version in found(store, location.name) if "flat" in version.location.uri or location is deep
        ]
        assert [version.step for version in result][:2] == [10, 20]


def test_revisions_in_the_hub_cache_are_versions_with_the_names_of_their_branches(tmp_path, store, write_safetensors):
    repository = tmp_path / "hub" / "models--owner--tiny"
    commits = {"step1000": "a" * 40, "step20": "b" * 40, "main": "c" * 40}
    for name, commit in commits.items():
        write_safetensors(repository / "snapshots" / commit / "model.safetensors", arrays(len(name)))
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / name).write_text(commit)
    current = add_path(store, repository / "snapshots" / ("c" * 40)).name
    assert [version.label for version in found(store, current)] == ["step20", "step1000", current]


def test_a_known_model_of_the_same_tensors_is_a_version_and_the_untrained_one_comes_first(
    tmp_path, store, write_safetensors
):
    for name in ("tiny", "tiny-init"):
        add_path(store, write_safetensors(tmp_path / name / "model.safetensors", arrays(1)).parent)
    add_path(store, write_safetensors(tmp_path / "other" / "model.safetensors", {"w": np.ones(18, np.float32)}).parent)
    assert [version.label for version in found(store, "tiny")] == ["tiny-init", "tiny"]


def test_a_model_without_relatives_and_one_that_lost_them_stand_alone(tmp_path, store, write_safetensors):
    for name in ("tiny", "twin"):
        add_path(store, write_safetensors(tmp_path / name / "model.safetensors", arrays(1)).parent)
    (tmp_path / "twin" / "model.safetensors").unlink()
    assert [version.label for version in found(store, "tiny")] == ["tiny"]


def test_in_public_no_folder_of_the_server_is_shown_that_nobody_added(tmp_path, store, write_safetensors, monkeypatch):
    for step in (1, 2):
        write_safetensors(tmp_path / f"checkpoint-{step}" / "model.safetensors", arrays(step))
    name = add_path(store, tmp_path / "checkpoint-1").name
    assert len(found(store, name)) == 2
    monkeypatch.setenv("WEIGHTSCOPE_PUBLIC", "1")
    assert [version.label for version in found(store, name)] == [name]

"""Suggestions for a model: gathered from everything that is known, stored, and as a job."""

import duckdb
import numpy as np
import pytest

from tests.workflows.discovery_made import folder_of
from workflows.compare import CompareSettings, compare
from workflows.suggestions import relatives, suggest


@pytest.fixture
def made(tmp_path, write_safetensors):
    return folder_of(tmp_path / "small", write_safetensors)


def test_what_is_missing_is_examined_first_and_everything_is_stored(store, made):
    outcome = suggest(str(made), store=store)
    stored = store.suggestions(outcome.content_hash)
    by_idea = {one.idea: one for one in stored.suggestions}
    assert by_idea["stored_wide"].evidence == {"rows": 58.0}
    assert by_idea["trimming"].gain_bytes == (10 + 48) * 24 * 4
    assert by_idea["sharing"].gain_bytes == 24 * 4 - 4
    assert by_idea["exponent_coding"].state == "found" and len(by_idea["exponent_coding"].tensors) == 3
    assert by_idea["low_rank"].state == by_idea["delta_coding"].state == "unknown"
    assert outcome.gain_bytes["sharing"] == by_idea["sharing"].gain_bytes
    states = [one.state for one in stored.suggestions]
    assert states == sorted(states, key=["found", "unknown", "nothing"].index)
    assert store.health_check(outcome.content_hash) and store.forensics(outcome.content_hash)
    store.delete_model(outcome.content_hash)
    with duckdb.connect(str(store.path), read_only=True) as connection:
        for table in ("forensics", "forensics_check", "suggestion", "suggestion_check", "suggestion_tensor"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]


def test_a_child_is_predicted_to_cost_what_its_correlation_says(store, tmp_path, write_safetensors):
    random = np.random.default_rng(1)
    parent = random.normal(0, 1, (300, 200)).astype(np.float32)
    child = (parent + 0.2 * random.normal(size=parent.shape)).astype(np.float32)
    name = "model.layers.0.mlp.up_proj.weight"
    paths = [write_safetensors(tmp_path / f"{n}.safetensors", {name: a}) for n, a in (("a", parent), ("b", child))]
    compare(*map(str, paths), store=store, settings=CompareSettings(with_lineage=False))
    key = store.model("b").content_hash
    (relative,) = relatives(store, key)
    rho = np.corrcoef(parent.ravel(), child.ravel())[0, 1]
    assert relative.name == "a"
    assert relative.gain_bits == pytest.approx(0.5 * np.log2(1 / (1 - rho**2)), abs=0.01)
    # Coded at a fine step, the child alone takes h(child), given its parent h(what is left of it).
    slope = (parent * child).sum() / (parent * parent).sum()
    left = np.std(child - slope * parent)
    assert relative.gain_bits == pytest.approx(np.log2(child.std() / left), abs=0.01)


def test_the_command_says_what_was_found(command, made):
    said = command("suggest", str(made), "--quiet")
    assert said.returncode == 0, said.stderr
    assert "trimming: 58 rows or columns" in said.stdout

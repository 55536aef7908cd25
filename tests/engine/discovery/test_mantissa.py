"""Rows that were only widened are told from rows that were trained."""

import ml_dtypes
import numpy as np
import pytest

import engine.sources
from engine.discovery.mantissa import Run, forensics, is_upcast, runs_of, training_length


@pytest.fixture
def examined(tmp_path, write_safetensors):
    def examine(array):
        with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"w": array})) as source:
            return forensics(source, source.info("w"))

    return examine


@pytest.mark.parametrize(("shorter", "name"), [(np.float16, "F16"), (ml_dtypes.bfloat16, "BF16")])
def test_widened_rows_are_found_and_trained_ones_are_not(examined, shorter, name):
    array = np.random.default_rng(0).normal(0, 0.02, (200, 32)).astype(np.float32)
    widened = [3, 4, 5, 90, 199]
    array[widened] = array[widened].astype(shorter).astype(np.float32)
    found = examined(array)
    assert found.rows(name).tolist() == widened == found.never_updated.tolist()
    assert found.runs == (Run(3, 6), Run(90, 91), Run(199, 200))
    assert not found.is_whole and not is_upcast([found])


def test_one_updated_weight_in_a_row_is_enough(examined):
    array = np.random.default_rng(1).normal(0, 1, (2, 500)).astype(np.float16).astype(np.float32)
    array[1, 321] = np.nextafter(array[1, 321], np.float32(9))
    assert examined(array).never_updated.tolist() == [0]


def test_subnormal_halves_count_and_what_is_too_large_for_a_half_does_not(examined):
    small = (np.arange(1, 33) * 2.0**-24).astype(np.float32)
    large = (np.arange(1, 33) * 2.0**17).astype(np.float32) + np.float32(2**8)
    assert examined(np.stack([small, large])).rows("F16", "BF16").tolist() == [0]


def test_zeros_constants_and_short_rows_are_undecided(examined):
    assert examined(np.zeros((2, 9), np.float32)).rows("undecided").tolist() == [0, 1]
    assert examined(np.ones(768, np.float32)).rows("undecided").tolist() == [0]
    assert examined(np.array([[0.5, 0.25]], np.float32)).rows("undecided").tolist() == [0]


def test_nan_and_infinity_never_prove_anything(examined):
    array = np.full((2, 40), np.nan, np.float32)
    assert not len(examined(array).never_updated)


def test_types_without_a_shorter_one_tell_nothing(examined):
    assert examined(np.ones((3, 3), ml_dtypes.bfloat16)) is None
    assert examined(np.ones((3, 0), np.float32)) is None
    doubles = np.random.default_rng(2).standard_normal((4, 9))
    assert not len(examined(doubles).never_updated)
    assert examined(doubles.astype(np.float32).astype(np.float64)).is_whole


def test_a_checkpoint_that_was_only_widened_says_so(examined):
    halves = np.random.default_rng(3).normal(0, 1, (5, 64)).astype(np.float16).astype(np.float32)
    assert is_upcast([examined(halves), examined(np.ones(64, np.float32))])
    assert not is_upcast([]) and not is_upcast([examined(np.ones(64, np.float32))])


def test_the_strip_does_not_matter(examined, monkeypatch):
    array = np.random.default_rng(4).normal(0, 1, (101, 33)).astype(np.float32)
    array[::7] = array[::7].astype(np.float16)
    whole = examined(array).states
    monkeypatch.setattr("engine.discovery.mantissa.STRIP_BYTES", 5_000)
    assert (examined(array).states == whole).all()


def test_runs_join_neighbours_only():
    assert runs_of(np.array([], int)) == ()
    assert runs_of(np.array([0, 1, 5, 7, 8, 9])) == (Run(0, 2), Run(5, 6), Run(7, 10))


def test_the_training_length_of_minilm_and_its_unused_tokens_are_read_off_its_weights(minilm_path):
    with engine.sources.open(minilm_path) as source:
        names = {info.name.removeprefix("bert."): info for info in source.infos()}

        def examine(name):
            return forensics(source, names[name])

        words = examine("embeddings.word_embeddings.weight")
        positions = examine("embeddings.position_embeddings.weight")
        types = examine("embeddings.token_type_embeddings.weight")
        query = examine("encoder.layer.0.attention.self.query.weight")
    assert len(words.never_updated) == 1349
    assert {1, 99, 104, 998} <= set(words.never_updated.tolist())  # [unused0], [unused98], [unused99], [unused993]
    assert positions.runs == (Run(128, 512),) and training_length(positions) == 128
    assert types.never_updated.tolist() == [1]
    assert not len(query.never_updated)

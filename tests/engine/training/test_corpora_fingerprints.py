"""Equal runs have equal numbers, wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.training.corpora import fingerprints
from engine.training.corpora.fingerprints import SAMPLE_SHARE, essence, found_in, run_hashes, samples


@given(data=st.binary(max_size=120), length=st.integers(1, 10))
def test_runs_are_equal_exactly_where_their_hashes_are(data, length):
    hashes = run_hashes(data, length)
    runs = [data[start : start + length] for start in range(len(data) - length + 1)]
    assert len(hashes) == len(runs)
    assert len(set(hashes.tolist())) == len(set(runs))
    assert dict(zip(runs, hashes.tolist(), strict=True)) == {run: int(run_hashes(run, length)[0]) for run in runs}


def test_pieces_of_a_long_text_join_without_a_seam(monkeypatch):
    data = np.random.default_rng(1).bytes(5000)
    whole = run_hashes(data, 24)
    monkeypatch.setattr(fingerprints, "_CHUNK", 137)
    np.testing.assert_array_equal(run_hashes(data, 24), whole)


@given(
    texts=st.lists(st.binary(max_size=60), max_size=4), wanted=st.lists(st.binary(min_size=4, max_size=4), max_size=6)
)
def test_runs_are_found_where_a_search_by_strings_finds_them(texts, wanted):
    texts = [text.replace(b"\0", b"\1") for text in texts]  # no essence holds a zero
    wanted = [*wanted, *(text[2:6] for text in texts if len(text) >= 6)]
    keys = {int(run_hashes(run, 4)[0]): run for run in wanted}
    hashes = np.array(sorted(keys), np.uint64)
    found = found_in({4: hashes}, texts)[4]
    assert found.tolist() == [any(keys[key] in text for text in texts) for key in sorted(keys)]


@pytest.mark.parametrize(
    "other",
    ["Café am  Fluß,\n\tﬁne", "CAFÉ AM FLUSS, FINE", "Cafe\u0301 am Fluß, fine"],
)
def test_copies_with_other_white_space_case_and_letter_forms_have_one_essence(other):
    assert essence(other) == essence("café am fluss, fine")


def test_samples_are_about_one_run_in_sixteen_and_equal_for_equal_text():
    data = np.random.default_rng(2).bytes(100_000)
    sampled = samples(data)
    assert 0.9 < len(sampled) * SAMPLE_SHARE / len(data) < 1.1
    assert set(samples(data[777:9000]).tolist()) <= set(sampled.tolist())


def test_a_lone_surrogate_has_an_essence_too():
    assert essence("a\ud800b") == b"a?b"

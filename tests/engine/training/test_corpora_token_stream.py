"""Batches are pure functions of their step, shared exactly among ranks, and go through every text in turn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.corpora.token_array import token_array
from engine.training.corpora.token_stream import PERIOD, TokenStream
from engine.training.corpus import END_OF_TEXT, Corpus, Document
from engine.training.tokenizer import train_tokenizer

SIZES = (1000, 300, 20)
GOLDEN = [(0, 74), (1, 146), (0, 314), (1, 150), (0, 274), (0, 937)]


def numbered(sizes=SIZES) -> list[np.ndarray]:
    """Corpora all of whose tokens are different numbers."""
    starts = np.cumsum([0, *sizes])
    return [np.arange(start, start + size, dtype=np.int32) for start, size in zip(starts[:-1], sizes, strict=True)]


@pytest.fixture(scope="module")
def small():
    return train_tokenizer(["the cat sat on the mat, and the dog sat by the door; " * 20], 280, 64)


@given(
    step=st.integers(0, 5000),
    size=st.integers(1, 33),
    context=st.integers(1, 40),
    world=st.integers(1, 9),
    seed=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_any_number_of_ranks_makes_the_same_global_batch(step, size, context, world, seed):
    stream = TokenStream(numbered(), (1.0, 2.0, 1.0), seed)
    ids, targets = stream.batch(step, size, context)
    parts = [stream.batch(step, size, context, rank, world) for rank in range(world)]
    assert torch.equal(torch.cat([part[0] for part in parts]), ids)
    assert torch.equal(torch.cat([part[1] for part in parts]), targets)
    assert ids.dtype == targets.dtype == torch.int64
    assert ids.shape == targets.shape == (size, context)


def test_a_stream_made_again_gives_the_same_batches_in_any_order():
    first = TokenStream(numbered(), (1.0, 1.0, 1.0), 7)
    batches = [first.batch(step, 4, 16) for step in range(30)]
    again = TokenStream(numbered(), (1.0, 1.0, 1.0), 7)
    for step in (29, 3, 17, 0):
        for one, other in zip(again.batch(step, 4, 16), batches[step], strict=True):
            assert torch.equal(one, other)
    other_seed = TokenStream(numbered(), (1.0, 1.0, 1.0), 8)
    assert not torch.equal(other_seed.batch(0, 4, 16)[0], batches[0][0])


def test_the_order_of_windows_is_that_of_every_version_and_machine():
    """Golden numbers: a training that goes on elsewhere must find its place."""
    stream = TokenStream(numbered(), (1.0, 1.0, 4.0), 0)
    assert [stream.window(place, 16) for place in (0, 1, 2, 1023, 1024, 99_999)] == GOLDEN


def test_batches_do_not_depend_on_how_windows_are_grouped_into_steps():
    stream = TokenStream(numbered(), (1.0, 1.0, 1.0), 1)
    by_twos = torch.cat([stream.batch(step, 2, 8)[0] for step in range(6)])
    by_threes = torch.cat([stream.batch(step, 3, 8)[0] for step in range(4)])
    assert torch.equal(by_twos, by_threes)


@pytest.mark.parametrize("context", [1, 7, 100, 256, 1000, 1024])
def test_every_token_is_a_target_once_before_any_is_twice_more(context):
    stream = TokenStream(numbered((1000,)), (1.0,), 3)
    per_epoch = -(-1000 // context)
    for epoch in range(3):
        targets = torch.cat([stream.batch(epoch * per_epoch + number, 1, context)[1] for number in range(per_epoch)])
        seen = Counter(targets.flatten().tolist())
        assert set(seen) == set(range(1000))
        assert sum(seen.values()) - 1000 < context


def test_targets_follow_their_inputs_round_the_ring():
    stream = TokenStream(numbered(), (1.0, 1.0, 1.0), 5)
    starts = np.cumsum([0, *SIZES])
    ids, targets = stream.batch(0, 200, 64)
    for row, following in zip(ids.tolist(), targets.tolist(), strict=True):
        corpus = int(np.searchsorted(starts, row[0], side="right")) - 1
        start, size = int(starts[corpus]), SIZES[corpus]
        expected = [start + (row[0] - start + offset) % size for offset in range(65)]
        assert row == expected[:-1]
        assert following == expected[1:]


def test_corpora_are_drawn_by_weight_times_tokens_exactly_in_each_period():
    stream = TokenStream(numbered((1000, 500, 10)), (1.0, 4.0, 0.001), 0)
    drawn = Counter(stream.window(place, 16)[0] for place in range(PERIOD))
    assert drawn == {0: 341, 1: 682, 2: 1}
    assert Counter(stream.window(place, 16)[0] for place in range(PERIOD, 2 * PERIOD)) == drawn
    half = Counter(stream.window(place, 16)[0] for place in range(PERIOD // 2))
    assert abs(half[0] - 170) < 40


def test_weights_multiply_how_often_a_token_is_seen():
    stream = TokenStream(numbered((512, 512)), (1.0, 3.0), 0)
    seen = Counter((stream.batch(0, PERIOD, 16)[1] // 512).flatten().tolist())
    assert seen[1] == 3 * seen[0]


@given(weights=st.lists(st.just(0.0) | st.floats(1e-6, 100.0), min_size=1, max_size=6).filter(any))
@settings(max_examples=60, deadline=None)
def test_every_corpus_with_a_weight_has_a_place_and_no_other_has(weights):
    stream = TokenStream(numbered([50] * len(weights)), weights, 0)
    drawn = Counter(stream.window(place, 16)[0] for place in range(PERIOD))
    assert {corpus for corpus, weight in enumerate(weights) if weight > 0} == set(drawn)
    for corpus, count in drawn.items():
        assert abs(count - PERIOD * stream.shares[corpus]) <= len(weights)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 2.0), (float("nan"), 1.0), (float("inf"), 1.0), (1.0,)])
def test_weights_that_draw_nothing_are_refused(weights):
    with pytest.raises(TrainingError, match="no tokens to draw"):
        TokenStream(numbered((5, 5)), weights, 0)


def test_a_text_shorter_than_the_context_goes_round():
    ids, targets = TokenStream([np.array([0, 5, 6, 7], np.uint16)], (1.0,), 0).batch(0, 3, 10)
    for row, following in zip(ids.tolist(), targets.tolist(), strict=True):
        assert set(row) == {0, 5, 6, 7}
        assert row[1:] == following[:-1]
        assert row[4:] == row[:-4]


def test_documents_begin_with_end_of_text_and_cannot_spell_it(small):
    documents = [Document("a", "the cat"), Document("b", f"the {END_OF_TEXT} dog"), Document("c", "")]
    tokens = token_array(documents, small)
    assert tokens.dtype == np.uint16
    assert (tokens == small.bos_token_id).sum() == 3
    assert small.decode(tokens) == f"{END_OF_TEXT}the cat{END_OF_TEXT}the {END_OF_TEXT} dog{END_OF_TEXT}"


@given(text=st.text("the cat\n\t 。é", max_size=80))
@settings(deadline=None)
def test_a_text_cut_into_parts_has_the_tokens_of_the_whole(small, text):
    import engine.training.corpora.token_array as module

    whole = token_array([Document("a", text)], small)
    before, module.PART_CHARACTERS = module.PART_CHARACTERS, 7
    try:
        parts = token_array([Document("a", text)], small)
    finally:
        module.PART_CHARACTERS = before
    assert parts.tolist() == whole.tolist()


def test_tokens_are_kept_on_disk_for_the_same_text_and_tokenizer(small, tmp_path):
    documents = (Document("a", "the cat sat on the door"),)
    kept = token_array(documents, small, tmp_path)
    assert isinstance(kept, np.memmap)
    assert kept.tolist() == token_array(documents, small).tolist()
    (path,) = tmp_path.iterdir()
    written = path.stat().st_mtime_ns
    token_array(documents, small, tmp_path)
    assert path.stat().st_mtime_ns == written
    token_array((Document("a", "the dog"),), small, tmp_path)
    token_array(documents, train_tokenizer(["another text " * 9], 270, 64), tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_token_file_is_made_again(small, tmp_path):
    documents = (Document("a", "the cat sat on the door"),)
    wanted = token_array(documents, small, tmp_path).tolist()
    (path,) = tmp_path.iterdir()
    for damage in (path.read_bytes()[:-4], b"", b"nonsense"):
        path.unlink()
        path.write_bytes(damage)
        assert token_array(documents, small, tmp_path).tolist() == wanted


def test_a_folder_that_cannot_be_written_says_so(small, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match="cannot be kept"):
        token_array((Document("a", "the cat"),), small, tmp_path / "file")


def test_a_stream_of_corpora_leaves_out_what_has_no_text_or_weight(small, tmp_path):
    cat, dog = (Document("cat", "the cat sat"),), (Document("dog", "the dog sat by the door"),)
    corpora = [Corpus("a", cat, 2.0), Corpus("b", dog, 0.0), Corpus("c", (Document("", ""),)), Corpus("d", dog, 1.0)]
    stream = TokenStream.of(corpora, small, 0, tmp_path)
    assert stream.num_tokens == len(token_array(cat + dog, small))
    assert stream.shares == pytest.approx(
        [2 * len(token_array(cat, small)), len(token_array(dog, small))]
        / np.float64(2 * len(token_array(cat, small)) + len(token_array(dog, small)))
    )

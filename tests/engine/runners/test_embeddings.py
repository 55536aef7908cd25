"""Embeddings against torch, sentence-transformers, and what the sentences mean."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.errors import RunnerError
from engine.runners import load
from engine.runners.embeddings import pooled, similarities, unit_length

SENTENCES = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A cheetah is running behind its prey.",
    "A woman is playing violin, and " * 200,
]


@pytest.fixture(scope="module")
def embedder(minilm_path):
    return load(minilm_path, "embeddings", device="cpu")


def test_vectors_are_those_of_an_independent_computation(embedder, minilm_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_path.parent)
    model = transformers.AutoModel.from_pretrained(minilm_path.parent, dtype=torch.float64)
    found = embedder.embed(SENTENCES)
    for sentence, vector in zip(SENTENCES, found, strict=True):
        encoded = tokenizer(sentence, return_tensors="pt", truncation=True, max_length=256)
        with torch.no_grad():
            hidden = model(**encoded).last_hidden_state[0].numpy()
        mean = hidden.mean(0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=2e-6)


def test_vectors_are_those_of_sentence_transformers(embedder, minilm_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(minilm_path.parent), device="cpu", local_files_only=True)
    np.testing.assert_allclose(embedder.embed(SENTENCES), model.encode(SENTENCES), atol=2e-6)


def test_like_sentences_are_nearer_than_unlike_ones(embedder):
    found = similarities(embedder.embed(SENTENCES))
    assert found[0, 1] == pytest.approx(0.7553, abs=2e-3)  # as published for this model and these sentences
    assert found[0, 1] > 0.5 > max(found[0, 2], found[0, 3])
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-6)
    assert (found == found.T).all()


def test_a_text_has_one_vector_whatever_stands_beside_it(embedder):
    together = embedder.embed(SENTENCES)
    for sentence, vector in zip(SENTENCES, together, strict=True):
        np.testing.assert_allclose(embedder.embed([sentence])[0], vector, atol=2e-6)


def test_texts_are_cut_where_the_model_was_trained_to(embedder):
    assert embedder.facts.context == 256
    longer = SENTENCES[-1] + "something else"
    assert (embedder.embed([longer]) == embedder.embed([SENTENCES[-1]])).all()


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
def test_every_pooling_is_that_of_a_plain_loop(embedder, pooling):
    hidden = np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 1, 0]])
    for row, is_token, vector in zip(hidden, mask.astype(bool), pooled(hidden, mask, pooling), strict=True):
        tokens = row[is_token].astype(np.float64)
        expected = {"mean": tokens.mean(0), "cls": tokens[0], "max": tokens.max(0), "last": tokens[-1]}[pooling]
        np.testing.assert_allclose(vector, expected, rtol=1e-6)
    assert embedder.embed(["a"], pooling=pooling).shape == (1, 384)


def test_the_pooling_that_the_folder_states_is_the_default(minilm_path, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(minilm_path.parent, folder)
    stated = {"word_embedding_dimension": 384, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(stated))
    runner = load(folder, "embeddings", device="cpu")
    assert runner.pooling == "cls"
    assert (runner.embed(["a b"]) == runner.embed(["a b"], pooling="cls")).all()


def test_lengths_are_kept_when_asked(embedder):
    raw = embedder.embed(SENTENCES[:2], normalise=False)
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(unit_length(raw), embedder.embed(SENTENCES[:2]), atol=1e-6)


def test_no_text_and_unknown_poolings_are_refused(embedder):
    with pytest.raises(RunnerError, match="no text"):
        embedder.embed([])
    with pytest.raises(RunnerError, match=r"median.*mean"):
        embedder.embed(["a"], pooling="median")
    assert embedder.embed([""]).shape == (1, 384)


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float32, (4, 3), elements=st.floats(-1e3, 1e3, width=32)))
def test_similarities_are_bounded_symmetric_and_zero_for_a_zero_vector(vectors):
    found = similarities(vectors)
    assert (np.abs(found) <= 1).all()
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    assert not found[~vectors.any(axis=1)].any()
    assert not np.isnan(found).any()

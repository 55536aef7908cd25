"""The mantissas of a whole model: stored, told in words, and with the names of tokens."""

import numpy as np
import pytest

from engine.errors import Cancelled
from tests.workflows.discovery_made import POSITIONS, WORDS, folder_of
from workflows.forensics import examine_mantissas, never_rows, runs
from workflows.reports import CallbackReport
from workflows.token_names import token_groups, token_kind


@pytest.fixture
def made(tmp_path, write_safetensors):
    return folder_of(tmp_path / "small", write_safetensors)


def test_rows_positions_and_tokens_are_found_stored_and_told(store, made):
    outcome = examine_mantissas(str(made), store=store)
    assert (outcome.training_length, outcome.is_upcast, outcome.num_rows_never) == (16, False, 58)
    found = store.forensics(outcome.content_hash)
    tensors = {tensor.tensor: tensor for tensor in found.tensors}
    assert never_rows(tensors[WORDS]).tolist() == [*range(1, 10), 12]
    assert [(run.start, run.stop) for run in runs(tensors[POSITIONS])] == [(16, 64)]
    assert tensors[WORDS].shorter == "F16"
    groups = {group.group: (group.never, group.total) for group in found.token_groups}
    assert groups == {"[unused…]": (9, 9), "Chinese and Japanese characters": (1, 1)}
    assert "all 9 [unused…]" in found.sentences[0] and "at most 16 tokens" in found.sentences[1]
    assert examine_mantissas(str(made), store=store).was_stored


def test_a_widened_checkpoint_is_said_to_be_that_and_nothing_more(store, tmp_path, write_safetensors):
    array = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float16).astype(np.float32)
    path = write_safetensors(tmp_path / "wide.safetensors", {POSITIONS: array})
    outcome = examine_mantissas(str(path), store=store)
    assert outcome.is_upcast and outcome.training_length is None
    assert len(outcome.sentences) == 1 and "only widened" in outcome.sentences[0]


def test_a_cancelled_reading_stores_nothing(store, made):
    def stop(progress):
        if progress.phase == "reading mantissas":
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        examine_mantissas(str(made), store=store, report=CallbackReport(stop))
    assert store.forensics("small") is None


def test_a_broken_tokenizer_only_takes_the_names_away(store, made):
    (made / "tokenizer.json").write_text("[" * 5000, encoding="utf-8")
    outcome = examine_mantissas(str(made), store=store)
    assert store.forensics(outcome.content_hash).token_groups == ()
    assert "10 of 20 vocabulary rows" in outcome.sentences[0]


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("[unused12]", "[unused…]"),
        ("<extra_id_7>", "<extra_id…>"),
        ("<0x0A>", "byte"),
        ("[CLS]", "special"),
        ("<|endoftext|>", "special"),
        ("Ġthe", "Latin"),
        ("##一", "Chinese and Japanese characters"),
        ("▁1984", "digits"),
        ("...", "punctuation and signs"),
        ("", "punctuation and signs"),
    ],
)
def test_tokens_are_told_by_kind(token, kind):
    assert token_kind(token) == kind


def test_rows_beyond_the_names_are_no_tokens():
    (group,) = token_groups({0: "a"}, [5, 6], 8)
    assert (group.group, group.never, group.total, group.examples) == ("no token", 2, 7, ())


def test_minilm_has_1349_unused_words_and_saw_128_positions(store, minilm_path):
    outcome = examine_mantissas(str(minilm_path.parent), store=store)
    found = store.forensics(outcome.content_hash)
    words = next(tensor for tensor in found.tensors if tensor.role == "token_embedding")
    assert (words.num_never, words.num_rows, found.training_length) == (1349, 30522, 128)
    assert next(g for g in found.token_groups if g.group == "[unused…]").never == 994
    assert next(tensor for tensor in found.tensors if tensor.tensor == "pooler.dense.weight").is_whole

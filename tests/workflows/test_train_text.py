"""The text of a training: gathered as asked for, its weights heard by the vocabulary, its token never written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import TrainingError
from engine.training.corpus import Document
from engine.training.settings import CorpusChoice
from tests.workflows.train_made import small_request, write_text
from workflows import corpora
from workflows.reports import Report
from workflows.training_text import PreparedText

SPLITS = (CorpusChoice("hub:owner/book", 1.0, "train"), CorpusChoice("hub:owner/book", 0.001, "extra"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A data set with two splits of which no word is in both."""
    plain = write_text(tmp_path / "plain.txt").read_text(encoding="utf-8")
    texts = {"train": plain, "extra": plain.translate({ord(small): ord("α") + n for n, small in enumerate(WORD)})}
    asked = []

    def hub_documents(name, split="", column="", limit=0, *, token=None):
        asked.append((name, split, token))
        return iter([Document(f"{name} {split}", texts[split])])

    monkeypatch.setattr(corpora, "hub_documents", hub_documents)
    return asked


WORD = "abcdefghijklmnopq"


def prepared(folder: Path, store, *choices: CorpusChoice) -> PreparedText:
    request = small_request(folder)
    request = replace(request, corpora=choices, model=replace(request.model, vocabulary_size=320)).check()
    text = PreparedText(folder)
    text.prepare(request, store, Report(), None)
    return text


def greek(text: PreparedText) -> int:
    """Tokens of Greek letters in the vocabulary."""
    tokenizer = text.tokenizer()
    return sum(any("α" <= letter <= "ω" for letter in tokenizer.decode([n])) for n in range(len(tokenizer)))


def test_the_weights_of_corpora_reach_the_vocabulary(hub, store, tmp_path):
    rarely = prepared(tmp_path / "rarely", store, *SPLITS)
    often = prepared(tmp_path / "often", store, replace(SPLITS[0], weight=0.001), replace(SPLITS[1], weight=1.0))
    assert greek(rarely) == 0, "a text that is hardly drawn is given no words of its own"
    assert greek(often) > 20
    assert len(rarely.tokenizer()) == len(often.tokenizer()) == 320


def test_two_splits_of_one_data_set_are_two_corpora(hub, store, tmp_path):
    text = prepared(tmp_path / "text", store, *SPLITS)
    assert [split for _, split, _ in hub] == ["train", "extra"]
    assert [corpus.name for corpus in text.facts.corpora] == ["hub:owner/book train", "hub:owner/book extra"]
    assert {corpus.source for corpus in text.facts.corpora} == {"hub:owner/book"}
    assert [corpus.weight for corpus in text.facts.corpora] == [1.0, 0.001]
    assert all(corpus.num_tokens for corpus in text.facts.corpora)
    with pytest.raises(TrainingError, match="hub:owner/book train is attached twice"):
        prepared(tmp_path / "twice", store, SPLITS[0], SPLITS[0])


def test_a_token_goes_to_the_jobs_process_and_into_no_file(store, data, monkeypatch, tmp_path):
    from workflows import jobs as job_module
    from workflows import training

    given = []
    monkeypatch.setattr(job_module, "spawn", lambda run, command, secret=None: given.append(secret))
    board = job_module.Jobs(data)
    request = small_request(write_text(tmp_path / "river.txt"))
    training.start(store, board, request, {"HF_TOKEN": "hf_secret"})
    assert given == [{"HF_TOKEN": "hf_secret"}]
    files = [path for path in data.rglob("*") if path.is_file()]
    assert files and not any(b"hf_secret" in path.read_bytes() for path in files)

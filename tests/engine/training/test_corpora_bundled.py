"""What every installation has at hand to learn from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from engine.errors import TrainingError
from engine.training.corpora import bundled as module
from engine.training.corpora.bundled import MAX_SOURCE_BYTES, bundled, standard_library
from engine.training.corpus import language_reference, num_bytes


@pytest.mark.parametrize("name", bundled())
def test_every_bundled_corpus_has_words_for_people_and_whole_documents(name):
    corpus = bundled()[name]
    documents = corpus.documents()
    assert corpus.name == name
    assert corpus.title
    assert corpus.description.endswith(".")
    assert len({document.name for document in documents}) == len(documents) > 0
    assert all(document.text.strip() and "\r" not in document.text for document in documents)
    assert corpus.documents() == documents


def test_the_book_is_short_plain_and_in_chapters():
    (book,) = bundled()["weigh-house"].documents()
    assert 25_000 < len(book.text) < 60_000
    assert book.text.count("CHAPTER") == 11
    assert book.text.isascii()
    paragraphs = [one for one in book.text.split("\n\n") if len(one) > 60]
    assert len(set(paragraphs)) == len(paragraphs)


def test_the_standard_library_is_python_without_tests_and_other_peoples_packages():
    documents = standard_library()
    names = {document.name for document in documents}
    assert {"ast.py", "json/decoder.py", "asyncio/tasks.py"} <= names
    assert not [name for name in names if "test" in name.split("/")[:-1] or "site-packages" in name or "topics" in name]
    assert 5_000_000 < num_bytes(documents) <= MAX_SOURCE_BYTES
    decoder = next(document for document in documents if document.name == "json/decoder.py")
    assert decoder.text == Path(json.decoder.__file__).read_text(encoding="utf-8")


def test_a_limit_takes_the_first_modules_and_does_not_change_them():
    few = standard_library(300_000)
    assert num_bytes(few) <= 300_000
    assert few == standard_library()[: len(few)]


def test_a_python_without_sources_or_topics_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(TrainingError, match="no sources"):
        bundled()["standard-library"].documents()
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(TrainingError, match="no language reference"):
        bundled()["language-reference"].documents()


def test_the_language_reference_is_that_of_the_corpus_module():
    assert bundled()["language-reference"].documents() == language_reference()

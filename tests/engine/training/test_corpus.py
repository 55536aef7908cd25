"""Documents are split so that nothing held out was learnt."""

from __future__ import annotations

import itertools
import random
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.corpus import (
    Document,
    flat,
    language_reference,
    longest_shared_run,
    num_bytes,
    split,
    text_hash,
)


def prose(seed: int, words: int) -> str:
    """Text that shares no long run with that of another seed."""
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijklmnop", k=draw.randint(2, 9))) for _ in range(words))


@pytest.fixture(scope="module")
def reference():
    return language_reference()


@pytest.fixture(scope="module")
def parts(reference):
    return split(reference)


@pytest.fixture(scope="module")
def windows_of_training(parts):
    text = flat("\n\n".join(document.text for document in parts.training))
    return {text[start : start + 200] for start in range(len(text) - 199)}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_no_200_characters_of_held_out_text_stand_in_the_training_text(parts, windows_of_training, part):
    for document in getattr(parts, part):
        text = flat(document.text)
        for start in range(len(text) - 199):
            assert text[start : start + 200] not in windows_of_training, (document.name, text[start : start + 200])


def test_validation_and_test_text_share_no_200_characters(parts):
    validation = " ".join(flat(document.text) for document in parts.validation)
    for document in parts.test:
        assert len(longest_shared_run(document.text, validation)) < 200, document.name


def test_the_leak_test_can_fail_because_the_reference_repeats_itself(reference):
    by_name = {document.name: document.text for document in reference}
    assert len(longest_shared_run(by_name["while"], by_name["compound"])) >= 200


def test_held_out_parts_are_whole_topics_of_about_the_share_asked_for(reference, parts):
    names = [document.name for part in (parts.training, parts.validation, parts.test) for document in part]
    assert max(Counter(names).values()) == 1
    assert set(names) <= {document.name for document in reference}
    total = sum(num_bytes(part) for part in (parts.training, parts.validation, parts.test))
    for part in (parts.validation, parts.test):
        assert 0.04 < num_bytes(part) / total < 0.09


def test_the_split_keeps_most_of_the_text_and_drops_only_repeats(reference, parts):
    kept = flat(" ".join(document.text for part in (parts.training, parts.validation, parts.test) for document in part))
    assert 0.7 * num_bytes(reference) < num_bytes(parts.training) + num_bytes(parts.validation) + num_bytes(parts.test)
    for document in reference:
        for paragraph in document.text.split("\n\n"):
            if len(flat(paragraph)) >= 200:
                assert flat(paragraph) in kept, (document.name, paragraph)


def test_the_split_is_the_same_for_the_same_seed_and_another_for_another(reference, parts):
    assert split(reference) == parts
    assert split(reference, seed=1) != parts


def test_a_copy_with_other_line_breaks_stays_on_the_side_of_its_original():
    passage = prose(100, 40)
    documents = [Document(f"own {number}", prose(number, 60)) for number in range(20)]
    documents += [
        Document("original", prose(50, 30) + " " + passage),
        Document("copy", prose(51, 30) + "\n\n    " + passage.replace(" ", "\n    ")),
    ]
    for seed in range(20):
        parts = split(documents, 0.2, seed)
        sides = [
            {document.name for document in part} & {"original", "copy"}
            for part in (parts.training, parts.validation, parts.test)
        ]
        assert sorted(map(len, sides)) == [0, 0, 2]


def test_a_paragraph_that_returns_is_kept_once():
    passage = prose(100, 40)
    documents = [Document(f"own {number}", prose(number, 200)) for number in range(10)]
    documents += [
        Document("long", prose(50, 90) + "\n\n" + passage),
        Document("short", prose(51, 60) + "\n\n" + passage),
    ]
    parts = split(documents, 0.2)
    texts = [document.text for part in (parts.training, parts.validation, parts.test) for document in part]
    assert sum(passage in text for text in texts) == 1


def test_a_document_that_only_repeats_others_is_dropped():
    passage = prose(100, 40)
    documents = [Document(f"own {number}", prose(number, 200)) for number in range(10)]
    documents += [Document("whole", prose(50, 90) + "\n\n" + passage), Document("part", "Title\n\n" + passage)]
    parts = split(documents, 0.2)
    names = {document.name for part in (parts.training, parts.validation, parts.test) for document in part}
    assert "whole" in names
    assert "part" not in names


@pytest.mark.parametrize("number", [0, 1, 2])
def test_too_few_documents_for_three_parts_are_refused_by_name_of_the_empty_part(number):
    documents = [Document(f"own {index}", prose(index, 50)) for index in range(number)]
    with pytest.raises(TrainingError, match=r"leave no \w+ text"):
        split(documents, 0.3)


def test_the_hash_tells_texts_apart_however_they_are_cut():
    assert text_hash([Document("a", "bc")]) != text_hash([Document("ab", "c")])
    assert text_hash([Document("a", "b"), Document("c", "")]) != text_hash([Document("a", "bc")])
    assert text_hash([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_bytes_are_counted_in_utf8():
    assert num_bytes([Document("", "aé€𝄞"), Document("", "")]) == 1 + 2 + 3 + 4


def test_a_python_without_the_reference_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(TrainingError, match=r"pydoc_data\.topics"):
        language_reference()


@given(st.text("ab ", max_size=30), st.text("ab ", max_size=30))
def test_the_longest_shared_run_is_what_a_search_over_all_runs_finds(text, other):
    text, other = flat(text), flat(other)
    runs = (text[start:stop] for start, stop in itertools.combinations(range(len(text) + 1), 2))
    assert len(longest_shared_run(text, other)) == max((len(run) for run in runs if run in other), default=0)
    assert longest_shared_run(text, other) in other

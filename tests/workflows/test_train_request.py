"""A request goes to JSON and back, from words and back, and says what is wrong with it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.settings import CorpusChoice, ModelSettings, SelfPlaySettings, TrainingSettings
from tests.workflows.train_made import small_request
from workflows.command_line import parser
from workflows.training_card import command
from workflows.training_request import TrainingRequest, check_name
from workflows.training_words import request_of


def asked(*words: str) -> TrainingRequest:
    argv = ["train", *words]
    return request_of(parser(argv).parse_args(argv))


@pytest.mark.parametrize("self_play", [False, True])
def test_json_gives_the_request_back(self_play):
    request = small_request(Path("river.txt"), self_play=self_play)
    assert TrainingRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (None, "NoneType"),
        ({}, "lacks name"),
        ({"name": 1}, "name is 1, expected str"),
        ({"name": "a", "colour": "red"}, "no setting 'colour'"),
        ({"name": "a", "model": {"width": 1.5}}, "model.width is 1.5, expected int"),
        ({"name": "a", "model": {"width": True}}, "expected int"),
        ({"name": "a", "training": {"optimizer": "sgd"}}, "one of muon, adamw"),
        ({"name": "a", "corpora": "text"}, "expected a list"),
        ({"name": "a", "corpora": [{"weight": 1}]}, "lacks source"),
        ({"name": "a", "self_play": {"weights": [["length"]]}}, "1 parts, expected 2"),
    ],
)
def test_json_of_another_kind_is_refused_by_its_place(values, words):
    with pytest.raises(TrainingError, match=words):
        TrainingRequest.from_json(values)


def test_a_whole_number_will_do_where_a_fraction_may_stand():
    request = TrainingRequest.from_json({"name": "a", "training": {"learning_rate": 1}})
    assert isinstance(request.training.learning_rate, float)


_MODELS = st.builds(
    ModelSettings,
    vocabulary_size=st.integers(257, 70000),
    heads=st.just(4),
    width=st.integers(1, 200).map(lambda n: 8 * n),
    dropout=st.floats(0, 0.9),
    tied=st.booleans(),
)
_TRAININGS = st.builds(
    TrainingSettings,
    steps=st.integers(1, 10**6),
    learning_rate=st.floats(0, 1),
    optimizer=st.sampled_from(["muon", "adamw"]),
    compile=st.booleans(),
    device=st.sampled_from(["auto", "cpu"]),
)
_CORPORA = st.builds(
    CorpusChoice,
    st.sampled_from(["bundled:language-reference", "hub:owner/name", "library:0123456789abcdef", "a, b=c.txt"]),
    weight=st.floats(0.01, 100),
    split=st.sampled_from(["", "test"]),
    documents=st.integers(0, 100),
)


@settings(max_examples=60, deadline=None)
@given(model=_MODELS, training=_TRAININGS, corpus=_CORPORA, share=st.floats(0.01, 0.4), plays=st.booleans())
def test_the_command_on_the_card_asks_for_the_same_training(model, training, corpus, share, plays):
    play = SelfPlaySettings(iterations=7, weights=(("length", 1.0),)) if plays else None
    share = float(f"{share:g}")  # as the card spells it
    request = TrainingRequest("a", model, "", (corpus,), training, play, share)
    words = shlex.split(command(request))
    assert words[:4] == ["python", "-m", "workflows", "train"]
    assert asked(*words[4:]) == request


def test_a_preset_and_single_settings_come_together():
    request = asked("--name", "a", "--preset", "quick", "--corpus", "x.txt,weight=2", "--set", "training.steps=3")
    assert request.training.steps == 3
    assert request.corpora == (CorpusChoice("x.txt", 2.0),)
    assert request.self_play is None


def test_a_file_says_it_all_and_words_go_before(tmp_path):
    file = tmp_path / "request.json"
    file.write_text(json.dumps(small_request(Path("river.txt")).to_json()))
    assert asked("--request", str(file)) == small_request(Path("river.txt"))
    other = asked("--request", str(file), "--name", "other", "--self-play")
    assert other == replace(small_request(Path("river.txt")), name="other", self_play=SelfPlaySettings())


@pytest.mark.parametrize(
    "words",
    [
        ["--corpus", "x"],
        ["--name", "a"],
        ["--name", "a", "--corpus", "x", "--set", "training"],
        ["--name", "a", "--corpus", "x", "--set", "training.colour=1"],
        ["--name", "a", "--corpus", "x", "--set", "self_play.group=2"],
        ["--name", "a", "--corpus", "x", "--corpus", "x"],
        ["--name", "a", "--corpus", "x", "--no-training"],
        ["--request", "nowhere.json"],
    ],
)
def test_words_that_make_no_request_are_refused(words):
    with pytest.raises(TrainingError):
        asked(*words)


@pytest.mark.parametrize("name", ["a", "my-book_1.2", "A" * 60, "v2", "novel.final"])
def test_plain_names_are_taken(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "-a", " a", "a ", "ä", "a\n", "a.", "A" * 61, "NUL", "com1.x", "ckpt_12"]
)
def test_names_that_some_system_cannot_have_are_refused(name):
    with pytest.raises(TrainingError):
        check_name(name)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"batch_size": 3, "accumulation": 4},
        {"learning_rate": float("nan")},
        {"max_norm": 0.0},
        {"keep_last": 0},
        {"final_share": 1.5},
    ],
)
def test_settings_without_sense_are_refused(change):
    request = small_request(Path("river.txt"))
    with pytest.raises(TrainingError):
        replace(request, training=replace(request.training, **change)).check()

"""An answer that a thread writes: the same text as the engine gives, ended by anyone, outliving nobody."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from pathlib import Path

import pytest

import engine.runners
from engine.errors import RunnerError
from engine.runners import GenerationSettings
from ui.chat.conversation import Conversation
from ui.chat.export import as_json
from ui.chat.reply import DONE, Reply, Task

STARTER = Path(__file__).resolve().parents[2] / "models" / "starter"
PROMPT = ({"role": "user", "content": 'The "with" statement'},)
GREEDY = GenerationSettings(max_new_tokens=12, temperature=0)


@pytest.fixture(scope="module")
def generator():
    if not (STARTER / "model.safetensors").is_file():
        pytest.skip("the bundled checkpoint is not here")
    return engine.runners.load(STARTER, "text-generation")


@pytest.fixture
def write(generator):
    def start(settings=GREEDY, **options) -> Reply:
        load = options.pop("load", lambda: contextlib.nullcontext(generator))
        return Reply(Task("starter", PROMPT, settings, load, **options))

    return start


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "weightscope-reply"]


def test_a_reply_is_the_text_that_the_engine_gives(write, generator):
    reply = write()
    assert reply.wait(60)
    expected = list(generator.stream(PROMPT[0]["content"], GREEDY))
    assert [token.token_id for token in reply.progress.tokens] == [token.token_id for token in expected]
    assert reply.text == "".join(token.text for token in expected)
    assert reply.progress.phase == DONE
    assert reply.progress.finish == "length"
    assert reply.progress.num_prompt == len(generator.prepare(PROMPT[0]["content"], GREEDY).token_ids)


def test_a_stopped_reply_keeps_what_was_written_and_its_thread_ends(write):
    reply = write(GenerationSettings(max_new_tokens=200, temperature=0))
    while not reply.progress.tokens:
        time.sleep(0.01)
    reply.stop()
    assert reply.wait(60)
    assert reply.text
    assert reply.progress.finish == "stopped"
    assert len(reply.progress.tokens) < 200


def test_a_reply_stopped_while_its_model_loads_writes_nothing(write, generator):
    go_on = threading.Event()

    @contextlib.contextmanager
    def slow():
        go_on.wait(60)
        yield generator

    reply = write(load=slow)
    reply.stop()
    go_on.set()
    assert reply.wait(60)
    assert (reply.text, reply.progress.finish, reply.progress.error) == ("", "stopped", None)


def test_a_reply_that_nobody_holds_any_more_ends(write):
    reply = write(GenerationSettings(max_new_tokens=250, temperature=0))
    while not reply.progress.tokens:
        time.sleep(0.01)
    progress = reply.progress
    del reply
    gc.collect()
    for thread in threads():
        thread.join(60)
    assert not threads()
    assert progress.finish == "stopped"


@pytest.mark.parametrize("error", [RunnerError("no memory", "buy some"), ZeroDivisionError("a bug")])
def test_what_goes_wrong_is_kept_for_the_page(write, error):
    def fail():
        raise error

    reply = write(load=fail)
    assert reply.wait(60)
    assert reply.progress.error is error
    assert not reply.is_writing
    assert reply.progress.finish == ""


def test_at_the_end_whoever_asked_is_told_once_with_everything(write):
    told = []
    reply = write(on_end=lambda progress: told.append((progress, progress.text)))
    reply.wait(60)
    assert told == [(reply.progress, reply.text)]


def test_an_exported_answer_has_its_tokens_and_probabilities(write):
    import json

    conversation = Conversation()
    reply = write()
    conversation.answer(conversation.say("hello"), reply)
    reply.wait(60)
    record = json.loads(as_json(conversation, "starter"))["turns"][1]
    assert "".join(token["text"] for token in record["tokens"]) == record["content"] == reply.text
    assert all(0 <= token["probability"] <= 1 for token in record["tokens"])
    assert record["settings"]["temperature"] == 0

"""A run's folder: what was asked, and events that survive torn writes."""

from __future__ import annotations

import json
import math
import threading

import pytest

from engine.errors import JobError
from workflows.runs import RUN_ID, EventTail, RunFolder


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "extract", {"model": "ünïcode"})


def test_a_run_says_what_was_asked(run):
    request = run.read_request()
    assert (request["id"], request["kind"], request["arguments"]) == (run.id, "extract", {"model": "ünïcode"})
    assert RUN_ID.fullmatch(run.id) and request["created_at"].tzinfo is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "extract"}', '{"kind": 1, "arguments": 2, "created_at": 3}'])
def test_a_folder_without_a_whole_request_is_no_run(run, text):
    run.request.write_text(text, encoding="utf-8")
    with pytest.raises(JobError, match="does not say what was asked"):
        run.read_request()


def test_each_reading_gives_only_what_is_new(run):
    tail = EventTail(run)
    assert tail.read() == []
    run.write_event("log", text="one")
    assert [event["text"] for event in tail.read()] == ["one"]
    assert tail.read() == []
    run.write_event("log", text="two")
    run.write_event("log", text="three")
    assert [event["text"] for event in tail.read()] == ["two", "three"]


def test_a_line_that_is_still_being_written_is_read_once_it_is_whole(run):
    tail = EventTail(run)
    line = json.dumps({"event": "log", "text": "Größe"}, ensure_ascii=False).encode() + b"\n"
    for cut in range(1, len(line)):
        with run.events.open("ab") as file:
            file.write(line[:cut])
        assert tail.read() == []
        with run.events.open("ab") as file:
            file.write(line[cut:])
        assert [event["text"] for event in tail.read()] == ["Größe"]


@pytest.mark.parametrize("torn", [b'{"event": "log", "te', b"\xff\xfe", b"[1, 2]\n", b"null\n", b'{"no": 1}\n', b"\n"])
def test_a_torn_line_spoils_nothing_after_it(run, torn):
    run.write_event("log", text="before")
    with run.events.open("ab") as file:
        file.write(torn)
    run.write_event("log", text="after")
    assert [event["text"] for event in EventTail(run).read()] == ["before", "after"]


def test_undefined_numbers_become_null(run):
    run.write_event("metric", name="loss", value=math.nan, step=1)
    run.write_event("metric", name="loss", value=math.inf, step=2)
    assert [event["value"] for event in EventTail(run).read()] == [None, None]


def test_events_of_several_writers_stay_whole_lines(run):
    def write(name):
        for step in range(50):
            run.write_event("metric", name=name * 50, value=float(step), step=step)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(EventTail(run).read()) == 200

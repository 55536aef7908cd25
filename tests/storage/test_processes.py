"""Many programs want one file: each model is there whole or not at all, and nobody waits for long."""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time

import duckdb
import pytest

from engine.errors import StorageError
from storage.store import Store
from tests.storage.made import SETTINGS, make_model
from tests.storage.reader import TORN

HOLDER = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def torn_models(store: Store) -> list[str]:
    store.models()
    with duckdb.connect(str(store.path), read_only=True) as connection:
        return [row[0] for row in connection.execute(TORN).fetchall()]


def test_killed_at_any_moment_a_writer_leaves_only_whole_models(store, start_program):
    chance = random.Random(7)
    said: set[str] = set()
    for number in range(6):
        writer = start_program("-m", "tests.storage.writer", str(store.folder), f"round{number}-", "0")
        said.add(writer.stdout.readline().split()[0])
        time.sleep(chance.uniform(0, 0.4))
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        said |= {line.split()[0] for line in rest.splitlines() if line.endswith("True")}
        assert torn_models(store) == []
        assert said <= {summary.name for summary in store.models()}, "what was reported as saved is there"
    assert store.save_model(make_model("after all that"), SETTINGS)


def test_killed_while_it_makes_the_database_a_writer_leaves_a_usable_folder(tmp_path, start_program):
    chance = random.Random(8)
    for number in range(4):
        store = Store(tmp_path / str(number))
        writer = start_program("-m", "tests.storage.writer", str(store.folder), "m", "0")
        while not store.folder.exists() and writer.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.3))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert torn_models(store) == []
        assert store.save_model(make_model("after"), SETTINGS)


def test_two_processes_that_save_the_same_models_save_each_once(store, start_program):
    writers = [start_program("-m", "tests.storage.writer", str(store.folder), "same", "6") for _ in range(2)]
    lines = [writer.communicate(timeout=120)[0].split("\n")[:-1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    for first, second in zip(*lines, strict=True):
        assert {first.split()[1], second.split()[1]} == {"True", "False"}
    assert [summary.name for summary in store.models()] == [f"same{number}" for number in range(6)]
    assert torn_models(store) == []


def test_two_processes_that_save_different_models_save_them_all(store, start_program):
    writers = [start_program("-m", "tests.storage.writer", str(store.folder), prefix, "6") for prefix in "ab"]
    for writer in writers:
        out, error = writer.communicate(timeout=120)
        assert (writer.returncode, out.count("True")) == (0, 6), error
    assert len(store.models()) == 12
    assert torn_models(store) == []


def test_a_reader_in_a_loop_sees_no_torn_model_and_stops_no_writer(store, start_program):
    store.models()
    reader = start_program("tests/storage/reader.py", str(store.path))
    writer = start_program("-m", "tests.storage.writer", str(store.folder), "m", "8")
    out, error = writer.communicate(timeout=120)
    assert (writer.returncode, out.count("True")) == (0, 8), error
    store.path.with_name("stop").touch()
    out, error = reader.communicate(timeout=60)
    assert reader.returncode == 0, error
    seen = json.loads(out)
    assert seen["torn"] == []
    assert seen["reads"] > 5
    assert seen["counts"] == sorted(seen["counts"])


def test_a_held_file_gives_an_error_that_names_the_process(store, start_program):
    store.models()
    holder = start_program("-c", HOLDER, str(store.path))
    assert holder.stdout.readline() == "held\n"
    impatient = Store(store.folder, patience_s=0.2)
    for attempt in (impatient.models, lambda: impatient.save_model(make_model(), SETTINGS)):
        with pytest.raises(StorageError) as caught:
            attempt()
        assert f"process {holder.pid} (" in caught.value.message
        assert "python" in caught.value.message.lower()
        assert "waited 0.2 s" in caught.value.message
        assert "Close it there" in caught.value.hint
    with pytest.raises(StorageError, match=str(holder.pid)):
        impatient.query("SELECT 1")
    holder.communicate(input="")
    assert impatient.models() == []


def test_a_file_held_for_a_while_is_waited_for(store, start_program):
    store.models()
    holder = start_program("-c", HOLDER.replace("sys.stdin.read()", "import time; time.sleep(1)"), str(store.path))
    assert holder.stdout.readline() == "held\n"
    assert store.save_model(make_model(), SETTINGS)


def test_a_file_held_by_this_process_is_an_error_that_says_so(store):
    store.models()
    with duckdb.connect(str(store.path)), pytest.raises(StorageError, match="this process itself"):
        Store(store.folder, patience_s=0.1).models()
    assert store.models() == []


def test_threads_of_one_process_take_turns(store):
    errors: list[Exception] = []

    def work(number: int) -> None:
        own = Store(store.folder) if number % 2 else store
        try:
            for turn in range(3):
                assert own.save_model(make_model(f"m{number}-{turn}"), SETTINGS)
                assert own.model(f"m{number}-{turn}").num_tensors == 6
                assert len(own.tensor_stats(f"m{number}-{turn}")) == 6
        except Exception as error:  # noqa: BLE001 — reported below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.models()) == 18
    assert torn_models(store) == []


def test_another_program_reads_the_views_with_duckdb_alone(store, start_program):
    model = make_model()
    store.save_model(model, SETTINGS)
    code = (
        "import duckdb, json, sys; c = duckdb.connect(sys.argv[1], read_only=True);"
        "print(json.dumps(c.execute('SELECT tensor, mean FROM tensor_stats ORDER BY position').fetchall()))"
    )
    out, error = start_program("-c", code, str(store.path)).communicate(timeout=60)
    assert json.loads(out) == [[r.info.name, r.reading.values["mean"]] for r in model.tensors], error


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to delete an open file")
def test_no_file_stays_open_between_two_calls(store):
    import psutil

    store.save_model(make_model(), SETTINGS)
    store.query("SELECT 1")
    assert [entry.path for entry in psutil.Process().open_files() if entry.path.startswith(str(store.folder))] == []

"""`python -m workflows …` as a person and as a script meet it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from storage.store import Store

ROOT = Path(__file__).resolve().parents[2]


def test_extract_models_stats_sql_and_delete_tell_one_story(command, tiny, data):
    measured = json.loads(command("extract", str(tiny), "--json").stdout)
    assert [(one["name"], one["num_tensors"], one["was_stored"]) for one in measured] == [("tiny", 5, False)]
    known = {one["name"]: one for one in json.loads(command("models", "--json").stdout)}
    assert known["tiny"]["content_hash"] == measured[0]["content_hash"] and known["tiny"]["uri"] == str(tiny)
    stats = json.loads(command("stats", "tiny", "--json").stdout)
    frame = Store(data).tensor_stats(measured[0]["content_hash"])
    assert [row["tensor"] for row in stats] == list(frame["tensor"])
    assert [row["std"] for row in stats] == list(frame["std"])
    counted = json.loads(command("sql", "select count(*) as n from tensor_stats", "--json").stdout)
    assert counted == [{"n": 5}]
    assert json.loads(command("delete", "tiny", "--yes", "--json").stdout)["deleted"] == "tiny"
    assert "tiny" not in command("models").stdout and tiny.exists()


def test_the_tables_for_people_show_the_same(command, tiny):
    words = command("extract", str(tiny))
    assert words.returncode == 0 and words.stdout.startswith("tiny: 5 tensors") and words.stderr == ""
    assert "measured already" in command("extract", "tiny").stdout
    table = command("stats", str(tiny)).stdout.splitlines()
    assert table[0].split()[:3] == ["tensor", "dtype", "shape_text"] and len(table) == 7
    assert "yes" in next(line for line in command("models").stdout.splitlines() if line.startswith("tiny"))
    rows = list(csv.reader(command("sql", "select tensor, mean from tensor_stats", "--csv").stdout.splitlines()))
    assert rows[0] == ["tensor", "mean"] and len(rows) == 6
    assert "position_ids" in command("sql", "from tensor_stats").stdout


def test_stats_finds_a_model_by_the_start_of_its_hash(command, tiny):
    (measured,) = json.loads(command("extract", str(tiny), "--json").stdout)
    assert len(json.loads(command("stats", measured["content_hash"][:10], "--json").stdout)) == 5


def test_failures_say_what_and_what_to_do_and_exit_with_1(command, tiny, tmp_path):
    hostile = tmp_path / "hostile.safetensors"
    hostile.write_bytes((2**62).to_bytes(8, "little") + b"{")
    for words in (
        ("extract", str(hostile)),
        ("extract", "nobody"),
        ("stats", "nobody"),
        ("delete", "nobody", "--yes"),
        ("jobs", "cancel", "nobody"),
        ("jobs", "cancel"),
        ("sql", "select * from absent"),
        ("sql", "drop table model"),
    ):
        result = command(*words)
        assert result.returncode == 1, words
        assert result.stderr.startswith("error: ") and "Traceback" not in result.stderr, words
    assert "hint: " in command("extract", str(hostile)).stderr


def test_one_failing_model_does_not_keep_the_others_from_being_measured(command, tiny, tmp_path):
    result = command("extract", str(tmp_path / "absent.safetensors"), str(tiny), "--json")
    outcomes = json.loads(result.stdout)
    assert result.returncode == 1 and "error" in outcomes[0] and outcomes[1]["num_tensors"] == 5


def test_wrong_usage_exits_with_2(command):
    for words in ((), ("juggle",), ("extract",), ("extract", "a", "--threads", "0"), ("sql",), ("jobs", "juggle")):
        result = command(*words)
        assert result.returncode == 2 and "usage: " in result.stderr, words


def test_delete_asks_and_without_anybody_to_answer_deletes_nothing(command, tiny):
    command("extract", str(tiny))
    result = command("delete", "tiny")
    assert result.returncode == 1 and "--yes" in result.stderr
    assert "tiny" in command("models").stdout


@pytest.mark.parametrize("words", [["--help"], ["extract", "--help"], ["jobs", "--help"], ["models", "--help"]])
def test_help_needs_no_heavy_library(words):
    code = (
        "import sys\nfrom workflows.command_line import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numba', 'numpy', 'duckdb', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "usage: python -m workflows" in result.stdout


def test_measuring_and_looking_need_no_torch(command, tiny):
    code = (
        "import sys\nfrom workflows.command_line import main\n"
        "assert main(['extract', sys.argv[1]]) == 0 and main(['stats', 'tiny']) == 0 and main(['models']) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tiny)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_two_processes_measuring_one_model_both_end_right(begin, many, store):
    both = [begin("extract", str(many)) for _ in range(2)]
    for process in both:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert output
    assert [model.num_tensors for model in store.models()] == [500]


def test_two_processes_measuring_two_models_both_end_right(begin, many, tiny, store):
    for process in [begin("extract", str(path)) for path in (many, tiny)]:
        _output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert sorted(model.num_tensors for model in store.models()) == [5, 500]


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX")
def test_control_c_exits_with_130_and_stores_nothing(begin, many, store):
    process = begin("extract", str(many))
    while not any(known.uri == str(many) for known in store.locations()):  # it is known just before it is measured
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _output, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "cancelled" in errors and "Traceback" not in errors
    assert store.models() == []


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe that closes early is a matter of POSIX")
def test_a_reader_that_leaves_early_hears_no_complaint(command, begin, many):
    command("extract", str(many))
    process = begin("stats", "many", "--all")
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(60)
    assert errors == ""


def test_names_outside_the_terminals_alphabet_print(tmp_path, data, write_safetensors):
    path = write_safetensors(tmp_path / "größe-模型.safetensors", {"gewicht.ä": np.ones((2, 2), np.float32)})
    environment = os.environ | {"WEIGHTSCOPE_DATA": str(data), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for words in (["extract", str(path)], ["models"], ["stats", str(path)], ["stats", str(path), "--json"]):
        result = subprocess.run(
            [sys.executable, "-m", "workflows", *words], cwd=ROOT, env=environment, capture_output=True, check=False
        )
        assert result.returncode == 0, result.stderr
        result.stdout.decode("ascii")


def test_jobs_are_started_watched_and_forgotten_from_the_command_line(command, tiny):
    (started,) = json.loads(command("extract", str(tiny), "--background", "--json").stdout)
    ended = json.loads(command("jobs", "wait", started["id"][-8:], "--json").stdout)
    assert (ended["state"], ended["result"]["num_tensors"]) == ("done", 5)
    assert started["id"] in command("jobs").stdout
    assert "forgotten" in command("jobs", "forget", started["id"]).stdout
    assert json.loads(command("jobs", "--json").stdout) == []

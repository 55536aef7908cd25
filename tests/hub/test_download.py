"""Downloads into the standard cache: only what is needed, kept through kills and breaks, checked, found again."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import engine.sources
from engine.errors import (
    AccessDeniedError,
    Cancelled,
    DownloadError,
    HubError,
    JobError,
    NotAllowedError,
    SourceNotFoundError,
    UnsupportedFormatError,
)
from workflows import library
from workflows.download import download
from workflows.extract import extract
from workflows.jobs import Jobs
from workflows.reports import CallbackReport

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(8).normal(size=(1500, 1000)).astype(np.float32)


@pytest.fixture
def weights(tmp_path, write_safetensors, array) -> Path:
    return write_safetensors(tmp_path / "model.safetensors", {"w": array})


@pytest.fixture
def model(hub_server, weights) -> str:
    hub_server.add("o/m", {"model.safetensors": weights, "config.json": "{}", "tokenizer.json": '{"a": 1}'})
    return "o/m"


def stored_bytes(server) -> int:
    return sum(each.num_bytes for each in server.requests if each.where == "storage")


def test_a_download_is_found_by_every_program_that_knows_the_cache(model, store, hub_server, hub_settings, array):
    from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache

    outcome = download(model, store=store)
    assert (outcome.name, outcome.num_files, outcome.num_fetched_bytes) == ("m", 3, outcome.num_bytes)
    assert try_to_load_from_cache(model, "model.safetensors") == str(Path(outcome.path) / "model.safetensors")
    assert snapshot_download(model, local_files_only=True) == outcome.path
    assert scan_cache_dir(hub_settings).warnings == []
    known = library.location(store, "m")
    assert (known.uri, known.origin, library.status(known)) == (outcome.path, "hub", "new")
    with engine.sources.open(model) as source:
        np.testing.assert_array_equal(source.read("w"), array)
    before = len(hub_server.requests)
    again = download(model, store=store)
    assert again.num_fetched_bytes == 0 and again.name == "m"
    assert {each.where for each in hub_server.requests[before:]} == {"api"}


def test_huggingface_hub_has_nothing_left_to_fetch(model, store, hub_server):
    from huggingface_hub import snapshot_download

    outcome = download(model, store=store)
    before = stored_bytes(hub_server)
    assert snapshot_download(model, endpoint=hub_server.endpoint) == outcome.path
    assert stored_bytes(hub_server) == before


def test_what_huggingface_hub_fetched_is_not_fetched_again(model, store, hub_server):
    from huggingface_hub import hf_hub_download

    hf_hub_download(model, "model.safetensors", endpoint=hub_server.endpoint)
    before = stored_bytes(hub_server)
    outcome = download(model, store=store)
    assert stored_bytes(hub_server) == before and outcome.num_fetched_bytes == len("{}") + len('{"a": 1}')


def test_only_needed_files_are_fetched(hub_server, store, weights):
    wanted = {
        "model.safetensors": weights,
        "config.json": "{}",
        "generation_config.json": "{}",
        "tokenizer.json": "{}",
        "tokenizer.model": "x",
        "vocab.txt": "a",
        "merges.txt": "a b",
        "chat_template.jinja": "x",
        "README.md": "# Model",
        "LICENSE": "free",
        "modules.json": "[]",
        "1_Pooling/config.json": "{}",
        "2_Dense/model.safetensors": weights,
        "2_Dense/config.json": "{}",
    }
    others = {
        "pytorch_model.bin": b"x" * 99,
        "tf_model.h5": b"x" * 99,
        "flax_model.msgpack": b"x" * 99,
        "rust_model.ot": b"x" * 99,
        "model.fp16.safetensors": b"x" * 99,
        "pytorch_model.bin.index.json": '{"weight_map": {"w": "pytorch_model.bin"}}',
        "onnx/model.onnx": b"x" * 99,
        "onnx/config.json": "{}",
        "original/consolidated.00.pth": b"x" * 99,
        "openvino/openvino_model.bin": b"x" * 99,
        "2_Dense/pytorch_model.bin": b"x" * 99,
        ".gitattributes": "x",
        "modeling_own.py": "raise SystemExit",
        "trainer_state.json": "{}",
        "picture.png": b"x" * 99,
    }
    hub_server.add("o/all", wanted | others)
    outcome = download("o/all", store=store)
    there = {path.relative_to(outcome.path).as_posix() for path in Path(outcome.path).rglob("*") if path.is_file()}
    assert there == set(wanted)


def test_shards_come_with_their_index_and_pytorch_only_where_there_is_nothing_else(hub_server, store, sharded):
    import torch

    files = {path.name: path for path in sharded.iterdir()}
    hub_server.add("o/shards", files | {"consolidated.safetensors": b"x" * 99})
    outcome = download("o/shards", store=store)
    assert {path.name for path in Path(outcome.path).iterdir()} == set(files)
    path = sharded.parent / "pytorch_model.bin"
    torch.save({"w": torch.ones(3, 4)}, path)
    hub_server.add("o/torch", {"pytorch_model.bin": path, "config.json": "{}", "tf_model.h5": b"x"})
    outcome = download("o/torch", store=store)
    assert {path.name for path in Path(outcome.path).iterdir()} == {"pytorch_model.bin", "config.json"}
    assert library.location(store, outcome.name).format == "pytorch"


def test_one_file_of_many_can_be_chosen(hub_server, store, weights):
    files = {"m-Q4.gguf": b"GGUF" * 9, "m-Q8.gguf": b"GGUF" * 99, "other.safetensors": weights, "config.json": "{}"}
    hub_server.add("o/many", files | {"m-Q4.md": "x"})
    outcome = download("o/many", store=store, file="other.safetensors")
    assert Path(outcome.path).name == "other.safetensors" and library.location(store, outcome.name).uri == outcome.path
    with pytest.raises(SourceNotFoundError, match=r"no file 'm-Q5\.gguf'.*m-Q4\.gguf, m-Q8\.gguf"):
        download("o/many", store=store, file="m-Q5.gguf")
    hub_server.add("o/ggufs", {"m-Q4.gguf": b"GGUF" * 9, "m-Q8.gguf": b"GGUF" * 99})
    with pytest.raises(UnsupportedFormatError, match=r"--file m-Q4\.gguf, m-Q8\.gguf"):
        download("o/ggufs", store=store)


def test_a_connection_that_breaks_again_and_again_costs_only_what_was_on_the_wire(model, store, hub_server, array):
    hub_server.trouble(drop_after=1_500_000, times=3)
    outcome = download(model, store=store)
    assert stored_bytes(hub_server) <= outcome.num_bytes + 3 * 256 * 1024
    with engine.sources.open(outcome.path) as source:
        np.testing.assert_array_equal(source.read("w"), array)


def test_a_network_that_stays_away_keeps_what_arrived(model, store, hub_server, hub_settings):
    hub_server.trouble(drop_after=2_000_000)
    hub_server.trouble(status=503, times=-1)
    with pytest.raises(HubError, match="kept"):
        download(model, store=store)
    kept = sum(path.stat().st_size for path in hub_settings.rglob("*.incomplete"))
    assert kept == 2_000_000
    hub_server.calm()
    before = stored_bytes(hub_server)
    outcome = download(model, store=store)
    assert stored_bytes(hub_server) - before == outcome.num_bytes - len('{}{"a": 1}') - kept
    assert not list(hub_settings.rglob("*.incomplete"))


def test_cancelling_keeps_what_arrived_and_the_next_try_goes_on(model, store, hub_server, hub_settings):
    def stop(progress) -> None:
        if progress.phase == "downloading" and progress.done > 1_000_000:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        download(model, store=store, report=CallbackReport(stop))
    kept = sum(path.stat().st_size for path in hub_settings.rglob("*.incomplete"))
    assert kept > 900_000
    seen = []
    outcome = download(model, store=store, report=CallbackReport(seen.append))
    assert outcome.num_fetched_bytes <= outcome.num_bytes - kept
    assert seen[-1].phase == "downloading" and seen[-1].done == seen[-1].total == outcome.num_bytes


def test_progress_tells_bytes_rate_and_time_left(model, store):
    seen = []
    download(model, store=store, report=CallbackReport(seen.append))
    during = [each for each in seen if each.phase == "downloading" and 0 < each.done < each.total]
    assert during and all(each.rate > 0 and each.left_s >= 0 for each in during)
    assert {"model.safetensors", "config.json"} <= {each.current for each in seen}
    done = [each.done for each in seen if each.phase == "downloading"]
    assert done == sorted(done)


def test_bytes_that_arrive_damaged_never_count_as_the_file(model, store, hub_server, weights, hub_settings):
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    hub_server.replace_stored(weights, bytes(data))
    with pytest.raises(DownloadError, match=r"damaged.*hash"):
        download(model, store=store)
    assert not list(hub_settings.rglob("*.safetensors")) and not list(hub_settings.rglob("*.incomplete"))
    hub_server.replace_stored(weights, weights)
    download(model, store=store)


def test_a_damaged_rest_of_an_earlier_download_is_noticed(model, store, hub_settings, weights, hub_server):
    hub_server.trouble(drop_after=2_000_000)
    hub_server.trouble(status=503, times=-1)
    with pytest.raises(HubError):
        download(model, store=store)
    hub_server.calm()
    (part,) = hub_settings.rglob("*.incomplete")
    part.write_bytes(b"\0" * 100 + part.read_bytes()[100:])
    with pytest.raises(DownloadError, match="damaged"):
        download(model, store=store)
    download(model, store=store)
    part.write_bytes(b"x" * (weights.stat().st_size + 5))  # longer than the file can be
    assert download(model, store=store).num_fetched_bytes == 0


def test_too_little_space_is_said_before_anything_is_fetched(model, store, hub_server, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(DownloadError, match=r"needs 6 MB more.*1 MB are free.*HF_HUB_CACHE"):
        download(model, store=store)
    assert stored_bytes(hub_server) == 0


def test_a_disk_that_fills_up_keeps_what_it_has(model, store, hub_settings, monkeypatch):
    import workflows.cache_folder as cache_folder

    class Full:
        """A file on a disk with room for two million bytes."""

        def __init__(self, file) -> None:
            self._file, self._left = file, 2_000_000

        def __enter__(self):
            return self

        def __exit__(self, *_) -> None:
            self._file.close()

        def write(self, data: bytes) -> None:
            if len(data) > self._left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._left -= self._file.write(data)

    opened = Path.open
    with monkeypatch.context() as patch:
        patch.setattr(
            cache_folder.Path,
            "open",
            lambda self, mode="r", *a, **k: Full(opened(self, mode)) if mode == "ab" else opened(self, mode, *a, **k),
        )
        with pytest.raises(DownloadError, match=r"is full.*resume"):
            download(model, store=store)
    assert sum(path.stat().st_size for path in hub_settings.rglob("*.incomplete")) > 1_700_000
    download(model, store=store)


@pytest.mark.skipif(sys.platform == "win32", reason="rights of folders are POSIX")
def test_a_cache_that_may_not_be_written_is_said_so(model, store, hub_settings, monkeypatch):
    hub_settings.mkdir()
    if os.geteuid() == 0:  # root may write anywhere, so a file lies where a folder should be
        (hub_settings / "models--o--m").write_text("")
    else:
        hub_settings.chmod(0o500)
    with pytest.raises(DownloadError, match=r"cannot be written.*HF_HUB_CACHE"):
        download(model, store=store)


def test_a_gated_model_asks_for_a_token_which_is_stored_nowhere(hub_server, store, weights, hub_settings, tmp_path):
    token = "hf_secret_4"
    hub_server.add("o/gated", {"model.safetensors": weights, "config.json": "{}"}, gated=True, token=token)
    with pytest.raises(AccessDeniedError, match="gated"):
        download("o/gated", store=store)
    download("o/gated", store=store, token=token)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path
    assert {each.where for each in hub_server.requests if "authorization" in each.headers} == {"api", "hub"}


def test_a_downloaded_model_takes_the_place_of_the_remote_one_with_name_and_numbers(model, store, hub_server):
    remote = extract(f"hf://{model}", store=store)
    library.add_path(store, f"hf://{model}", name="ignored")
    outcome = download(model, store=store)
    found = [one for one in library.locations(store) if one.origin == "hub"]
    assert [(one.name, one.uri, one.content_hash) for one in found] == [("m", outcome.path, remote.content_hash)]
    assert library.status(found[0]) == "measured"
    assert extract("m", store=store).was_stored


def test_another_revision_is_another_model(model, store, hub_server, tmp_path, write_safetensors):
    first = download(model, store=store)
    other = write_safetensors(tmp_path / "other.safetensors", {"w": np.ones(4, np.float32)})
    hub_server.add(model, {"model.safetensors": other}, revision="v2")
    second = download(f"{model}@v2", store=store)
    assert first.path != second.path and second.name == "m-2"
    with engine.sources.open(f"{model}@v2") as source:
        assert source.info("w").shape == (4,)
    with engine.sources.open(model) as source:
        assert source.info("w").shape == (1500, 1000)


def test_a_public_deployment_downloads_nothing(model, store, monkeypatch, hub_server):
    monkeypatch.setenv("WEIGHTSCOPE_PUBLIC", "1")
    with pytest.raises(NotAllowedError):
        download(model, store=store)
    assert not hub_server.requests


def test_a_killed_job_resumes_and_fetches_only_the_rest(model, tmp_path, hub_server, hub_settings):
    hub_server.bytes_per_s = 1_500_000
    board = Jobs(tmp_path / "jobs")
    job = board.start("download", {"model": model})
    assert (job.kind, job.title, job.arguments["model"]) == ("download", "Download o/m", "o/m")
    kept = lambda: sum(path.stat().st_size for path in hub_settings.rglob("*.incomplete"))  # noqa: E731
    deadline_s = time.monotonic() + 60
    while kept() < 1_000_000 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert board.start("download", {"model": f"{model}@main"}).id == job.id  # one job for one model
    os.kill(json.loads((job.folder / "process.json").read_text())["pid"], signal.SIGKILL)
    assert board.wait(job.id, 30).state == "interrupted"
    hub_server.bytes_per_s = None
    num_kept = kept()
    assert num_kept >= 1_000_000
    done = board.wait(board.resume(job.id).id, 60)
    assert done.state == "done", done.error
    assert done.result["num_fetched_bytes"] <= done.result["num_bytes"] - num_kept
    assert [each.range for each in hub_server.requests if each.where == "storage"][1:] == [f"bytes={num_kept}-6000079"]
    assert Path(done.result["path"], "model.safetensors").stat().st_size == 6_000_080


def test_a_job_can_be_cancelled_and_resumed(model, tmp_path, hub_server):
    hub_server.bytes_per_s = 600_000
    board = Jobs(tmp_path / "jobs")
    job = board.start("download", {"model": model})
    deadline_s = time.monotonic() + 60
    while not (progress := board.get(job.id).progress) or progress.done < 300_000:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    board.cancel(job.id)
    assert board.wait(job.id, 20).state == "cancelled"
    hub_server.bytes_per_s = None
    done = board.wait(board.resume(job.id).id, 60)
    assert done.state == "done" and done.result["num_fetched_bytes"] < done.result["num_bytes"]


def test_a_job_gets_its_token_through_its_environment_only(tmp_path, hub_server, weights):
    token = "hf_secret_5"
    hub_server.add("o/gated", {"model.safetensors": weights}, gated=True, token=token)
    board = Jobs(tmp_path / "jobs")
    done = board.wait(board.start("download", {"model": "o/gated"}, {"HF_TOKEN": token}).id, 60)
    assert done.state == "done", done.error
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("model", ["", "name", "/etc/passwd", "a/b@../x", "--help"])
def test_a_job_is_refused_for_what_is_no_name(model, tmp_path):
    with pytest.raises(JobError):
        Jobs(tmp_path / "jobs").start("download", {"model": model})


def test_the_command_line_downloads_and_says_what_it_did(model, tmp_path, hub_server):
    words = [sys.executable, "-m", "workflows", "download", model, "--data", str(tmp_path / "cli")]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stdout.startswith("m: 3 files, 6 MB, of which 6 MB were fetched"), ended
    ended = subprocess.run([*words, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert json.loads(ended.stdout)["num_fetched_bytes"] == 0
    words[4] = "o/nothing"
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1 and "error: The hub has no model o/nothing" in ended.stderr and "hint:" in ended.stderr

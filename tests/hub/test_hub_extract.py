"""The whole measurement of a model on the hub, with no download."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import engine.sources
from engine.errors import HubError, SourceNotFoundError
from storage.store import Store
from workflows import library
from workflows.extract import extract
from workflows.jobs import Jobs
from workflows.reports import CallbackReport
from workflows.runs import RunFolder

ROOT = Path(__file__).resolve().parents[2]


def test_a_measured_hub_model_equals_the_measured_files_and_is_not_measured_twice(
    store, sharded, sharded_on_hub, hub_server, hub_settings, tmp_path
):
    there = extract(sharded_on_hub, store=store)
    assert not there.failures and not there.was_stored
    here = extract(str(sharded), store=store)
    assert here.content_hash == there.content_hash and here.was_stored
    other = Store(tmp_path / "other")
    extract(str(sharded), store=other)
    mine, its = (one.tensor_stats(there.content_hash) for one in (store, other))
    columns = [name for name in mine.columns if mine[name].dtype.kind in "iuf"]
    np.testing.assert_array_equal(mine[columns].to_numpy(float), its[columns].to_numpy(float))
    assert store.model(there.content_hash).uri == sharded_on_hub
    assert not hub_settings.exists()  # nothing was put into the cache


def test_measuring_fetches_little_more_than_the_weights(store, sharded_on_hub, hub_server, monkeypatch):
    monkeypatch.setattr("engine.sources.hub.HEADER_GUESS_BYTES", 4096)
    outcome = extract(sharded_on_hub, store=store)
    weights = sum(each.num_bytes for each in hub_server.requests if each.where == "storage")
    headers = sum(each.num_bytes for each in hub_server.requests if each.range == "bytes=0-4095")
    assert weights - headers == outcome.num_bytes


def test_the_location_is_of_the_hub_and_opens_by_its_name(store, sharded_on_hub):
    known = library.add_path(store, sharded_on_hub)
    assert (known.name, known.uri, known.origin, known.format) == ("sharded", sharded_on_hub, "hub", "safetensors")
    assert library.add_path(store, f"{sharded_on_hub}@main") == known
    assert library.resolve(store, sharded_on_hub) == library.resolve(store, "sharded") == known
    assert library.status(known) == "new"
    with library.open_source(known) as source:
        assert source.info("model.norm.weight").shape == (64,)
    extract("sharded", store=store)
    assert library.status(library.location(store, "sharded")) == "measured"


def test_listing_what_is_known_asks_the_hub_nothing(store, sharded_on_hub, hub_server):
    known = library.add_path(store, sharded_on_hub)
    before = len(hub_server.requests)
    assert [library.status(one) for one in library.locations(store) if one.origin == "hub"] == ["new"]
    assert library.location(store, known.name) == known
    assert len(hub_server.requests) == before


def test_a_name_that_is_not_in_the_cache_leads_to_both_ways_in(hub_settings, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SourceNotFoundError, match=r"hf://owner/name.*workflows download owner/name"):
        engine.sources.open("owner/name")


def test_a_network_that_fails_stores_nothing_and_the_rest_is_measured_later(
    store, sharded_on_hub, hub_server, tmp_path, monkeypatch
):
    monkeypatch.setattr("engine.sources.hub.WINDOW_BYTES", 0)
    run = RunFolder.create(tmp_path / "runs", "extract", {"model": sharded_on_hub})
    hub_server.trouble(status=503, times=-1, skip=3 + 3 + 4)  # headers twice (adding, measuring), then four tensors
    with pytest.raises(HubError, match="status 503"):
        extract(sharded_on_hub, store=store, run=run)
    assert store.models() == []
    hub_server.calm()
    before = hub_server.served_bytes("stored")
    outcome = extract(sharded_on_hub, store=store, run=run)
    assert outcome.num_resumed == 4 and not outcome.failures
    assert hub_server.served_bytes("stored") - before < outcome.num_bytes


def test_progress_counts_bytes_as_they_arrive(store, sharded_on_hub):
    seen = []
    outcome = extract(sharded_on_hub, store=store, report=CallbackReport(seen.append))
    measuring = [each.done for each in seen if each.phase == "measuring"]
    assert measuring == sorted(measuring) and measuring[-1] == outcome.num_bytes


def test_a_killed_measurement_resumes_without_fetching_again_what_it_had(
    tmp_path, sharded_on_hub, hub_server, monkeypatch
):
    data = tmp_path / "killed"
    board = Jobs(data)
    hub_server.bytes_per_s = 250_000  # some six seconds for all
    job = board.start("extract", {"model": sharded_on_hub})
    kept = lambda: list((job.folder / "checkpoints").rglob("*.npz"))  # noqa: E731
    deadline_s = time.monotonic() + 60
    while len(kept()) < 2 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    os.kill(int(eval((job.folder / "process.json").read_text())["pid"]), signal.SIGKILL)
    stopped = board.wait(job.id, 30)
    assert stopped.state == "interrupted" and stopped.is_resumable
    num_kept, before = len(kept()), hub_server.served_bytes("stored")
    assert num_kept >= 2
    hub_server.bytes_per_s = None
    board.resume(job.id)
    done = board.wait(job.id, 60)
    assert done.state == "done", done.error
    assert done.result["num_resumed"] == num_kept
    store = Store(data)
    with engine.sources.open(sharded_on_hub) as source:
        assert len(store.tensor_stats(done.result["content_hash"])) == len(source.infos())
        assert hub_server.served_bytes("stored") - before < source.num_bytes + 6 * (256 << 10)


def test_the_token_of_a_job_is_in_none_of_its_files(tmp_path, sharded, hub_server):
    token = "hf_secret_of_a_job"
    files = {path.name: path for path in sharded.iterdir()}
    hub_server.add("o/gated", files, gated=True, token=token)
    board = Jobs(tmp_path / "data")
    refused = board.wait(board.start("extract", {"model": "hf://o/gated"}).id, 60)
    assert refused.state == "failed" and "gated" in refused.error.message and "HF_TOKEN" in refused.error.hint
    done = board.wait(board.resume(refused.id, {"HF_TOKEN": token}).id, 60)
    assert done.state == "done", done.error
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path


def test_the_command_line_measures_a_hub_model(tmp_path, sharded_on_hub, hub_server):
    words = [sys.executable, "-m", "workflows", "extract", sharded_on_hub, "--data", str(tmp_path / "cli"), "--json"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert '"failures": {}' in ended.stdout

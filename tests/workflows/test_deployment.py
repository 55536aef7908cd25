"""A public deployment does not do what it must not, whoever asks; and secrets stay with the process they are for."""

import json
import sys

import numpy as np
import pytest

from engine.errors import NotAllowedError
from storage.store import Store
from workflows import deployment, job_kinds, library
from workflows.disk import disk_uses, free_hub_cache
from workflows.job_kinds import JobKind
from workflows.jobs import Jobs

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_aVerySecretToken"


@pytest.fixture
def public(monkeypatch):
    monkeypatch.setenv(deployment.SWITCH, "1")


@pytest.fixture
def checkpoint(tmp_path, write_safetensors):
    return write_safetensors(tmp_path / "tiny.safetensors", {"w": np.ones((2, 3), np.float32)})


@pytest.fixture
def snapshot(tmp_path, write_safetensors):
    """A model in a hub cache as huggingface_hub lays it out: blobs, a snapshot of links, a ref."""
    repository = tmp_path / "hub" / "models--owner--tiny"
    folder = repository / "snapshots" / COMMIT
    blob = repository / "blobs" / "b10b"
    write_safetensors(blob, {"w": np.ones((20, 30), np.float32)})
    folder.mkdir(parents=True)
    (folder / "model.safetensors").symlink_to("../../blobs/b10b")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return folder


@pytest.mark.parametrize(
    ("value", "expected"), [("", False), ("0", False), ("No", False), ("off", False), ("1", True), ("ture", True)]
)
def test_a_misspelt_switch_is_on_the_safe_side(monkeypatch, value, expected):
    monkeypatch.setenv(deployment.SWITCH, value)
    assert deployment.is_public() is expected


def test_a_public_deployment_adds_no_paths_and_scans_no_folders(public, checkpoint):
    with pytest.raises(NotAllowedError):
        library.add_path(Store(), checkpoint)
    with pytest.raises(NotAllowedError):
        library.add_path(Store(), "owner/name")
    with pytest.raises(NotAllowedError):
        library.scan_folder(Store(), checkpoint.parent)
    assert Store().locations() == []


def test_a_public_deployment_takes_uploads(public, checkpoint):
    with checkpoint.open("rb") as stream:
        added = library.add_upload(Store(), "up.safetensors", stream, limit_bytes=10**6)
    assert added.origin == "uploaded"


def test_a_public_deployment_asks_the_hub_only_for_models_of_the_catalogue(public):
    deployment.check_location("hf://sentence-transformers/all-MiniLM-L6-v2", "added")
    deployment.check_location("hf://Sentence-Transformers/all-minilm-l6-v2@main", "added")
    with pytest.raises(NotAllowedError):
        deployment.check_location("hf://somebody/private", "added")


def test_a_public_deployment_deletes_nothing(checkpoint, snapshot, monkeypatch):
    name = library.add_path(Store(), checkpoint).name
    cached = library.add_path(Store(), snapshot)
    monkeypatch.setenv(deployment.SWITCH, "1")
    for attempt in (
        lambda: library.remove(Store(), name),
        lambda: free_hub_cache(cached),
        lambda: Jobs(Store().folder).forget("20260101T000000Z-extract-00000000"),
    ):
        with pytest.raises(NotAllowedError):
            attempt()
    assert checkpoint.exists() and len(Store().locations()) == 2


def test_a_public_deployment_starts_no_downloads_and_no_training(public, monkeypatch):
    probe = JobKind(check=dict, subject=str, command=lambda _: [], title=lambda _: "x")
    monkeypatch.setitem(job_kinds.KINDS, "download", probe)
    monkeypatch.setitem(job_kinds.KINDS, "pretrain", probe)
    board = Jobs(Store().folder)
    for kind in ("download", "pretrain"):
        with pytest.raises(NotAllowedError):
            board.start(kind, {"model": "owner/name"})
    assert board.all() == []


def test_every_kind_of_job_but_measuring_is_closed_to_the_public():
    assert [kind for kind, job in job_kinds.KINDS.items() if job.is_public] == ["extract"]


PROBE = (
    "import os, sys; from pathlib import Path; from workflows.job_process import run_job; "
    "from workflows.runs import RunFolder; run = RunFolder(Path(sys.argv[1])); "
    "sys.exit(run_job(run, Path(sys.argv[2]), lambda report: {'length': len(os.environ.get('HF_TOKEN', ''))}))"
)


def test_a_secret_reaches_the_jobs_process_and_no_file(monkeypatch, tmp_path):
    """The job says how long its token is, so that the test can see it without the run writing it down."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    board = Jobs(Store().folder)
    monkeypatch.setitem(
        job_kinds.KINDS, "extract", JobKind(check=dict, subject=str, command=lambda _: [], title=lambda _: "x")
    )
    real = __import__("workflows.processes", fromlist=["subprocess"]).subprocess.Popen

    def popen(command, **options):  # the same environment, files and detachment; another program
        folder = command[command.index("--run") + 1]
        return real([sys.executable, "-c", PROBE, folder, str(tmp_path / "locks")], **options)

    monkeypatch.setattr("workflows.processes.subprocess.Popen", popen)
    job = board.start("extract", {"model": "m"}, {"HF_TOKEN": TOKEN})
    job = board.wait(job.id, timeout_s=60)
    assert job.state == "done" and job.result == {"length": len(TOKEN)}
    Store().locations()  # the database exists and is searched too
    written = [path for path in Store().folder.rglob("*") if path.is_file()]
    assert {"run.json", "events.jsonl", "log.txt"} <= {path.name for path in written}
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in json.dumps([job.arguments, job.result, list(job.log)])


def test_the_hub_cache_gives_back_exactly_one_snapshot(snapshot):
    other = snapshot.parent.parent.parent / "models--owner--other" / "snapshots" / COMMIT
    other.mkdir(parents=True)
    (other / "model.safetensors").write_bytes((snapshot / "model.safetensors").read_bytes())
    cached = library.add_path(Store(), snapshot, origin="hub")
    (use,) = [use for use in disk_uses(Store()) if use.location.name == cached.name]
    assert (use.place, use.num_bytes) == ("hub cache", (snapshot / "model.safetensors").stat().st_size)
    library.remove(Store(), cached.name, hub_cache=True)
    assert not snapshot.exists() and not (snapshot.parent.parent / "blobs" / "b10b").exists()
    assert (other / "model.safetensors").exists()
    assert cached.name not in {known.name for known in library.locations(Store())}


def test_forgetting_a_cached_model_leaves_the_cache_alone_unless_asked(snapshot):
    cached = library.add_path(Store(), snapshot, origin="hub")
    library.remove(Store(), cached.name)
    assert (snapshot / "model.safetensors").exists()


def test_files_outside_a_hub_cache_are_never_freed(checkpoint):
    from engine.errors import WeightscopeError

    added = library.add_path(Store(), checkpoint)
    with pytest.raises(WeightscopeError, match="hub cache"):
        free_hub_cache(added)
    with pytest.raises(WeightscopeError):
        library.remove(Store(), added.name, hub_cache=True)
    assert checkpoint.exists()

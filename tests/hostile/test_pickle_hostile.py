"""PyTorch files with code or lies in them: an UnsafePickleError or another named error, and nothing is ever run."""

from __future__ import annotations

import pickle
import tarfile
import tracemalloc
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from engine.errors import (
    MalformedHeaderError,
    SourceError,
    TensorLayoutError,
    TruncatedFileError,
    UnsafePickleError,
    UnsupportedFormatError,
)
from engine.sources import open as open_source

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


@pytest.fixture
def witness(tmp_path):
    path = tmp_path / "code-was-run"
    pickle.loads(pickle.dumps(Payload(path)))
    assert path.exists(), "the payload itself must work, or these tests prove nothing"
    path.unlink()
    yield path
    assert not path.exists()


def refuse(path: Path, expected: type[SourceError]) -> SourceError:
    with pytest.raises(expected) as caught:
        open_source(path)
    assert type(caught.value) is expected
    assert path.name in caught.value.message and caught.value.hint
    assert "\x1b" not in str(caught.value) and "weights_only" not in str(caught.value)
    return caught.value


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(f"archive/{name}", data)
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {info.filename.partition("/")[2]: file.read(info) for info in file.infolist()}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("suffix", [".pt", ".bin", ".th"])
def test_a_bare_pickle_with_code_is_unsafe(protocol, suffix, tmp_path, witness):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(pickle.dumps({"weight": Payload(witness)}, protocol))
    refuse(path, UnsafePickleError)


@pytest.mark.parametrize("is_archive", [True, False])
def test_code_beside_the_tensors_is_unsafe_and_named(is_archive, tmp_path, witness):
    path = tmp_path / "x.pt"
    value = {"w": torch.ones(3), "more": Payload(witness)}
    torch.save(value, path, _use_new_zipfile_serialization=is_archive)
    assert "getattr" in refuse(path, UnsafePickleError).message


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_an_archive_with_a_foreign_pickle_is_unsafe(protocol, tmp_path, witness):
    data = pickle.dumps(Payload(witness), protocol)
    path = archive(tmp_path / "x.pt", {"data.pkl": data, "version": b"3\n", "byteorder": b"little"})
    if protocol < 4:
        refuse(path, UnsafePickleError)
    else:
        with pytest.raises(SourceError):
            open_source(path)


def test_a_shard_with_code_is_unsafe(tmp_path, witness, write_index):
    (tmp_path / "evil.bin").write_bytes(pickle.dumps(Payload(witness), 2))
    index = write_index(tmp_path / "pytorch_model.bin.index.json", {"w": "evil.bin"})
    for path in (tmp_path, index):
        with pytest.raises(UnsafePickleError):
            open_source(path)


def test_a_whole_module_and_a_script_are_unsafe(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    assert "torch.nn.modules.linear.Linear" in refuse(tmp_path / "module.pt", UnsafePickleError).message
    refuse_script = archive(tmp_path / "script.pt", {"data.pkl": b"\x80\x02}.", "constants.pkl": b"", "code/x.py": b""})
    assert "TorchScript" in refuse(refuse_script, UnsafePickleError).message


def test_a_tar_of_the_oldest_format_is_refused(tmp_path, witness):
    with tarfile.open(tmp_path / "x.pt", "w") as file:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(Payload(witness))
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, BytesIO(data))
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "x.pt")
    assert caught.value.hint


def test_a_compressed_member_is_refused_before_it_unfolds(tmp_path):
    bomb = archive(tmp_path / "x.pt", {"data.pkl": bytes(200 << 20)}, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        refuse(bomb, UnsupportedFormatError)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_storage_that_claims_more_than_its_data_is_refused(tmp_path):
    torch.save({"w": torch.ones(1000)}, tmp_path / "good.pt")
    members = members_of(tmp_path / "good.pt")
    assert members["data.pkl"].count(b"M\xe8\x03") == 2  # 1000: once for the storage, once for the shape
    for claim in (b"M\xff\xff", b"J\xff\xff\xff\x7f", b"\x8a\x06\xff\xff\xff\xff\xff\x7f"):
        lying = {**members, "data.pkl": members["data.pkl"].replace(b"M\xe8\x03", claim)}
        with pytest.raises(SourceError) as caught:
            open_source(archive(tmp_path / "x.pt", lying))
        assert isinstance(caught.value, TensorLayoutError | MalformedHeaderError) and caught.value.hint
    refuse(archive(tmp_path / "short.pt", {**members, "data/0": bytes(100)}), TensorLayoutError)
    del members["data/0"]
    refuse(archive(tmp_path / "missing.pt", members), TruncatedFileError)


@pytest.mark.parametrize("where", [1, 2])
def test_the_old_format_cannot_claim_more_than_the_file_has(where, tmp_path):
    torch.save({"w": torch.ones(1000)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    first, middle, last = (tmp_path / "x.pt").read_bytes().split(b"M\xe8\x03")
    claims = [b"M\xe8\x03", b"M\xe8\x03"]
    claims[where - 1] = b"J\xff\xff\xff\x0f"
    (tmp_path / "x.pt").write_bytes(first + claims[0] + middle + claims[1] + last)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "x.pt")
    assert isinstance(caught.value, TensorLayoutError | TruncatedFileError | MalformedHeaderError)


def test_containers_without_end_are_refused(tmp_path):
    itself: dict = {"w": torch.ones(1)}
    itself["again"] = itself
    torch.save(itself, tmp_path / "itself.pt")
    refuse(tmp_path / "itself.pt", MalformedHeaderError)
    laughs: list = [torch.ones(1)]
    for _ in range(12):
        laughs = [laughs] * 30
    torch.save(laughs, tmp_path / "laughs.pt")
    refuse(tmp_path / "laughs.pt", MalformedHeaderError)


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x02", b"\x80\x02}q\x00.", b"hello world, this is text", b"PK\x03\x04" * 9]
)
def test_bytes_that_are_no_checkpoint_are_refused(data, tmp_path):
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "x.pt")
    assert caught.value.hint


def test_names_that_nobody_could_show_are_refused(tmp_path):
    for key in ("a\0b", "a\x1b[31m", "n" * 5000):
        torch.save({key: torch.ones(1)}, tmp_path / "x.pt")
        refuse(tmp_path / "x.pt", MalformedHeaderError)

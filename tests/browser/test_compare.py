"""Three canvases that move and point together, in a real browser."""

import json
import time
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2] / "Home.py"
pytestmark = pytest.mark.browser


def told(page, name: str, is_right, patience_s: float = 60) -> list[str]:
    """What the three canvases say under data-NAME, once that is right."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        said = page.locator(".heatmap").evaluate_all(f"all => all.map((each) => each.dataset.{name} || '')")
        if len(said) == 3 and is_right(said):
            return said
        page.wait_for_timeout(100)
    raise AssertionError(f"data-{name} is still {said}")


def test_what_one_canvas_does_the_others_follow(serve, page):
    page.goto(f"{serve(HOME)}/Compare?model=starter-init&other=starter&show=Side+by+side")
    told(page, "ready", lambda said: set(said) == {"true"}, patience_s=120)
    first = page.locator(".heatmap").first
    first.scroll_into_view_if_needed()
    left, top, width, height = (float(number) for number in first.get_attribute("data-plot").split(","))
    box = first.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + left + width / 2, box["y"] + top + height / 2)
    for _ in range(8):
        page.mouse.wheel(0, -240)
    told(page, "view", lambda said: len(set(said)) == 1 and said[0] != "0,128,0,128")
    page.mouse.move(box["x"] + left + width / 3, box["y"] + top + height / 3)
    hovers = [json.loads(each) for each in told(page, "hover", all)]
    assert len({str((each["rows"], each["columns"])) for each in hovers}) == 1
    assert all(each["exact"] for each in hovers)
    a, b, delta = (float(each["value"]) for each in hovers)
    assert delta == pytest.approx(b - a, abs=1e-6)
    page.mouse.move(5, 5)
    told(page, "hover", lambda said: not any(said))

"""The way from a point on a map to its weights, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from storage.store import Store
from workflows.signatures import signatures

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_click_on_the_map_names_the_matrix_and_leads_to_its_weights(serve, page, tmp_path):
    signatures(str(ROOT / "models" / "starter"), store=Store(tmp_path))
    page.goto(f"{serve(ROOT / 'Home.py', tmp_path)}/Discovery")
    points = page.get_by_test_id("stVegaLiteChart").first.locator("path[aria-roledescription='circle']")
    points.nth(7).wait_for(timeout=120_000)
    points.nth(7).click(force=True)
    page.get_by_text("In what it differs most").wait_for(timeout=60_000)
    tensor = page.get_by_text(re.compile(r"^model\.\S+\.weight$")).first.inner_text()
    page.get_by_role("button", name="Heatmap").first.click()
    page.wait_for_url("**/Heatmap?model=starter&tensor=*", timeout=60_000)
    assert page.url.partition("tensor=")[2] == tensor

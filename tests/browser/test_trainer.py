"""The trainer in a real Chromium: a tiny model is trained through the page, with a reload, a pause and an early end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
HOME = Path(__file__).resolve().parent.parent.parent / "Home.py"
PAGE = "Self-Play_Trainer"
TINY = (
    "show=New+model&name=tiny&vocabulary_size=300&width=16&layers=1&heads=1&context=32&train_steps=100000&train_threads=1"
    "&train_batch_size=2&train_precision=fp32&train_evaluate_every=40&train_save_every=40&train_sample_every=40"
    "&train_warmup_steps=5"
)
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def app(serve):
    return serve(HOME)


def look(page, name):
    page.get_by_role("radiogroup").get_by_text(name, exact=True).click()


def test_a_model_is_trained_paused_goes_on_in_another_tab_is_finished_early_and_can_be_met(new_page, app):
    page, second = new_page(), new_page()
    page.goto(f"{app}/{PAGE}?{TINY}")
    page.get_by_role("button", name="Train", exact=True).click(timeout=WAIT_MS)
    page.get_by_role("button", name="Pause").wait_for(timeout=WAIT_MS)
    assert "run=" in page.url
    page.reload()
    page.get_by_text("Computing in fp32").first.wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for(timeout=WAIT_MS)
    second.goto(page.url)
    second.get_by_role("button", name="Resume").click(timeout=WAIT_MS)
    second.get_by_role("button", name="Finish here").click(timeout=WAIT_MS)
    second.get_by_role("button", name="Zip").wait_for(timeout=WAIT_MS)
    second.close()
    page.get_by_role("button", name="Zip").wait_for(timeout=WAIT_MS)
    page.locator('[data-testid="stVegaLiteChart"] canvas, [data-testid="stVegaLiteChart"] svg').first.wait_for()
    look(page, "Weights")
    page.get_by_text("before training").wait_for(timeout=WAIT_MS)
    page.get_by_test_id("stImage").nth(1).wait_for(timeout=WAIT_MS)
    look(page, "Samples")
    page.get_by_text(re.compile(r"^step [\d,]+$")).first.wait_for(timeout=WAIT_MS)
    look(page, "Checkpoints")
    page.get_by_role("button", name="Heatmap").click(timeout=WAIT_MS)
    page.wait_for_url("**/Heatmap?model=tiny**", timeout=WAIT_MS)
    page.goto(f"{app}/{PAGE}")
    page.get_by_text("bits a byte on held-out text").wait_for(timeout=WAIT_MS)

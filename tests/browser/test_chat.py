"""The Chat page in a real Chromium: a text that streams, is stopped, and tells what else could have stood there."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
HOME = Path(__file__).resolve().parent.parent.parent / "Home.py"
STARTER = "Chat?model=starter&max_new_tokens="


@pytest.fixture(scope="module")
def app(serve):
    if not (HOME.parent / "models" / "starter" / "model.safetensors").is_file():
        pytest.skip("the bundled checkpoint is not here")
    return serve(HOME)


def ask(page, words='The "with" statement'):
    box = page.get_by_test_id("stChatInputTextArea")
    box.wait_for(timeout=60_000)
    box.fill(words)
    box.press("Enter")


def is_done(page, answers=1):
    page.get_by_role("button", name="Again").nth(answers - 1).wait_for(timeout=120_000)
    page.get_by_role("button", name="Stop").first.wait_for(state="detached", timeout=120_000)


def test_a_text_streams_survives_a_click_and_is_stopped(page, app):
    page.goto(f"{app}/{STARTER}240")
    ask(page)
    page.locator(".token").nth(3).wait_for(state="attached", timeout=120_000)
    early = page.locator(".token").count()
    page.get_by_test_id("stPopover").filter(has_text="Settings").get_by_role("button").click()
    page.get_by_text("Creative", exact=True).click()  # a rerun of the whole page
    page.keyboard.press("Escape")
    page.locator(".token").nth(early + 3).wait_for(state="attached", timeout=60_000)
    # Clicked at once: while the text grows the button never stands still for the two pictures that `click` waits for.
    page.get_by_role("button", name="Stop").dispatch_event("click")
    is_done(page)
    count = page.locator(".token").count()
    assert early < count < 240
    page.wait_for_timeout(700)
    assert page.locator(".token").count() == count
    page.get_by_text("stopped").first.wait_for()


def test_a_token_under_the_pointer_shows_its_alternatives_with_probabilities(page, app):
    page.goto(f"{app}/{STARTER}12&temperature=0&top_k=0&top_p=1")
    ask(page)
    is_done(page)
    card = page.locator(".card")
    assert not card.is_visible()
    token = page.locator(".token", has_text="statement").first
    token.hover()
    card.wait_for()
    shares = [float(text.removesuffix(" %")) for text in card.locator(".number").all_inner_texts()]
    assert len(shares) == 6
    assert shares == sorted(shares, reverse=True)
    assert card.locator(".chosen code").inner_text().replace("·", " ") == token.inner_text()
    box = card.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= page.viewport_size["width"]
    assert box["y"] + box["height"] <= page.viewport_size["height"]
    page.mouse.move(5, 5)
    card.wait_for(state="hidden")


def test_tokens_joined_are_the_copied_text(page, app):
    page.goto(f"{app}/{STARTER}30")
    ask(page)
    is_done(page)
    tokens = page.locator(".text").evaluate("element => element.textContent")
    page.get_by_test_id("stPopover").filter(has_text="Copy").get_by_role("button").click()
    assert page.get_by_test_id("stCode").locator("code").inner_text().strip() == tokens.strip()


def test_two_models_answer_side_by_side_from_a_deep_link(page, app):
    page.goto(f"{app}/{STARTER}15&other=starter-init")
    ask(page)
    is_done(page, 2)
    left, right = (page.locator(".text").nth(place) for place in (0, 1))
    assert left.bounding_box()["x"] + left.bounding_box()["width"] <= right.bounding_box()["x"]
    assert left.inner_text() != right.inner_text()
    assert page.get_by_text("tokens/s").count() == 2
    assert "other=starter-init" in page.url


def test_an_answer_and_the_settings_are_there_after_other_pages(page, app):
    page.goto(f"{app}/{STARTER}15&temperature=0.3")
    ask(page)
    is_done(page)
    text = page.locator(".text").inner_text()
    page.get_by_test_id("stSidebarNav").get_by_text("SQL", exact=True).click()
    page.get_by_text("Tables", exact=True).wait_for(timeout=60_000)
    page.get_by_test_id("stSidebarNav").get_by_text("Chat", exact=True).click()
    page.locator(".token").first.wait_for(timeout=60_000)
    assert page.locator(".text").inner_text() == text
    assert "temperature=0.3" in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_colour_on_any_page(new_page, app, scheme):
    page = new_page(color_scheme=scheme)
    page.goto(f"{app}/{STARTER}12")
    ask(page)
    is_done(page)
    text = page.locator(".token").first.evaluate("element => getComputedStyle(element).color")
    is_light = sum(int(part) for part in text.strip("rgba()").split(",")[:3]) > 380
    assert is_light == (scheme == "dark")
    page.locator(".token").first.hover()
    ground = page.locator(".card").evaluate("element => getComputedStyle(element).backgroundColor")
    assert (sum(int(part) for part in ground.strip("rgba()").split(",")[:3]) < 300) == (scheme == "dark")

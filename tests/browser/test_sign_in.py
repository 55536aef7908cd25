"""Signing in for real: an OpenID Connect provider on loopback, the app's own server, a browser, a cold deep link."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from tests.browser.conftest import ROOT, running_server
from tests.browser.oidc_provider import OidcProvider

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def provider():
    made = OidcProvider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def guarded(chromium, provider, tmp_path_factory):
    """The app's address, with sign-in asked for."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("guarded")
    secrets = folder / "secrets.toml"
    secrets.write_text(provider.secrets(f"http://127.0.0.1:{port}"))
    options = (f"--secrets.files={secrets}",)
    with running_server(ROOT / "Home.py", folder / "data", folder / "log.txt", port=port, options=options) as address:
        yield address


def test_a_cold_deep_link_asks_to_sign_in_and_comes_back_to_what_was_asked(page, guarded, provider):
    asked = f"{guarded}/Zoo?card=starter&section=Tensors"
    page.goto(asked)
    page.get_by_role("button", name="Sign in").wait_for(timeout=60_000)
    assert page.get_by_text("starter").count() == 0
    assert page.get_by_role("tab").count() == 0
    visits = provider.visits
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Layers of equal structure").wait_for(timeout=60_000)
    assert provider.visits == visits + 1
    assert page.url == asked
    page.get_by_role("button", name="Ada").wait_for()

    page.get_by_test_id("stSidebarNav").get_by_text("SQL", exact=True).click()  # the session stays signed in
    page.get_by_text("Tables", exact=True).wait_for(timeout=30_000)
    page.goto(f"{guarded}/Heatmap?model=starter")  # and so does a new one with the cookie, without detours
    page.locator(".heatmap[data-ready=true]").wait_for(timeout=60_000)
    assert "model=starter" in page.url


def test_when_the_cookie_is_gone_the_page_closes_and_opens_again_where_it_was(page, guarded):
    page.goto(f"{guarded}/SQL?q=select+42+as+answer")
    page.get_by_role("button", name="Sign in").click(timeout=60_000)
    page.get_by_text("1 row in").wait_for(timeout=60_000)
    page.context.clear_cookies()
    page.reload()
    page.get_by_role("button", name="Sign in").wait_for(timeout=60_000)
    assert page.get_by_text("1 row in").count() == 0
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("1 row in").wait_for(timeout=60_000)
    assert "q=select" in page.url


def test_signing_out_closes_the_app(page, guarded):
    page.goto(guarded)
    page.get_by_role("button", name="Sign in").click(timeout=60_000)
    page.get_by_role("button", name="Ada").click(timeout=60_000)
    page.get_by_role("button", name="Sign in").wait_for(timeout=60_000)
    assert page.get_by_text("Models here").count() == 0

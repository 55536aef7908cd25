"""Sign-in: where it is configured, a page shows nothing to those who did not; the switch in the secrets."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from workflows import deployment

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [None, *sorted(f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py"))]
AUTH = {
    "redirect_uri": "http://localhost:8501/oauth2callback",
    "cookie_secret": "a-strong-randomly-generated-secret",
    "client_id": "x",
    "client_secret": "y",
    "server_metadata_url": "https://provider.example/.well-known/openid-configuration",
}


@pytest.fixture(autouse=True)
def _switch_is_restored(monkeypatch):
    monkeypatch.setenv(deployment.SWITCH, "0")


def visit(page=None, secrets=None, user=None, **parameters):
    app = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=90)
    app.secrets.update({"auth": AUTH} if secrets is None else secrets)
    app.user = {"is_logged_in": False} if user is None else user
    for name, value in parameters.items():
        app.query_params[name] = value
    if page is not None:
        app = app.switch_page(page)
    return app.run()


def everything(app):
    """All that the page sent, as one text: every element with every field, in the body and the sidebar."""
    return "\n".join(str(block) for block in (app.main, app.sidebar))


def ada(**claims):
    return {"is_logged_in": True, "name": "Ada *Lovelace*", "email": "ada@example.com", "iat": time.time()} | claims


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_sign_in_shows_nothing_of_its_content(page, measured):
    app = visit(page, model=measured, card=measured, q="select * from tensor_stats")
    assert not app.exception
    assert [button.key for button in app.button] == ["sign-in-"]
    kinds = ("dataframe", "text_input", "selectbox", "caption", "tabs", "expander", "metric", "text_area", "pills")
    shown = {kind: len(app.get(kind)) for kind in kinds}
    assert shown == dict.fromkeys(kinds, 0) | {"caption": 1}
    assert measured not in everything(app) and "starter" not in everything(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_after_sign_in_is_the_page(page, measured, open_page):
    app = visit(page, user=ada())
    assert not app.exception
    assert "sign-in-" not in {button.key for button in app.button}
    assert app.button(key="sign-out").label == "Ada \\*Lovelace\\*"
    assert app.title[0].value == open_page(page).title[0].value


def test_without_auth_in_the_secrets_the_app_is_open_and_knows_no_account(measured):
    for secrets in ({}, {"other": 1}):
        app = visit(secrets=secrets, user={})
        assert not app.exception
        assert not {"sign-in-", "sign-out"} & {button.key for button in app.button}


@pytest.mark.parametrize(
    "user",
    [
        {},
        {"is_logged_in": False, "email": "ada@example.com"},
        {"is_logged_in": "yes"},
        {"is_logged_in": True, "iat": time.time() - 3700},
        {"is_logged_in": True, "iat": "yesterday"},
        {"is_logged_in": True, "iat": None},
        {"is_logged_in": True},
    ],
)
def test_nobody_and_those_whose_time_is_over_sign_in_anew(user, measured):
    app = visit(secrets={"auth": AUTH, "deployment": {"sign_in_hours": 1}}, user=user)
    assert [button.key for button in app.button] == ["sign-in-"]


def test_without_a_limit_the_cookie_alone_decides(measured):
    app = visit(user={"is_logged_in": True})
    assert app.button(key="sign-out").label == "signed in"


def test_signing_out_closes_the_page_at_once(measured):
    app = visit(user=ada())
    app.button(key="sign-out").click().run()
    assert [button.key for button in app.button] == ["sign-in-"]


def test_each_named_provider_has_its_button(measured):
    shared = {name: AUTH[name] for name in ("redirect_uri", "cookie_secret")}
    own = {name: AUTH[name] for name in ("client_id", "client_secret", "server_metadata_url")}
    app = visit(secrets={"auth": shared | {"google": own, "okta": own}})
    assert [button.label for button in app.button] == ["Sign in with Google", "Sign in with Okta"]


@pytest.mark.parametrize("auth", [{}, {"redirect_uri": "x"}, "yes", 3, None])
def test_sign_in_that_is_asked_for_but_not_set_up_closes_the_app(auth, measured):
    app = visit(secrets={"auth": auth})
    assert app.error and not app.button
    assert "starter" not in everything(app)


def test_secrets_that_cannot_be_read_close_the_app(tmp_path, monkeypatch, measured):
    import streamlit as st

    broken = tmp_path / "secrets.toml"
    broken.write_text("[auth\n")
    before = st.config.get_option("secrets.files")
    monkeypatch.setattr(st, "secrets", st.secrets.__class__())
    st.config.set_option("secrets.files", [str(broken)])
    try:
        app = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60).run()
    finally:
        st.config.set_option("secrets.files", before)
    assert app.error and "starter" not in everything(app)


def test_a_failing_sign_in_says_why(measured):
    app = visit()
    app.button(key="sign-in-").click().run()
    assert not app.exception
    assert app.error and "Sign\\-in" in app.error[0].value


def test_the_switch_in_the_secrets_makes_the_deployment_public(measured):
    assert not deployment.is_public()
    visit(secrets={"deployment": {"public": False}}, user={})
    assert not deployment.is_public()
    app = visit("pages/1_Zoo.py", secrets={"deployment": {"public": True}}, user={}, shelf="Here")
    assert deployment.is_public()
    assert f"delete-{measured}" not in {button.key for button in app.button}

"""Who may see the app, and what a public one does not do: sign-in by OpenID Connect, and the deployment switch.

Both are configured in `.streamlit/secrets.toml`, and open where that says nothing:

    [auth]                       # as for `st.login`: redirect_uri, cookie_secret, client_id, client_secret, …
    [deployment]
    public = true                # or WEIGHTSCOPE_PUBLIC=1: no server paths, deletion, downloads or training
    sign_in_hours = 12           # after which a person signs in anew; else after 30 days
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import streamlit as st
from streamlit.errors import Error as StreamlitError

from ui.markdown import escape_markdown
from workflows.deployment import FORBIDDEN, is_public, make_public

_ARRIVED = "access_arrived"

_RETURN = st.components.v2.component("weightscope.return_address", js=Path(__file__).with_name("access.js").read_text())
"""Remembers in the browser's tab which page was asked for, since `st.login` always comes back to the first one."""


def require_access() -> None:
    """Let a page go on only for those who may see it; else draw the way to sign in, and nothing of the page.

    Asked at the beginning of every page and on every rerun. Secrets that cannot be read close the app.
    """
    secrets = _secrets()
    if secrets is None:
        _closed("The file of secrets cannot be read, and it may ask for sign-in.", "Its syntax must be that of TOML.")
    if _section(secrets, "deployment").get("public"):
        make_public()
    if "auth" not in secrets:
        return
    if not is_signed_in(_section(secrets, "deployment").get("sign_in_hours")):
        _ask_to_sign_in(providers(_section(secrets, "auth")))
    if not st.session_state.get(_ARRIVED):
        st.session_state[_ARRIVED] = True
        with st.sidebar:
            _RETURN(key="return_address", data={"task": "go"})
    _account()


def is_signed_in(hours: float | None = None) -> bool:
    """Whether this session belongs to somebody who signed in, no longer than so many hours ago.

    Args: hours: None for as long as Streamlit's cookie lasts, 30 days. The time is the identity token's own `iat`,
        which OpenID Connect asks every provider for; without one nobody is in time.
    """
    if st.user.get("is_logged_in") is not True:
        return False
    issued_s = st.user.get("iat")
    return hours is None or (isinstance(issued_s, int | float) and time.time() - issued_s <= hours * 3600)


def providers(auth: Mapping) -> list[str]:
    """The names of the identity providers in `[auth]`; "" for the one without a name."""
    named = [name for name, section in auth.items() if isinstance(section, Mapping) and "client_id" in section]
    return ([""] if "client_id" in auth else []) + named


def public_notice() -> None:
    """What this deployment does not do, if it is a public one; to be shown where a person would look for it."""
    if is_public():
        with st.expander("This is a public Weightscope: look and measure freely", icon=":material/public:"):
            st.markdown("\n".join(f"- {words}." for words in FORBIDDEN.values()))
            st.caption("Uploads can be seen by everyone here. On your own machine all of it works, with one command.")


def _secrets() -> Mapping | None:
    """All secrets; {} where there is no file of them, None where there is one that cannot be read."""
    if st.secrets.load_if_toml_exists():
        return st.secrets
    paths = st.config.get_option("secrets.files")
    return None if any(Path(path).exists() for path in paths) else {}


def _section(secrets: Mapping, name: str) -> Mapping:
    section = secrets.get(name)
    return section if isinstance(section, Mapping) else {}


def _ask_to_sign_in(names: list[str]) -> None:
    """The sign-in page. Never returns."""
    st.session_state.pop(_ARRIVED, None)
    if not names:
        _closed("Sign-in is asked for, but no provider is configured.", "See `st.login` in Streamlit's manual.")
    _RETURN(key="asked_address", data={"task": "keep"})
    with st.container(horizontal_alignment="center"):
        st.space("large")
        with st.container(border=True, width=420, horizontal_alignment="center", gap="medium"):
            st.title("Weightscope", anchor=False, icon=":material/biotech:", width="content")
            st.caption("Sign in to continue. You will come back to the page you asked for.", text_alignment="center")
            for name in names:
                label = f"Sign in with {name.capitalize()}" if name else "Sign in"
                st.button(
                    label,
                    key=f"sign-in-{name}",
                    icon=":material/login:",
                    type="primary",
                    width="stretch",
                    on_click=_sign_in,
                    args=(name or None,),
                )
            problem = st.session_state.pop("sign_in_problem", None)
            if problem:
                st.error(escape_markdown(problem), icon=":material/warning:")
    st.stop()


def _sign_in(provider: str | None) -> None:
    try:
        st.login(provider)
    except StreamlitError as error:
        st.session_state["sign_in_problem"] = " ".join(f"Sign-in is not set up well: {error}".split())


def _closed(message: str, hint: str) -> None:
    """Nothing is shown but why. Never returns."""
    st.error(message, icon=":material/lock:")
    st.caption(hint)
    st.stop()


def _account() -> None:
    with st.sidebar:
        name = str(st.user.get("name") or st.user.get("email") or "signed in")
        st.button(
            escape_markdown(name[:60]),
            key="sign-out",
            icon=":material/logout:",
            type="tertiary",
            help="Sign out",
            on_click=st.logout,
        )

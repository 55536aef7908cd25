"""The hub token of one session: typed by a person, kept in memory until the tab closes, shown and stored nowhere."""

from __future__ import annotations

import streamlit as st

_KEY = "hub_token"
_BOX = "hub_token_box"


def token_environment() -> dict[str, str]:
    """What a job's process needs to reach private models; {} if no token was given in this session."""
    token = st.session_state.get(_KEY, "")
    return {"HF_TOKEN": token} if token else {}


def session_token() -> str | None:
    """The token of this session; None if there is none."""
    return st.session_state.get(_KEY) or None


def token_box() -> None:
    """A password box for the token, or the news that there is one and a button to forget it."""
    if session_token():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge("token set for this session", icon=":material/key:", color="green")
            st.button("Forget it", key="forget_token", type="tertiary", on_click=_forget)
        return
    st.text_input(
        "Access token, for private and gated models",
        type="password",
        key=_BOX,
        on_change=_keep,
        placeholder="hf_…",
        help="Kept in this session's memory only, until the tab closes. It is passed to downloads as an environment "
        "variable, and is never written to disk, logs or the database. HF_TOKEN in the environment works as well.",
    )


def _keep() -> None:
    """Move the token out of the widget, so that it is not sent to the browser again."""
    token = st.session_state.pop(_BOX, "").strip()
    if token:
        st.session_state[_KEY] = token


def _forget() -> None:
    st.session_state.pop(_KEY, None)

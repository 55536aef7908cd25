"""Keeping a finding in the library, from wherever it is shown."""

from __future__ import annotations

import streamlit as st

from engine.errors import WeightscopeError
from storage.pattern_library import Pattern
from ui.page import store, tried

KIND_LOOKS = {
    "health": ("red", ":material/stethoscope:"),
    "forensics": ("orange", ":material/fingerprint:"),
    "suggestion": ("blue", ":material/compress:"),
    "shared": ("green", ":material/link:"),
    "anomaly": ("violet", ":material/scatter_plot:"),
}


def keep_control(content_hash: str, kind: str, name: str, tensor: str, *, key: str) -> None:
    """A popover that keeps a finding of a model, with a note; a badge if it is kept already.

    Args: kind, name, tensor: as `workflows.pattern_library.candidates` tells it. key: unique on the page.
    """
    from workflows.pattern_library import pattern_key

    wanted = pattern_key(kind, name, tensor, (content_hash,))
    if any(pattern.key == wanted for pattern in store().patterns()):
        st.badge("kept", color="green", icon=":material/bookmark_added:")
        return
    with st.popover("Keep", icon=":material/bookmark_add:"):
        note = st.text_area("Note", key=f"{key}-note", placeholder="Why it matters (may be empty)", max_chars=2000)
        st.button(
            "Keep it in the library",
            key=key,
            type="primary",
            on_click=tried,
            args=(_keep_candidate, content_hash, wanted, note),
        )


def _keep_candidate(content_hash: str, key: str, note: str) -> None:
    from workflows.pattern_library import candidates, keep

    pattern = next((one for one in candidates(store(), content_hash) if one.key == key), None)
    if pattern is None:
        raise WeightscopeError("This finding is not there any more.", "It was looked for again in the meantime.")
    keep(store(), pattern, note)


def keep_now(pattern: Pattern) -> None:
    """Keep a pattern without a note; for a button's callback."""
    from workflows.pattern_library import keep

    tried(keep, store(), pattern)

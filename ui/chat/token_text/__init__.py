"""Generated text, token by token: the less a token was expected, the stronger its colour; alternatives on hover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from engine.runners.generation import GeneratedToken

MOST_LIVE = 400
"""While a text grows it is sent anew ten times a second; beyond so many tokens, alternatives come only at its end."""

_FOLDER = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "weightscope.token_text",
    html=(_FOLDER / "tokens.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "tokens.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "tokens.js").read_text(encoding="utf-8"),
)


def token_text(tokens: Sequence[GeneratedToken], *, key: str, is_live: bool = False) -> None:
    """Draw generated tokens.

    Args: key: of one text; it must change with the text, since a text that grows is only added to.
        is_live: whether more will come.
    """
    _COMPONENT(key=key, data=message(tokens, is_live=is_live))


def message(tokens: Sequence[GeneratedToken], *, is_live: bool) -> dict:
    """What the browser gets: {"tokens": [[text, probability, [[alternative, probability], …]], …], "live": bool}.

    An undefined probability is None. Tokens are text to the browser, never markup.
    """
    has_alternatives = not is_live or len(tokens) <= MOST_LIVE
    shown = [token for token in tokens if token.token_id is not None or token.text]
    return {
        "live": is_live,
        "tokens": [
            [
                token.text,
                _rounded(token.probability),
                [[text, _rounded(chance)] for text, chance in token.alternatives] if has_alternatives else [],
                "end" if token.finish == "end" else "",
            ]
            for token in shown
        ],
    }


def _rounded(probability: float) -> float | None:
    return round(probability, 5) if math.isfinite(probability) else None

"""Attention: all heads of a model, the heads of a layer, one head's weights and circuits, and where it looks."""

from __future__ import annotations

import streamlit as st

from engine.attention.blocks import AttentionBlock, attention_blocks, has_compressed_attention
from engine.errors import MeasureError
from ui.attention.all_heads import all_heads
from ui.attention.choice import Choice, choose, current_block, current_choice
from ui.attention.circuits import circuits_view
from ui.attention.one_head import one_head
from ui.attention.prompt import prompt_view
from ui.attention.table import block_numbers, head_table
from ui.attention.weights import weights_view
from ui.page import escape_markdown, show_error, user_errors
from ui.selection import Selection

VIEWS = {"Weights": weights_view, "Circuits": circuits_view, "On a prompt": prompt_view}
VIEW_KEY = "attention_view"


def attention_look(selection: Selection) -> None:
    """The whole look, below the pickers."""
    blocks = _blocks(selection.source.uri, selection.source.fingerprint, selection)
    if not blocks:
        _nothing_here(selection)
        return
    try:
        choice = current_choice(selection, blocks)
    except MeasureError as error:
        show_error(error)
        _offer_others(selection, blocks)
        return
    table = head_table(choice)
    numbers = block_numbers(choice, table)
    left, right = st.columns([1.25, 1], gap="large")
    with left, user_errors():
        all_heads(choice, table)
    with right, user_errors():
        one_head(choice, table, numbers)
    if st.session_state.get(VIEW_KEY) not in (None, *VIEWS):
        st.session_state[VIEW_KEY] = "Weights"  # from a bad URL
    view = st.segmented_control(
        "Look closer",
        list(VIEWS),
        default="Weights",
        required=True,
        key=VIEW_KEY,
        bind="query-params",
        label_visibility="collapsed",
        width="stretch",
    )
    with user_errors():
        VIEWS[view or "Weights"](choice, numbers)


@st.cache_data(max_entries=32, show_spinner=False)
def _blocks(uri: str, fingerprint: str, _selection: Selection) -> tuple[AttentionBlock, ...]:
    return attention_blocks(_selection.source.infos())


def _nothing_here(selection: Selection) -> None:
    name = escape_markdown(selection.location.name)
    if has_compressed_attention(selection.source.infos()):
        words = (
            f"**{name} has compressed (multi-head latent) attention.** Its queries, keys and values pass through a "
            "narrow middle, and are not split into heads here yet. Every matrix can be seen as a tensor."
        )
    else:
        words = (
            f"**{name} has no attention that can be told by its tensors' names**: there are no queries, keys and "
            "values. Convolutions and recurrent layers have none; choose a transformer, or look at its tensors."
        )
    st.info(words, icon=":material/visibility_off:")


def _offer_others(selection: Selection, blocks: tuple[AttentionBlock, ...]) -> None:
    """One attention cannot be split; another may."""
    here = current_block(selection, blocks)
    others = [block for block in blocks if block != here][:8]
    if others:
        st.caption(f"Other attentions of this model: {escape_markdown(', '.join(block.title for block in others))}.")


__all__ = ["Choice", "attention_look", "choose"]

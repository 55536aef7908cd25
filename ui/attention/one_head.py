"""The chosen head in a few numbers, and how to get to another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from engine.attention.numbers import HEAD_NUMBERS
from ui.attention.all_heads import number_text
from ui.attention.choice import HEAD, Choice, choose
from ui.attention.table import HeadTable
from ui.page import escape_markdown

SHOWN = (
    "query_norm",
    "key_norm",
    "value_norm",
    "output_norm",
    "qk_spectral",
    "qk_effective_rank",
    "ov_spectral",
    "ov_effective_rank",
    "copying",
)
_ROTARY_KEYS = ("rope_theta", "rope_parameters", "rope_scaling", "rotary_dim", "rotary_pct", "rotary_emb_base")
_LLAMA_ORDER = frozenset({"llama", "mistral", "granite", "minicpm", "internlm2", "baichuan", "orion", "xverse", "olmo"})
"""Architectures with rotary positions whose queries and keys llama.cpp's converter reorders inside each head."""


def one_head(choice: Choice, table: HeadTable | None, numbers: dict[str, np.ndarray]) -> None:
    """Layer and head boxes, the head's numbers beside those of all others, and the way to its weights."""
    block_column, head_column, open_column = st.columns([1.5, 0.9, 1.5], vertical_alignment="bottom")
    with block_column:
        _pick_block(choice)
    with head_column:
        st.selectbox(
            "Head",
            [str(head) for head in range(choice.heads.num_heads)],
            key=HEAD,
            bind="query-params",
            on_change=lambda: choose(choice, choice.block, int(st.session_state[HEAD] or 0), choice.part),
        )
    with open_column:
        st.button(
            "Open weights",
            key="open_head",
            icon=":material/grid_on:",
            width="stretch",
            on_click=_open,
            args=(choice,),
            help=f"The {choice.part} weights of this head, in the matrix that holds them.",
        )
    st.caption(_facts(choice))
    st.dataframe(
        _lines(choice, table, numbers),
        hide_index=True,
        height=35 * len(SHOWN) + 38,
        column_config={
            "this head": st.column_config.TextColumn(alignment="right"),
            "median": st.column_config.TextColumn(alignment="right", help="Of all heads of the model."),
            "higher than": st.column_config.ProgressColumn(
                format="percent", min_value=0, max_value=1, help="The share of the model's heads with a lower number."
            ),
        },
    )
    for note in notes(choice):
        st.caption(f":material/info: {note}")


def _pick_block(choice: Choice) -> None:
    titles = {block.title: block for block in choice.blocks}
    if len(titles) < len(choice.blocks):
        titles = {f"{block.title} ({block.path})": block for block in choice.blocks}
    current = next(title for title, block in titles.items() if block == choice.block)
    st.session_state["attention_block"] = current
    st.selectbox(
        "Attention",
        list(titles),
        key="attention_block",
        on_change=lambda: choose(choice, titles[st.session_state["attention_block"]], 0, choice.part),
    )


def _open(choice: Choice) -> None:
    choose(choice, choice.block, choice.head, choice.part)
    st.session_state["look"] = "Tensor"


def _facts(choice: Choice) -> str:
    heads = choice.heads
    words = [f"**{heads.num_heads}** heads"]
    if heads.is_grouped:
        words.append(f"**{heads.num_kv_heads}** key and value heads, this one reads {heads.kv_head(choice.head)}")
    words.append(f"**{heads.head_width}** wide")
    words.append({"config": "as its config says", "asked": "as you say", "guess": "a guess"}[heads.origin])
    if heads.layout is not None:
        words.append(f"unpacked from one matrix: {heads.layout.description}")
    if heads.is_turned:
        words.append("stored in × out, shown turned")
    return " · ".join(words)


def _lines(choice: Choice, table: HeadTable | None, numbers: dict[str, np.ndarray]) -> pd.DataFrame:
    lines = []
    for name in SHOWN:
        own = float(numbers[name][choice.head])
        everyone = numbers[name] if table is None else table.column(name, len(choice.blocks)).ravel()
        everyone = everyone[np.isfinite(everyone)]
        share = round((everyone < own).sum() / max(1, everyone.size - 1), 2) if np.isfinite(own) else None
        median = float(np.median(everyone)) if everyone.size else np.nan
        lines.append((HEAD_NUMBERS[name].title, number_text(own), number_text(median), share))
    return pd.DataFrame(lines, columns=["number", "this head", "median", "higher than"])


def notes(choice: Choice) -> list[str]:
    """What a person must know to read these numbers rightly, in Markdown."""
    config, block, found = choice.selection.source.config, choice.block, []
    if choice.heads.layout is not None and not choice.heads.layout.is_certain:
        found.append(
            f"The order inside the fused matrix is the usual one ({choice.heads.layout.description}); nothing confirms "
            "it for this architecture."
        )
    is_llama = choice.selection.source.format == "gguf" and str(config.get("model_type")) in _LLAMA_ORDER
    if is_llama or any(config.get(key) for key in _ROTARY_KEYS):
        found.append("Positions are rotary: the QK circuit is that of two tokens at the same position (distance 0).")
    if {"query_norm", "key_norm"} & set(block.companions):
        found.append("Queries and keys are normalised before they meet, which the QK circuit leaves out.")
    if is_llama:
        found.append(
            "llama.cpp stores the rows of each query and key head in another order than transformers. Both alike, so "
            "every number here is the same."
        )
    if any(info.dtype.startswith("F8") for info in block.weights.values()):
        found.append("Weights are 8-bit floats; scales that lie beside them are not applied.")
    return [escape_markdown(note) for note in found]

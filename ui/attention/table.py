"""Numbers of all heads of a model: taken layer by layer, kept as long as the files stay the same."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import streamlit as st

from engine.attention.blocks import AttentionBlock
from engine.attention.heads import HeadWeights
from engine.attention.numbers import circuit_singular_values, head_numbers
from engine.errors import MeasureError
from ui.attention.choice import Choice
from ui.page import escape_markdown
from workflows.wording import bytes_text

AT_ONCE_BYTES = 256 << 20
"""Attention weights up to this many bytes are measured without being asked; chosen by us: some seconds."""


@dataclass
class HeadTable:
    """What is known so far.

    Attributes: numbers: a block's place -> name -> (heads,). failures: a block's place -> why it has none.
    """

    numbers: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    def column(self, name: str, num_blocks: int) -> np.ndarray:
        """One number of every head: (blocks, most heads), NaN where there is none."""
        width = max((len(own[name]) for own in self.numbers.values()), default=0)
        values = np.full((num_blocks, width), np.nan)
        for place, own in self.numbers.items():
            values[place, : len(own[name])] = own[name]
        return values

    def is_whole(self, num_blocks: int) -> bool:
        return len(self.numbers) + len(self.failures) == num_blocks


@st.cache_resource(max_entries=16, show_spinner=False)
def _table(uri: str, fingerprint: str, asked: str) -> HeadTable:
    """An empty table that is filled as layers are read; a run that is cut off goes on where it was."""
    return HeadTable()


def head_table(choice: Choice) -> HeadTable | None:
    """All heads' numbers, measured now where that is quick or was asked for; else the offer to do it, and None."""
    source, blocks = choice.selection.source, choice.blocks
    table = _table(source.uri, source.fingerprint, repr(choice.asked))
    missing = [place for place in range(len(blocks)) if place not in table.numbers and place not in table.failures]
    if not missing:
        return table
    num_bytes = sum(block.num_bytes for block in blocks)
    asked_for = f"heads-{source.fingerprint}"
    is_quick = num_bytes <= AT_ONCE_BYTES and not source.is_remote
    if not (is_quick or table.numbers or st.session_state.get(asked_for)):
        with st.container(border=True):
            st.markdown(f"**Numbers of all heads** need the attention weights read once: {bytes_text(num_bytes)}.")
            if not st.button("Measure all heads", key="measure_heads", icon=":material/straighten:", type="primary"):
                return None
        st.session_state[asked_for] = True
    _measure(choice, table, missing)
    return table


def _measure(choice: Choice, table: HeadTable, missing: list[int]) -> None:
    bar = st.progress(0.0, "Measuring heads …")
    for count, place in enumerate(missing):
        block = choice.blocks[place]
        bar.progress(count / len(missing), f"Measuring the heads of {escape_markdown(block.title)} …")
        try:
            table.numbers[place] = head_numbers(HeadWeights(choice.selection.source, choice.heads_of(block)))
        except MeasureError as error:
            table.failures[place] = str(error)
    bar.empty()


@st.cache_data(max_entries=64, show_spinner="Taking the circuits apart …")
def circuit_curves(
    uri: str, fingerprint: str, path: str, asked: str, circuit: str, _choice: Choice
) -> list[np.ndarray]:
    """Singular values of one circuit of every head of the chosen attention; [] without an output matrix."""
    return circuit_singular_values(HeadWeights(_choice.selection.source, _choice.heads), circuit)


def curves_of(choice: Choice, circuit: str) -> list[np.ndarray]:
    """`circuit_curves` of the choice, kept by what it depends on."""
    source, block = choice.selection.source, choice.block
    return circuit_curves(
        source.uri, source.fingerprint, f"{block.path}|{block.is_cross}", repr(choice.asked), circuit, choice
    )


def block_numbers(choice: Choice, table: HeadTable | None) -> dict[str, np.ndarray]:
    """The numbers of the chosen attention's heads, from the table or measured now."""
    place = choice.blocks.index(choice.block)
    if table is not None and place in table.numbers:
        return table.numbers[place]
    source = choice.selection.source
    key = f"{choice.block.path}|{choice.block.is_cross}|{choice.asked!r}"
    return _numbers(source.uri, source.fingerprint, key, choice)


@st.cache_data(max_entries=64, show_spinner="Measuring this layer's heads …")
def _numbers(uri: str, fingerprint: str, key: str, _choice: Choice) -> dict[str, np.ndarray]:
    return head_numbers(HeadWeights(_choice.selection.source, _choice.heads))


def block_label(block: AttentionBlock, blocks: tuple[AttentionBlock, ...]) -> str:
    """A short row label: the layer's number, with its stack where there are several."""
    number = "–" if block.layer is None else str(block.layer)
    has_stacks = len({(other.stack, other.is_cross) for other in blocks}) > 1
    stack = {"encoder": "enc", "decoder": "dec"}.get(block.stack, block.stack)
    return f"{stack} {number}{' ×' if block.is_cross else ''}".strip() if has_stacks else number

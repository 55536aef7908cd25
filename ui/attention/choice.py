"""Which attention, head and part the person looks at; it is one with the selection that all pages share."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from engine.attention.blocks import PARTS, AttentionBlock
from engine.attention.counts import HeadCounts, head_counts
from engine.attention.heads import Heads, guessed_counts, split_heads
from engine.naming import place
from ui.heatmap_canvas import View
from ui.selection import Selection, choose_tensor

TITLES = {part.capitalize(): part for part in PARTS}
"""As in the URL (`?part=`)."""

HEAD, PART, WIDTH = "head", "part", "head_width"
"""Keys of the session and of the URL."""


@dataclass(frozen=True)
class Choice:
    """What is looked at. Attributes: block: one of `blocks`, the attentions of the model. heads: of the block, split.
    head, part: one of them. asked: the person's own numbers, where nobody says how many heads there are."""

    selection: Selection
    blocks: tuple[AttentionBlock, ...]
    block: AttentionBlock
    heads: Heads
    head: int
    part: str
    asked: HeadCounts | None

    @property
    def title(self) -> str:
        return f"{self.block.title}, head {self.head}"

    def heads_of(self, block: AttentionBlock) -> Heads:
        """Another attention of the model, split by the same rule. Raises: MeasureError if it cannot be."""
        return split_heads(self.selection.source, block, self.asked)


def current_block(selection: Selection, blocks: tuple[AttentionBlock, ...]) -> AttentionBlock:
    """The attention that the selected tensor belongs to, else that of its layer, else the first."""
    name = selection.info.name
    for block in blocks:
        if any(info.name == name for info in (*block.weights.values(), *block.biases.values())):
            return block
    here = selection.place
    near = [block for block in blocks if block.layer == here.layer and here.layer is not None]
    return next((block for block in near if block.stack == here.stack), (near or blocks)[0])


def current_choice(selection: Selection, blocks: tuple[AttentionBlock, ...]) -> Choice:
    """The choice as session, URL and selected tensor say it; what does not exist (any more) becomes the first.

    Raises: MeasureError if the attention cannot be split into heads.
    """
    block = current_block(selection, blocks)
    asked = asked_width(selection, block)
    heads = split_heads(selection.source, block, asked)
    head = str(st.session_state.get(HEAD, st.query_params.get(HEAD, "0")))
    if not (head.isascii() and head.isdecimal() and len(head) < 6 and int(head) < heads.num_heads):
        head = "0"
    st.session_state[HEAD] = str(int(head))
    part = TITLES.get(st.session_state.get(PART) or st.query_params.get(PART, ""), PARTS[0])
    role = place(selection.info.name, selection.info.shape).role.removeprefix("cross_")
    if role in PARTS and block.tensor(role) == selection.info:
        part = role  # the tensor above says it
    elif block.tensor(part) is None:
        part = PARTS[0]
    st.session_state[PART] = part.capitalize()
    return Choice(selection, blocks, block, heads, int(head), part, asked)


def asked_width(selection: Selection, block: AttentionBlock) -> HeadCounts | None:
    """None where config or file say how many heads there are; else a box to ask the person, filled with a guess."""
    if block.is_packed or head_counts(selection.source.config, block.stack, block.layer).is_known:
        return None
    guess = guessed_counts(block)
    st.info(
        "Nothing beside the weights says how many heads there are. The width below is a guess; a config.json beside "
        "the weights would settle it.",
        icon=":material/help:",
    )
    width = st.number_input(
        "Width of a head",
        min_value=1,
        max_value=1 << 16,
        value=guess.width,
        key=WIDTH,
        bind="query-params",
        help="Entries of one head's query. It must divide the rows of the query and of the key matrix.",
    )
    return HeadCounts(width=int(width or guess.width), origin="guess" if width in (None, guess.width) else "asked")


def choose(choice: Choice, block: AttentionBlock, head: int, part: str | None = None) -> None:
    """Look at another head, also on every other page: its part's tensor, at its rows or columns. For callbacks."""
    part = part if part is not None and block.tensor(part) is not None else PARTS[0]
    where = choice.heads_of(block).slice(part, head)
    choose_tensor(where.info.name)
    st.session_state[HEAD] = str(head)
    st.session_state[PART] = part.capitalize()
    row_start, row_stop, column_start, column_stop = where.region
    st.session_state["view"] = View(row_start, row_stop, column_start, column_stop).text

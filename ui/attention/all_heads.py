"""Every head of the model as one cell, layers down, coloured by a number of choice."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.attention.maps import MAP_SCORES
from engine.attention.numbers import HEAD_NUMBERS
from engine.tile_colours import value_scale
from ui.attention.choice import Choice, choose
from ui.attention.mosaic import Frame, Mosaic, mosaic
from ui.attention.run import current_run, score_column
from ui.attention.table import HeadTable, block_label
from ui.colours import chosen_map
from ui.page import escape_markdown

NUMBER = "head_number"
ON_PROMPT = " on the prompt"
DEFAULT = "ov_norm"
LARGEST_CELL, LARGEST_HEIGHT = 46.0, 470.0


def all_heads(choice: Choice, table: HeadTable | None) -> None:
    """The map of heads with its number picker; a click chooses a head."""
    title, description, values, is_signed = _column(choice, table)
    st.caption(f"{description} Click a head to look at it.")
    if values is None:
        return
    scale = value_scale([values], "linear")
    width = values.shape[1]
    numbers = [f"{title}: {number_text(value)}" for value in values.ravel()]
    picture = Mosaic(
        tiles=values.reshape(-1, 1, 1),
        scale=scale,
        colours=chosen_map(None, is_signed and scale.limits.is_signed),
        frame=Frame(columns=width, largest=LARGEST_CELL, max_height=LARGEST_HEIGHT),
        label=f"{title} of every head",
        titles=[f"{block.title}, head {head}" for block in choice.blocks for head in range(width)],
        notes=numbers,
        row_labels=[block_label(block, choice.blocks) for block in choice.blocks],
        column_labels=[str(head) for head in range(width)],
        row_title="layer",
        column_title="head",
        bar=[number_text(number) for number in scale.values_at(np.linspace(0, 1, 3))],
        bar_title=title,
        selected=choice.blocks.index(choice.block) * width + choice.head,
        is_undefined_empty=True,
    )

    def chosen(index: int) -> None:
        place, head = divmod(index, width)
        if head < choice.heads_of(choice.blocks[place]).num_heads:
            choose(choice, choice.blocks[place], head, choice.part)

    mosaic(picture, key="all_heads", on_choose=chosen)
    for place, reason in sorted((table.failures if table else {}).items())[:3]:
        st.caption(f":material/warning: {escape_markdown(choice.blocks[place].title)}: {escape_markdown(reason)}")


def number_text(value: float) -> str:
    """Four digits; "–" where it is undefined."""
    return f"{value:.4g}" if np.isfinite(value) else "–"


def _column(choice: Choice, table: HeadTable | None) -> tuple[str, str, np.ndarray | None, bool]:
    """(title, description, (blocks, heads) numbers, whether signed) of the number that the person picks."""
    run = current_run(choice)
    titles = {number.title: name for name, number in HEAD_NUMBERS.items()} if table is not None else {}
    titles |= {score.title + ON_PROMPT: name for name, score in MAP_SCORES.items()} if run is not None else {}
    if not titles:
        return "", "The map of all heads appears here when they are measured.", None, False
    default = HEAD_NUMBERS[DEFAULT].title if table is not None else next(iter(titles))
    if st.session_state.get(NUMBER, default) not in titles:
        st.session_state[NUMBER] = default
    title = st.selectbox(
        "All heads, coloured by",
        list(titles),
        index=list(titles).index(default),
        key=NUMBER,
        bind="query-params",
        help="QK circuit: where a head looks. OV circuit: what it carries. After a run on a prompt, also what the "
        "heads really did on it.",
    )
    title = title if title in titles else default
    name = titles[title]
    if title.endswith(ON_PROMPT):
        score = MAP_SCORES[name]
        return title, f"{score.description[:1].upper()}{score.description[1:]}.", score_column(choice, run, name), False
    number = HEAD_NUMBERS[name]
    return title, number.description, table.column(name, len(choice.blocks)), number.is_signed

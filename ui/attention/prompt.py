"""Where the heads look on a prompt: a real run of the model, one head's map, and all of them small."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.attention.maps import MAP_SCORES, highest
from engine.colour_scales import Kind
from engine.pooling import pool
from engine.runners.attention_maps import MOST_TOKENS, attention_obstacle
from figures.attention import visible
from ui.attention.choice import Choice, choose
from ui.attention.mosaic import Frame, Mosaic, mosaic
from ui.attention.run import PromptRun, block_at, current_run, place_in_run, run_prompt
from ui.attention.scales import bar_texts, map_and_scale, probability_colours
from ui.chat.models import facts_words
from ui.page import escape_markdown
from workflows.wording import bytes_text

PROMPT = "attention_prompt"
EXAMPLE = "When Mary and John went to the store, John gave a drink to Mary."
MOST_CHARACTERS = 600
"""Of a prompt: it is part of the page's address."""

MOST_SMALL_CELLS = 1 << 19
"""Cells of all small maps together."""


def prompt_view(choice: Choice, _numbers: dict[str, np.ndarray]) -> None:
    """The prompt, its button, and what came of it."""
    obstacle = attention_obstacle(choice.selection.location.uri)
    if obstacle is not None:
        message, hint = obstacle
        with st.container(border=True):
            st.markdown(f":material/block: **Its attention cannot be seen on a prompt.** {escape_markdown(message)}")
            st.caption(f":material/lightbulb: {escape_markdown(hint)} Weights and circuits work all the same.")
        return
    _ask(choice)
    run = current_run(choice)
    if run is None:
        st.info(
            "Write a prompt and run the model on it: every head's map of where each token looks appears here.",
            icon=":material/play_arrow:",
        )
        return
    _words(choice, run)
    place = place_in_run(choice, choice.block, run.maps)
    if place is None:
        st.warning(
            "The model gave another number of maps than its weights have attentions, so they cannot be told apart.",
            icon=":material/warning:",
        )
        return
    _standing_out(choice, run, place[0])
    colours = map_and_scale()
    left, right = st.columns([1.1, 1], gap="large")
    with left:
        _one_map(choice, run, place, colours)
    with right:
        _small_maps(choice, run, place, colours)


def _ask(choice: Choice) -> None:
    location = choice.selection.location
    with st.form("attention_form", border=False):
        text_column, button_column = st.columns([4.2, 1], vertical_alignment="bottom")
        with text_column:
            prompt = st.text_area(
                "Prompt",
                value=EXAMPLE,
                key=PROMPT,
                bind="query-params",
                max_chars=MOST_CHARACTERS,
                height=76,
                help=f"At most {MOST_TOKENS} tokens are read; what is beyond is left out, and said.",
            )
        with button_column:
            is_asked = st.form_submit_button(
                "Run on this prompt", type="primary", icon=":material/play_arrow:", width="stretch"
            )
    if is_asked:
        words = f"Loading {escape_markdown(location.name)} ({bytes_text(location.num_bytes)}) and running it …"
        with st.spinner(words, show_time=True):
            run_prompt(choice, prompt or "")
        st.rerun()  # the map of all heads, above, can now be coloured by this run


def _words(choice: Choice, run: PromptRun) -> None:
    """What was run, if it differs from what is in the box, and on what."""
    words = [f"**{len(run.maps.tokens)}** tokens", facts_words(run.maps.facts)]
    if run.maps.answer:
        words.insert(1, f"**{len(run.maps.answer)}** tokens of its own answer")
    st.caption(" · ".join(words))
    if run.maps.num_cut:
        st.warning(
            f"The prompt is longer than {len(run.maps.tokens)} tokens; the last {run.maps.num_cut} were left out.",
            icon=":material/content_cut:",
        )
    if (st.session_state.get(PROMPT) or "") != run.prompt:
        st.caption(f":material/history: These maps are of another prompt: “{escape_markdown(run.prompt)}”")


def _one_map(choice: Choice, run: PromptRun, place: tuple[str, int], colours: tuple[str | None, Kind]) -> None:
    kind, layer = place
    values = run.maps.maps[kind][layer][choice.head]
    queries, keys = ([visible(token) for token in tokens] for tokens in run.maps.labels(kind))
    st.markdown(f"**{escape_markdown(choice.title)}**: each row shows where one token looks")
    scale, name, span = probability_colours(values, *colours)
    most = values.shape[1]
    picture = Mosaic(
        tiles=values.reshape(-1, 1, 1),
        scale=scale,
        colours=name,
        frame=Frame(columns=most, largest=34, max_height=640, gap=0 if most > 40 else 1),
        label=f"Attention map of {choice.title}",
        row_labels=queries,
        column_labels=keys,
        row_words=[f"{place} {token}" for place, token in enumerate(queries)],
        column_words=[f"{place} {token}" for place, token in enumerate(keys)],
        pair="looks at",
        value_kind="share",
        bar=bar_texts(scale, 3, span),
        bar_span=span,
        bar_title="attention",
    )
    mosaic(picture, key="attention_map")
    shares = [
        f"{score.title.lower()} **{_score_text(run, name, kind, layer, choice.head)}**"
        for name, score in MAP_SCORES.items()
    ]
    st.caption(" · ".join(shares) + f" of at most {np.log2(most):.2f}")


def _score_text(run: PromptRun, name: str, kind: str, layer: int, head: int) -> str:
    value = float(run.scores[name][kind][layer][head])
    if np.isnan(value):
        return "–"
    return f"{value:.2f} bits" if MAP_SCORES[name].unit == "bits" else f"{value:.0%}"


def _standing_out(choice: Choice, run: PromptRun, kind: str) -> None:
    """For each score the three heads with the highest, as buttons."""
    st.markdown("**Heads that stand out**", help="Over all layers of this kind. Position 0 does not count as a query.")
    for column, (name, score) in zip(st.columns(len(MAP_SCORES)), MAP_SCORES.items(), strict=True):
        column.caption(f"**{score.wanted}**", help=f"{score.description[:1].upper()}{score.description[1:]}.")
        found = highest(_padded(run.scores[name][kind]))
        for layer, head in found:
            block = block_at(choice, run.maps, kind, layer)
            is_here = (block, head) == (choice.block, choice.head)
            column.button(
                f"{escape_markdown(block.title)} · head {head} · **{_score_text(run, name, kind, layer, head)}**",
                key=f"stand_{name}_{layer}_{head}",
                on_click=choose,
                args=(choice, block, head, choice.part),
                type="primary" if is_here else "tertiary",
            )
        if not found:
            column.caption("undefined for these maps")


def _padded(rows: list[np.ndarray]) -> np.ndarray:
    table = np.full((len(rows), max(len(row) for row in rows)), np.nan)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table


def _small_maps(choice: Choice, run: PromptRun, place: tuple[str, int], colours: tuple[str | None, Kind]) -> None:
    """Every head's map, layers down."""
    kind, layer = place
    layers = run.maps.maps[kind]
    width = max(len(maps) for maps in layers)
    height, across = layers[0].shape[1:]
    side = int(max(8, min(40, 700 // width, (MOST_SMALL_CELLS / (width * len(layers))) ** 0.5)))
    empty = np.full(pool(layers[0][0], side, side).shape, np.nan, np.float32)
    tiles = [pool(maps[head], side, side) if head < len(maps) else empty for maps in layers for head in range(width)]
    scale, name, _ = probability_colours(np.stack(tiles), *colours)
    st.markdown("**All heads**: layers down, heads across")
    blocks = [block_at(choice, run.maps, kind, place) for place in range(len(layers))]
    picture = Mosaic(
        tiles=np.stack(tiles),
        scale=scale,
        colours=name,
        frame=Frame(columns=width, aspect=across / height, largest=90, max_height=620, gap=2 if width > 20 else 4),
        label=f"Attention maps of all heads, {kind}",
        titles=[f"{block.title}, head {head}" for block in blocks for head in range(width)],
        notes=[
            f"entropy {_score_text(run, 'entropy', kind, place, head)}" if head < len(layers[place]) else "no such head"
            for place in range(len(layers))
            for head in range(width)
        ],
        row_labels=[str(place) for place in range(len(layers))],
        column_labels=[str(head) for head in range(width)],
        selected=layer * width + choice.head,
    )

    def chosen(index: int) -> None:
        place, head = divmod(index, width)
        if head < len(layers[place]):
            choose(choice, blocks[place], head, choice.part)

    mosaic(picture, key="small_maps", on_choose=chosen)

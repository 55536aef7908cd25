"""One run of the model on a prompt, kept for the session, and how its maps belong to the attentions of the weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine.attention.blocks import AttentionBlock
from engine.attention.maps import MAP_SCORES
from engine.runners.attention_maps import CROSS, SELF, AttentionMaps, lease_attention
from storage.records import Location
from ui.attention.choice import Choice

KEY = "attention_run"


@dataclass(frozen=True, eq=False)
class PromptRun:
    """What came of it. Attributes: uri, fingerprint: of the model. prompt: as it was written. maps: of every head.
    scores: name of `MAP_SCORES` -> kind of map -> one (heads,) array for each layer."""

    uri: str
    fingerprint: str
    prompt: str
    maps: AttentionMaps
    scores: dict[str, dict[str, list[np.ndarray]]]


def run_prompt(choice: Choice, prompt: str) -> None:
    """Load the model, or take the loaded one, and keep its attention for the session. Raises: RunnerError."""
    source = choice.selection.source
    st.session_state.pop(KEY, None)
    with lease_attention(_place(choice.selection.location)) as reader:
        maps = reader.read(prompt)
    scores = {
        name: {kind: [score.function(layer) for layer in layers] for kind, layers in maps.maps.items()}
        for name, score in MAP_SCORES.items()
    }
    st.session_state[KEY] = PromptRun(source.uri, source.fingerprint, prompt, maps, scores)


def current_run(choice: Choice) -> PromptRun | None:
    """The session's run, if it was one of this model as it is now."""
    run = st.session_state.get(KEY)
    source = choice.selection.source
    return run if run is not None and (run.uri, run.fingerprint) == (source.uri, source.fingerprint) else None


def kind_of(block: AttentionBlock, maps: AttentionMaps) -> str:
    """Which of the maps an attention made."""
    return SELF if SELF in maps.maps else CROSS if block.is_cross else block.stack


def place_in_run(choice: Choice, block: AttentionBlock, maps: AttentionMaps) -> tuple[str, int] | None:
    """(kind, layer) of an attention's maps; None where the run has none for it, or not as many as the weights say."""
    kind = kind_of(block, maps)
    alike = [other for other in choice.blocks if kind_of(other, maps) == kind]
    layers = maps.maps.get(kind, ())
    return (kind, alike.index(block)) if len(layers) == len(alike) else None


def block_at(choice: Choice, maps: AttentionMaps, kind: str, layer: int) -> AttentionBlock:
    """The attention that made a kind's map of a layer."""
    return [block for block in choice.blocks if kind_of(block, maps) == kind][layer]


def score_column(choice: Choice, run: PromptRun, name: str) -> np.ndarray:
    """A score of every head of the model: (blocks, most heads), NaN where the run has none."""
    places = [place_in_run(choice, block, run.maps) for block in choice.blocks]
    rows = [None if place is None else run.scores[name][place[0]][place[1]] for place in places]
    width = max((len(row) for row in rows if row is not None), default=choice.heads.num_heads)
    values = np.full((len(rows), width), np.nan)
    for row, found in zip(values, rows, strict=True):
        if found is not None:
            row[: len(found)] = found
    return values


def _place(location: Location) -> str:
    return location.uri

"""Will it fit? Controls for type, context and use; the needs part by part; a verdict for every memory here."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from engine.fit import NetworkShape, context_length, needs_to_run, needs_to_train, network_shape
from engine.sources.hub_access import is_hub_uri
from storage.records import Location
from ui.machine_panel import disk_verdict, fit_table, this_machine, verdicts
from workflows.catalogue import CatalogueEntry
from workflows.wording import bytes_text, count_text

STORED = "as stored"
TYPES = {"32": 32.0, "16": 16.0, "8": 8.0, "4": 4.5}
"""4 bits with a 16-bit scale for every 32 weights are 4.5."""
CONTEXTS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)


def fit_panel(*, entry: CatalogueEntry | None, location: Location | None = None, config: Mapping | None = None) -> None:
    """The panel for a model here (its own numbers and config) or one of the catalogue (its facts).

    Args: at least one of entry and location is given.
    """
    if location is not None:
        num_parameters, num_bytes = location.num_parameters, location.num_bytes
    else:
        num_parameters, num_bytes = entry.num_parameters, entry.num_bytes
    shape = network_shape(config or {})
    cache = entry.cache if entry is not None and (shape is None or shape.cache is None) else None
    longest = context_length(config or {}) or (entry.context if entry else None)
    controls, answer = st.columns([1, 1.5], gap="large")
    with controls, st.container(border=True):
        use = st.segmented_control(
            "To", ["run", "train"], default="run", required=True, key="fit_use", bind="query-params"
        )
        kinds = ["16", "32"] if use == "train" else [STORED, *TYPES]
        kind = st.segmented_control("Bits a weight", kinds, default=kinds[0], required=True, key=f"fit_type_{use}")
        choices = [tokens for tokens in CONTEXTS if longest is None or tokens <= longest] or [longest]
        tokens = st.select_slider(
            "Tokens of context",
            choices,
            value=min(choices[-1], 4096 if 4096 in choices else choices[-1]),
            key=f"fit_tokens_{choices[-1]}",
            format_func=lambda count: f"{count:,}",
        )
        batch = 1
        if use == "train":
            batch = st.select_slider("Sequences at once", (1, 2, 4, 8, 16, 32), key="fit_batch")
    bits = 8 * num_bytes / max(num_parameters, 1) if kind == STORED else TYPES[kind]
    if use == "train":
        needs = needs_to_train(num_parameters, bits, shape=shape, tokens=tokens, batch=batch)
    else:
        needs = needs_to_run(num_parameters, bits, shape=shape, cache=cache, tokens=tokens)
    with answer:
        doing = "Training" if use == "train" else "Running"
        st.markdown(f"{doing} {count_text(num_parameters)} parameters takes **{bytes_text(needs.total)}** of memory.")
        verdicts(needs, this_machine())
        fit_table(needs)
        st.caption(_how(use, shape))
        if location is None or is_hub_uri(location.uri):
            disk_verdict(num_bytes, this_machine())


def _how(use: str, shape: NetworkShape | None) -> str:
    """Where the numbers come from."""
    if use == "train":
        words = (
            "AdamW with mixed precision keeps 16 bytes a parameter: weights and gradients in 16 bits, two moments and "
            "a master copy in 32. Activations: 34 bytes a token, layer and hidden unit, nothing recomputed."
        )
    else:
        words = (
            "KV cache: layers × 2 × key-value heads × head width × tokens, in 16 bits. Activations: what one layer "
            "computes of a whole prompt at once."
        )
    if shape is None:
        words += " The network's shape is not known here, so activations are a share of the weights."
    return words

"""Any ONNX graph: what it takes, what it gives, and a run on made-up arrays."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import streamlit as st

from engine.errors import RunnerError
from engine.runners.contract import ARRAYS
from storage.records import Location
from ui.chat.keeping import keeping_toggle
from ui.chat.models import lender, loading_words
from ui.chat.outcome import Run, outcome, outcome_words

RANDOM, ZEROS = "random", "zeros"
MOST_ELEMENTS = 50_000_000
FREE_SIZE = 512
"""Many graphs of sound and text refuse less; chosen by us."""

_TYPES = {
    "float": np.float32,
    "double": np.float64,
    "float16": np.float16,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "int8": np.int8,
    "uint8": np.uint8,
    "bool": np.bool_,
}


def arrays_panel(location: Location) -> None:
    """The graph's inputs, to be filled, and its outputs."""
    st.caption("This graph takes and gives arrays; nothing says what they mean. It runs on what you fill in here.")
    signature = st.session_state.setdefault("signatures", {})
    if location.uri not in signature:
        with st.spinner(loading_words(location), show_time=True), lender(location, ARRAYS)() as runner:
            signature[location.uri] = (runner.inputs, runner.outputs)
    inputs, outputs = signature[location.uri]
    left, right = st.columns([1.3, 1], gap="large")
    with left, st.form("arrays", border=False):
        st.markdown("**It takes**")
        filled = st.data_editor(
            pd.DataFrame([_row(name, described) for name, described in inputs.items()]),
            hide_index=True,
            disabled=["input", "takes"],
            key=f"filled-{location.name}",
            column_config={
                "shape": st.column_config.TextColumn(help="Sizes with commas between; nothing for a single number."),
                "fill": st.column_config.TextColumn(help="random (normal, seed 0), zeros, or a number for all."),
            },
        )
        is_asked = st.form_submit_button("Run", type="primary", icon=":material/play_arrow:")
    with right:
        st.markdown("**It gives**")
        st.dataframe([{"output": name, "gives": each} for name, each in outputs.items()], hide_index=True)
        is_kept = keeping_toggle()
    rows = filled.to_dict("records")
    run = Run(
        location,
        ARRAYS,
        {"inputs": rows},
        lambda runner: runner.run({row["input"]: made_array(**row) for row in rows}),
        lambda given: {name: list(np.shape(each)) for name, each in given.items()},
    )
    result = outcome(run, is_asked=is_asked, is_kept=is_kept)
    if result is not None:
        st.dataframe([_described(name, np.asarray(each)) for name, each in result.value.items()], hide_index=True)
        outcome_words(result)


def _row(name: str, described: str) -> dict:
    """A line to fill in. The first free size is taken for the batch and is 1; the others are FREE_SIZE."""
    shape = re.match(r"\((.*)\)", described)
    sizes = [part.strip() for part in shape[1].split(",") if part.strip()] if shape else []
    free = [place for place, size in enumerate(sizes) if size == "?"]
    for place in free:
        sizes[place] = "1" if place == free[0] else str(FREE_SIZE)
    return {
        "input": name,
        "takes": described,
        "shape": ", ".join(sizes),
        "fill": RANDOM if described.endswith("float") else ZEROS,
    }


def made_array(input: str, takes: str, shape: str, fill: str) -> np.ndarray:
    """An array as the table's line says.

    Raises: RunnerError for a shape or filling that makes no sense, or a type that numpy lacks.
    """
    kind = _TYPES.get(takes.rpartition(" ")[2])
    sizes = [part for part in str(shape or "").replace("×", ",").split(",") if part.strip()]
    if kind is None:
        raise RunnerError(f"The input {input} takes {takes}, which cannot be made up here.", "Run it in a script.")
    if not all(size.strip().isdecimal() for size in sizes) or np.prod([float(s) for s in sizes]) > MOST_ELEMENTS:
        raise RunnerError(
            f"The shape of {input} is {shape!r}.", f"Write sizes like 1, 512; at most {MOST_ELEMENTS:,} in all."
        )
    whole = tuple(int(size) for size in sizes)
    if fill == RANDOM:
        return np.random.default_rng(0).normal(size=whole).astype(kind)
    try:
        return np.full(whole, 0 if fill == ZEROS else float(fill)).astype(kind)
    except (TypeError, ValueError) as error:
        raise RunnerError(f"The filling of {input} is {fill!r}.", "Write random, zeros, or a number.") from error


def _described(name: str, values: np.ndarray) -> dict:
    shape = " × ".join(map(str, values.shape)) or "one number"
    numbers = values.astype(np.float64).reshape(-1) if values.dtype.kind in "fiub" else np.empty(0)
    finite = numbers[np.isfinite(numbers)]
    first = ", ".join(f"{each:.6g}" for each in numbers[:6]) + (", …" if len(numbers) > 6 else "")
    least, mean, most = (finite.min(), finite.mean(), finite.max()) if len(finite) else (None, None, None)
    return {"output": name, "shape": shape, "least": least, "mean": mean, "most": most, "first numbers": first}

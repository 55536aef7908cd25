"""The weights themselves while they learn: pictures of one tensor step by step, and a statistic of every layer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from engine.naming import place, role_title
from figures.thumbnails import shared_limit, tensor_picture
from figures.training import layer_lines
from ui.export_panel import chart
from ui.page import escape_markdown, store
from ui.trainer.links import film_button
from ui.trainer.reading import checkpoints_of, stats_of, tensors_of, the_run
from workflows.training import TrainingRun

POLL_S = 4.0
MOST_PICTURES = 12
"""Pictures in the strip: evenly spaced steps, the first and the last among them."""

PICTURE_HEIGHT = 132
CHANGE = "change since the start"
MEASURES = {
    CHANGE: ("change_since_start", "‖W − W₀‖ / ‖W₀‖"),
    "norm": ("l2_norm", "√Σx²"),
    "standard deviation": ("std", "standard deviation"),
    "largest magnitude": ("abs_max", "max |x|"),
    "kurtosis": ("kurtosis", "excess kurtosis"),
    "change since the checkpoint before": ("change_since_previous", "‖W − W₋₁‖ / ‖W₋₁‖"),
}
"""What can be followed over the steps: the name in the URL -> its name in the database, and its axis."""


def weights_look(run: TrainingRun) -> None:
    """The strip and the lines, live while it works."""
    tensors = tensors_of(run)
    if not tensors:
        st.info(
            "The first picture of the weights comes with the first checkpoint."
            if run.is_active
            else "No checkpoint of this run was kept, so there is nothing to see here.",
            icon=":material/grid_on:",
        )
        if run.is_active:
            _wait(run.id)
        return
    tensor = _pick([name for name, shape in tensors if len(shape) > 1] or [name for name, _ in tensors])
    if run.is_active:
        _live_strip(run.id, tensor)
    else:
        _strip(run.id, tensor)
    film_button(run, tensor)
    measure, role, is_relative = _controls(run, tensors)
    if run.is_active:
        _live_lines(run.id, run.name, measure, role, is_relative)
    else:
        _lines(run.id, run.name, measure, role, is_relative)


@st.fragment(run_every=POLL_S)
def _wait(run_id: str) -> None:
    if tensors_of(the_run(run_id)):
        st.rerun()


def _pick(names: list[str]) -> str:
    if st.session_state.get("weights") not in names:
        queries = [name for name in names if place(name, (1, 1)).role == "query"]
        st.session_state["weights"] = (queries or names)[len(queries) // 2 if queries else 0]
    return st.selectbox("Tensor", names, key="weights", bind="query-params") or names[0]


@st.fragment(run_every=POLL_S)
def _live_strip(run_id: str, tensor: str) -> None:
    _strip(run_id, tensor)


def _strip(run_id: str, tensor: str) -> None:
    """The same tensor step by step, under one colour scale."""
    steps = [checkpoint.step for checkpoint in checkpoints_of(the_run(run_id))]
    shown, pictures = _pictures(str(store().path), run_id, tensor, tuple(steps))
    if not shown:
        st.caption("Of this tensor no pictures were kept.")
        return
    with st.container(horizontal=True, gap="small"):
        for step, picture in zip(shown, pictures, strict=True):
            with st.container(width=PICTURE_HEIGHT + 8, gap="xxsmall"):
                st.image(picture, width="stretch")
                st.caption("before training" if step == 0 else f"step {step:,}", text_alignment="center")
    st.caption(
        "One colour scale for all: a stronger colour is a larger weight. Each cell shows the weight of largest "
        "magnitude among those it stands for."
    )


@st.cache_data(max_entries=32, show_spinner=False)
def _pictures(path: str, run_id: str, tensor: str, steps: tuple[int, ...]) -> tuple[list[int], list[bytes]]:
    kept = store().checkpoint_thumbnails(run_id, tensor)
    if not kept:
        return [], []
    places = np.unique(np.linspace(0, len(kept) - 1, min(MOST_PICTURES, len(kept))).round().astype(int))
    chosen = [kept[place] for place in places]
    limit = shared_limit([values for _, values in chosen])
    return [step for step, _ in chosen], [
        tensor_picture(values, height=2 * PICTURE_HEIGHT, limit=limit) for _, values in chosen
    ]


def _controls(run: TrainingRun, tensors: list[tuple[str, tuple[int, ...]]]) -> tuple[str, str, bool]:
    st.markdown("**Every layer, step by step**")
    roles = list(dict.fromkeys(place(name, shape).role for name, shape in tensors))
    titles = {role_title(role): role for role in roles}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        measure = _bound("Follow", list(MEASURES), "follow")
        title = _bound("Role", list(titles), "follow_role")
        is_relative = st.toggle(
            "As a multiple of its first value",
            key="relative",
            bind="query-params",
            disabled=measure.startswith("change"),
            help="Layers of different size can then be told apart.",
        )
    return measure, titles[title], is_relative and not measure.startswith("change")


def _bound(label: str, options: list[str], key: str) -> str:
    if st.session_state.get(key, options[0]) not in options:
        st.session_state[key] = options[0]
    return st.selectbox(label, options, key=key, bind="query-params", width=280) or options[0]


@st.fragment(run_every=POLL_S)
def _live_lines(run_id: str, name: str, measure: str, role: str, is_relative: bool) -> None:
    _lines(run_id, name, measure, role, is_relative)


def _lines(run_id: str, name: str, measure: str, role: str, is_relative: bool) -> None:
    column, title = MEASURES[measure]
    table = stats_of(the_run(run_id), column)
    rows = table[table["role"] == role]
    if rows["value"].notna().sum() == 0:
        st.caption(f"Nothing is known of {escape_markdown(measure)} yet.")
        return
    mean = rows.groupby(["step", "layer"], dropna=False, as_index=False)["value"].mean()
    drawn = layer_lines(pd.DataFrame(mean), title, is_relative=is_relative)
    chart(drawn, f"{name} {measure} of {role}", key="layer-lines")

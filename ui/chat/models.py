"""Which model does what: the pickers of the Chat page, and models on loan from the cache of loaded ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import streamlit as st

from engine.runners import Facts, Runner, abilities_of, load, shared_models
from engine.runners.checkpoint import checkpoint_at
from engine.runners.contract import TEXT_GENERATION
from storage.records import Location
from ui.page import escape_markdown, store
from ui.selection import pick_model
from workflows.library import locations
from workflows.wording import bytes_text, duration_text


def pick_model_and_task() -> tuple[Location, str] | None:
    """The model picker and what that model can do (`?model=`, `?task=`); None, with the reason drawn, if nothing."""
    model_column, task_column = st.columns([1.2, 4], vertical_alignment="bottom")
    with model_column:
        location = pick_model()
    if location is None:
        return None
    able = abilities_of(location.uri)
    if not able.tasks:
        _cannot_run(location, able.obstacle, able.hint)
        return None
    if st.session_state.get("task") not in (None, *able.tasks):
        st.session_state["task"] = able.tasks[0]  # another model does other things
    with task_column:
        task = st.segmented_control(
            "Task",
            able.tasks,
            default=able.tasks[0],
            required=True,
            key="task",
            bind="query-params",
        )
    return location, task or able.tasks[0]


def pick_other(location: Location) -> Location | None:
    """Another model that gets the same prompts (`?other=`), or None; why it cannot is drawn."""
    others = {known.name: known for known in locations(store()) if known.name != location.name}
    if st.session_state.get("other") not in (None, *others):
        st.session_state["other"] = None
    name = st.selectbox(
        "Compare with",
        list(others),
        index=None,
        key="other",
        bind="query-params",
        placeholder="one model only",
        help="A second model answers the same prompts beside the first.",
    )
    if name is None:
        return None
    able = abilities_of(others[name].uri)
    if TEXT_GENERATION in able.tasks:
        return others[name]
    _cannot_run(others[name], able.obstacle or f"{name} generates no text.", able.hint)
    return None


def lender(location: Location, task: str) -> Callable[[], AbstractContextManager[Runner]]:
    """A function that loads the model, or takes the loaded one, for as long as its block runs; for any thread."""
    checkpoint = checkpoint_at(location.uri)
    stamp = "-".join(f"{path.stat().st_size}.{path.stat().st_mtime_ns}" for path in checkpoint.weight_files)
    key = (location.uri, task, "auto", "auto", stamp)
    return lambda: shared_models().lease(key, lambda: load(location.uri, task), checkpoint.num_bytes)


def loading_words(location: Location) -> str:
    """What is being loaded, for as long as that takes."""
    return f"Loading {escape_markdown(location.name)} ({bytes_text(location.num_bytes)}) …"


def facts_words(facts: Facts) -> str:
    """One line on a loaded model: what runs it, where, in which type, how much memory it takes."""
    words = [facts.backend, facts.device, facts.dtype, f"{bytes_text(facts.num_bytes)} in memory"]
    words.append(f"loaded in {duration_text(facts.load_s)}")
    if facts.context:
        words.append(f"sees {facts.context:,} tokens")
    return " · ".join(map(escape_markdown, words))


def seconds_text(seconds: float) -> str:
    """A duration of which milliseconds matter below a second: 0.0314 -> "31 ms"."""
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else duration_text(seconds)


def _cannot_run(location: Location, obstacle: str, hint: str) -> None:
    """Why a model does not run, what to do, and where its weights can be seen all the same."""
    with st.container(border=True):
        st.markdown(
            f":material/block: **{escape_markdown(location.name)} cannot run here.** {escape_markdown(obstacle)}"
        )
        if hint:
            st.caption(f":material/lightbulb: {escape_markdown(hint)}")
        with st.container(horizontal=True):
            st.page_link("pages/3_Heatmap.py", label="Look at its weights", icon=":material/grid_on:")
            st.page_link("pages/1_Zoo.py", label="Other models", icon=":material/inventory_2:")

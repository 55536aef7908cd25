"""One run of a task that is no conversation: load, compute, remember for the session, keep if wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from engine.runners import Facts, Runner
from storage.records import Location
from ui.chat.keeping import keep_run
from ui.chat.models import facts_words, lender, loading_words, seconds_text
from ui.page import escape_markdown


@dataclass(frozen=True)
class Outcome:
    """What came of a run. Attributes: inputs: what went in. value: what came out. facts: of the model. elapsed_s."""

    inputs: dict
    value: Any
    facts: Facts
    elapsed_s: float


@dataclass(frozen=True)
class Run:
    """What to compute.

    Attributes:
        task: one of TASKS. inputs: what the person gave, as JSON can hold it. compute: runner -> value.
        summary: value -> what the database keeps of it.
    """

    location: Location
    task: str
    inputs: dict
    compute: Callable[[Runner], Any]
    summary: Callable[[Any], dict]


def outcome(run: Run, *, is_asked: bool, is_kept: bool) -> Outcome | None:
    """What the run gives, computed now if it was asked for, else what it gave last; None before the first time.

    Raises: RunnerError if the model cannot be loaded or run; StorageError if it cannot be kept.
    """
    known: dict[tuple[str, str], Outcome] = st.session_state.setdefault("outcomes", {})
    key = (run.location.name, run.task)
    if is_asked:
        known.pop(key, None)
        with st.spinner(loading_words(run.location), show_time=True), lender(run.location, run.task)() as runner:
            started = time.perf_counter()
            value = run.compute(runner)
            known[key] = Outcome(run.inputs, value, runner.facts, time.perf_counter() - started)
        if is_kept:
            keep_run(run.task, run.location.name, run.location.uri, run.inputs, run.summary(value))
    return known.get(key)


def outcome_words(result: Outcome) -> None:
    """A line under a result: how long it took, and on what."""
    st.caption(f"computed in **{seconds_text(result.elapsed_s)}** · {facts_words(result.facts)}")
    for note in result.facts.notes:
        st.caption(f":material/info: {escape_markdown(note)}")


def before_the_first(words: str) -> None:
    """What to do, where no result is yet."""
    st.info(words, icon=":material/play_arrow:")

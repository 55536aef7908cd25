"""What a model would cost, before anything is made: most of it at once, its time after two seconds of trying."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import streamlit as st

from engine.errors import WeightscopeError
from engine.machine import Machine
from engine.training.advice import Advice, advise
from engine.training.footprint import num_parameters
from storage.store import Store
from ui.machine_panel import this_machine
from ui.page import escape_markdown, show_error, store
from workflows.training_estimate import (
    Estimate,
    bytes_a_token,
    corpora_bytes,
    disk_bytes,
    estimate,
    free_memory,
    memory_bytes,
    shape_of,
)
from workflows.training_request import TrainingRequest
from workflows.wording import bytes_text, count_text, duration_text

POLL_S = 1.0
"""A probe begins once a form has been left alone for so long, in seconds, and is looked for as often."""

USUAL_TOKENS_A_PARAMETER = 20
"""What a training reads that gets the most out of its computation (Hoffmann et al. 2022)."""

MOST_PASSES = 30
"""Text read more often is learnt by heart; chosen by us."""

TIGHT_SHARE = 0.9
_SEEN = "cost_seen"


def advice_line(preset: str) -> None:
    """Whether this machine suits the preset, in plain words."""
    advice = _advice()
    fit = advice.fits[preset]
    sign = ":green[:material/check_circle:]" if fit.suits else ":orange[:material/warning:]"
    best = " **Best for this machine.**" if preset == advice.preset else ""
    st.caption(f"{sign} {escape_markdown(fit.reason)}{best}")


@st.cache_data(ttl=30, max_entries=1, show_spinner=False)
def _advice() -> Advice:
    return advise(this_machine())


def cost_panel(request: TrainingRequest) -> None:
    """Parameters, memory, disk, text and time. Raises: WeightscopeError if the model to go on from is none."""
    shape, here = shape_of(store(), request), this_machine()
    text_bytes = corpora_bytes(store(), request)
    text_tokens = None if text_bytes is None else int(text_bytes / bytes_a_token(shape.vocabulary_size))
    memory, disk = memory_bytes(shape, request), disk_bytes(shape, request, text_tokens or 0)
    shown = (
        ("parameters", count_text(num_parameters(shape)), None),
        ("memory", bytes_text(memory), "At its peak, the program included."),
        ("disk", bytes_text(disk), "With all checkpoints that are kept at once."),
    )
    for column, (label, value, words) in zip(st.columns(3, gap="xsmall"), shown, strict=True):
        with column:
            st.metric(label, value, help=words)
    _room(memory, free_memory(store(), request), disk, here)
    if request.training is not None:
        tokens = request.training.steps * request.training.batch_size * shape.context
        _reading(tokens, num_parameters(shape), text_tokens, request.held_out_share)
    _time(request)


def _room(memory: int, free: int, disk: int, here: Machine) -> None:
    """A word only where it is tight."""
    for needed, there, what in ((memory, free, "memory"), (disk, here.disk_free_bytes, "the disk")):
        if needed > TIGHT_SHARE * there:
            st.caption(f":red[:material/warning: Only {bytes_text(there)} of {what} are free.]")


def _reading(tokens: int, parameters: int, text_tokens: int | None, held_out_share: float) -> None:
    """How much text that is: for the size of the model, and for the text there is."""
    per_parameter = tokens / parameters
    words = f"It reads **{count_text(tokens)} tokens**: {per_parameter:,.2g} for each parameter"
    st.caption(f"{words} (about {USUAL_TOKENS_A_PARAMETER} make the most of its size).")
    if not text_tokens:
        return
    passes = tokens / max(text_tokens * (1 - 2 * held_out_share), 1)
    if passes <= 1:
        st.caption(f"That is {passes:.0%} of the text, read once.")
    elif passes <= MOST_PASSES:
        st.caption(f"That is the whole text about {passes:,.1f} times.")
    else:
        st.caption(
            f":orange[:material/info:] That is the whole text about {passes:,.0f} times: a small text is then learnt "
            "by heart. Take fewer steps, or more text."
        )


@st.fragment(run_every=POLL_S)
def _time(request: TrainingRequest) -> None:
    """How long it takes, tried out once the form has been left alone for a moment."""
    key = _key(request)
    tried = _probes(str(store().path)).look(key)
    if tried is None and st.session_state.get(_SEEN) == key:
        _probes(str(store().path)).begin(key, request, store())
    st.session_state[_SEEN] = key
    if tried is None or not tried.done():
        st.markdown(":shimmer[Trying how fast it learns here …]")
        return
    error = tried.exception()
    if error is None:
        _told(tried.result())
    elif isinstance(error, WeightscopeError):
        show_error(error)
    else:
        raise error


def _told(found: Estimate) -> None:
    st.markdown(f":material/timer: about **{duration_text(found.elapsed_s)}**")
    words = [f"{count_text(found.tokens_per_s)} tokens/s"] if found.tokens else []
    words += [f"{duration_text(found.iteration_s)} an iteration of self-play"] if found.iteration_s else []
    where = f"in {found.precision} on {found.device}" if found.precision else f"on {found.device}"
    st.caption(escape_markdown(f"{', '.join(words)}, {where}, as just tried. Other work on this machine slows it."))


def _key(request: TrainingRequest) -> str:
    """What the time depends on."""
    return json.dumps(replace(request, name="x", notes="", waits=True).to_json(), sort_keys=True)


class Probes:
    """Estimates in the making and made, one at a time in a thread of its own; the latest `most` are remembered."""

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._known: dict[str, Future[Estimate]] = {}
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="weightscope-probe")

    def look(self, key: str) -> Future[Estimate] | None:
        """The estimate of that key, done or not; None if nobody asked for it."""
        return self._known.get(key)

    def begin(self, key: str, request: TrainingRequest, known: Store) -> None:
        """Ask for an estimate, unless somebody did."""
        with self._lock:
            if key in self._known:
                return
            waiting = [
                name for name, each in self._known.items() if each.cancel()
            ]  # of settings that nobody has any more
            for old in [*waiting, *list(self._known)[: -self._most]]:
                self._known.pop(old, None)
            self._known[key] = self._worker.submit(estimate, known, request)


@st.cache_resource(max_entries=4, show_spinner=False)
def _probes(path: str) -> Probes:
    return Probes()

"""This machine: what is free, live; what the models take on its disk; whether a model fits."""

from __future__ import annotations

from collections import deque

import pandas as pd
import streamlit as st

from engine.fit import Needs, Verdict, verdict
from engine.machine import Machine, machine
from figures.recent_use import recent_use
from ui.model_actions import delete_button
from ui.page import escape_markdown, store, user_errors
from workflows.disk import disk_uses
from workflows.wording import bytes_text

LIVE_EVERY_S = 2.0
REMEMBERED = 60
"""Points of the small curves: two minutes."""

_LEVELS = {
    "fits": ("green", ":material/check_circle:"),
    "tight": ("orange", ":material/error:"),
    "does not fit": ("red", ":material/cancel:"),
}


@st.cache_data(ttl=2, max_entries=2, show_spinner=False)
def _machine_of(folder: str) -> Machine:
    return machine(store().folder)


def this_machine() -> Machine:
    """The machine as it stood at most two seconds ago."""
    return _machine_of(str(store().folder))


def machine_shelf() -> None:
    """The live panel, and the disk use of every model."""
    live_panel()
    with user_errors():
        _disk_use()


@st.fragment(run_every=LIVE_EVERY_S)
def live_panel() -> None:
    """Processors, memory, disk and graphics memory, with their last two minutes."""
    now = this_machine()
    ram_used = now.ram_bytes - now.ram_free_bytes
    disk_used = now.disk_bytes - now.disk_free_bytes
    with st.grid(3 + len(now.accelerators), min_column_width=220):
        _gauge("Processors", f"{now.cpu_percent:.0f} %", f"{now.num_cpus} to use", now.cpu_percent)
        _gauge(
            "Memory",
            bytes_text(ram_used),
            f"{bytes_text(now.ram_free_bytes)} of {bytes_text(now.ram_bytes)} free",
            100 * ram_used / now.ram_bytes,
        )
        _gauge(
            "Disk",
            bytes_text(disk_used),
            f"{bytes_text(now.disk_free_bytes)} of {bytes_text(now.disk_bytes)} free",
            100 * disk_used / now.disk_bytes,
        )
        for number, card in enumerate(now.accelerators):
            used = card.total_bytes - card.free_bytes
            words = f"{bytes_text(card.free_bytes)} of {bytes_text(card.total_bytes)} free"
            if card.busy_percent is not None:
                words = f"{card.busy_percent:.0f} % busy · {words}"
            _gauge(f"GPU {number} · {card.name}", bytes_text(used), words, 100 * used / max(card.total_bytes, 1))
    if not now.accelerators:
        st.caption("No GPU was found. What the Zoo says of fitting is about this machine's memory.")


def _gauge(label: str, value: str, words: str, percent: float) -> None:
    """One number with its last two minutes, from 0 to 100 %; the points are kept in the session."""
    history = st.session_state.setdefault("machine_history", {})
    points = history.setdefault(label, deque(maxlen=REMEMBERED))
    points.append(min(max(percent, 0.0), 100.0))
    with st.container(border=True, gap="xsmall"):
        st.metric(label, value)
        st.caption(words)
        st.altair_chart(recent_use(list(points), REMEMBERED), width="stretch")


def _disk_use() -> None:
    st.subheader("What the models take", anchor=False)
    uses = disk_uses(store())
    if not uses:
        st.caption("No model is here yet.")
        return
    total = sum(use.num_bytes for use in uses)
    st.caption(f"{bytes_text(total)} in {len(uses)} models. Nothing outside uploads and the hub cache is ever deleted.")
    most = max(use.num_bytes for use in uses) or 1
    for use in uses:
        name, bar, button = st.columns([1.4, 2.4, 0.8], vertical_alignment="center")
        with name:
            st.markdown(f"**{escape_markdown(use.location.name)}**")
        with bar:
            st.progress(use.num_bytes / most, text=f"{bytes_text(use.num_bytes)} · {use.place}")
        with button:
            delete_button(use.location, key="machine", width="stretch")


def fit_table(needs: Needs) -> None:
    """The parts of a need and their sum."""
    rows = [*needs.parts(), ("Together", needs.total)]
    table = pd.DataFrame({"part": [name for name, _ in rows], "memory": [bytes_text(size) for _, size in rows]})
    st.dataframe(table, hide_index=True, width="stretch")


def verdicts(needs: Needs, now: Machine) -> None:
    """One line for the machine's memory and one for each GPU's."""
    rooms = [("This machine's memory", now.ram_free_bytes, now.ram_bytes, "memory")]
    rooms += [(card.name, card.free_bytes, card.total_bytes, "GPU memory") for card in now.accelerators]
    for title, *room in rooms:
        _say(title, verdict(needs.total, *room))


def disk_verdict(num_bytes: int, now: Machine) -> None:
    """One line for the disk, of a model that is not on it yet."""
    _say("This machine's disk", verdict(num_bytes, now.disk_free_bytes, now.disk_bytes, "disk"))


def _say(title: str, found: Verdict) -> None:
    colour, icon = _LEVELS[found.level]
    st.markdown(f":{colour}-badge[{icon} {found.level}] **{escape_markdown(title)}** · {found.reason}")

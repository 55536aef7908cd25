"""The catalogue in the Zoo: filters that combine and live in the URL, and one card a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from ui.catalogue_card import catalogue_card
from ui.hub_token import token_box
from ui.job_panel import jobs
from ui.machine_panel import this_machine
from ui.model_actions import add_from_hub, download, running_uris
from ui.page import store, tried, user_errors
from workflows import library
from workflows.catalogue import Filters, catalogue, select, standings
from workflows.catalogue.entry import MODALITIES, SPECIALITIES, TASKS, TIERS
from workflows.catalogue.filters import ORDERS, ROOMS
from workflows.catalogue.standing import STATES
from workflows.deployment import is_public

CARD_WIDTH = 300
"""Pixels below which a row of cards loses one; ours: three cards on a laptop beside the sidebar."""

FILTER_KEYS = ("search", "tasks", "modalities", "specialities", "tiers", "rooms", "states")


def catalogue_shelf() -> None:
    """Filters, then the cards that pass them."""
    entries = catalogue()
    known = standings([entry.hub_id for entry in entries], library.locations(store()), jobs().all(), running_uris())
    machine = this_machine()
    filters = _filters()
    found = select(entries, filters, known, machine)
    _headline(len(found), len(entries))
    if not found:
        _nothing_found()
        return
    with st.grid("auto", min_column_width=CARD_WIDTH, gap="small"):
        for entry in found:
            with st.container(border=True, height="stretch", gap="xsmall"), user_errors():
                catalogue_card(entry, known[entry.hub_id], machine)


def _filters() -> Filters:
    """The filters, each bound to a query parameter of its key; senseless values in a URL are no filter."""
    with st.container(border=True, gap="small"):
        search, task, order = st.columns([2.2, 2, 1], vertical_alignment="bottom")
        with search:
            words = st.text_input(
                "Search", key="search", bind="query-params", type="search", placeholder="name, family, task, purpose"
            )
        with task:
            tasks = st.multiselect(
                "Task",
                TASKS,
                key="tasks",
                bind="query-params",
                placeholder="any task",
            )
        with order:
            sort = st.selectbox("Sort by", ORDERS, key="sort_by", bind="query-params")
        with st.container(horizontal=True, gap="medium"):
            modalities = _pills("Modality", MODALITIES, "modalities")
            specialities = _pills("Speciality", SPECIALITIES, "specialities")
            rooms = _pills("Runs on", ROOMS, "rooms", help="CPU: pleasant without a GPU, up to 4 billion parameters")
            tiers = _pills("Tier", [str(tier) for tier in TIERS], "tiers", help="1 must-have … 3 for the advanced")
            states = _pills("Status", STATES, "states")
    return Filters(
        search=words or "",
        modalities=modalities,
        tasks=tuple(name for name in tasks if name in TASKS),
        specialities=specialities,
        tiers=tuple(int(tier) for tier in tiers),
        states=states,
        rooms=rooms,
        order=sort or ORDERS[0],
    )


def _pills(label: str, options: Sequence[str], key: str, **more) -> tuple[str, ...]:
    """Several of the options; what else a URL says is passed over."""
    chosen = st.pills(label, options, selection_mode="multi", key=key, bind="query-params", **more)
    return tuple(name for name in chosen or () if name in options)


def _headline(num_found: int, num_all: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        words = f"{num_all} models" if num_found == num_all else f"**{num_found}** of {num_all} models"
        st.caption(f"{words}. Sizes are of the weights as they lie on the hub.")
        if num_found < num_all:
            st.button(
                "Clear filters", key="clear_filters", icon=":material/filter_alt_off:", type="tertiary", on_click=_clear
            )


def _nothing_found() -> None:
    st.info(
        "No model of the catalogue passes all these filters. Take one away, or get any other model by its name below.",
        icon=":material/search_off:",
    )


def _clear() -> None:
    for key in FILTER_KEYS:
        st.session_state[key] = "" if key == "search" else []


def any_hub_model() -> None:
    """Any other model of the hub, by its name, with a token where it needs one."""
    if is_public():
        return
    with st.expander(
        "Any other model of the hub, by its name", icon=":material/cloud:", key="hub", bind="query-params"
    ):
        name_column, token_column = st.columns([1.4, 1], vertical_alignment="top")
        with name_column, st.form("any-hub-model", border=False):
            st.text_input(
                "Name on the hub",
                key="hub_name",
                placeholder="owner/name or owner/name@revision",
                help="A branch, tag or commit may follow after @.",
            )
            with st.container(horizontal=True):
                for label, icon, action in (
                    ("Inspect", ":material/travel_explore:", add_from_hub),
                    ("Download", ":material/download:", download),
                ):
                    key = f"{label.lower()}-any"
                    st.form_submit_button(label, key=key, icon=icon, on_click=_with_name, args=(action,))
        with token_column:
            token_box()
        st.caption(
            "**Inspect** reads headers and single tensors over the network and stores nothing. **Download** fetches "
            "one weight format, tokenizer and config into the standard cache, and can be stopped and resumed."
        )


def _with_name(action: Callable[[str], None]) -> None:
    """Do it with the name as it was just submitted."""
    name = st.session_state["hub_name"].strip()
    if name:
        tried(action, name)

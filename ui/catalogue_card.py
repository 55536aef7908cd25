"""One model of the catalogue as a card: what it is, what it takes, where it stands, what can be done."""

from __future__ import annotations

import streamlit as st

from engine.fit import needs_to_run, verdict
from engine.machine import Machine
from ui.job_panel import job_panel
from ui.model_actions import (
    download_button,
    inspect_button,
    measure_button,
    open_card,
    run_button,
    see_button,
)
from ui.page import escape_markdown
from workflows.catalogue import CatalogueEntry, Standing
from workflows.catalogue.standing import is_remote
from workflows.wording import bytes_text, count_text

TASK_TITLES = {
    "text-generation": "text generation",
    "embeddings": "embeddings",
    "classification": "classification",
    "fill-mask": "masked words",
    "question-answering": "question answering",
    "speech-to-text": "speech to text",
    "image-classification": "image classification",
}
MODALITY_ICONS = {
    "text": ":material/notes:",
    "vision": ":material/image:",
    "audio": ":material/mic:",
    "multimodal": ":material/perm_media:",
}
SPECIALITY_BADGES = {
    "math": ("orange", ":material/function:"),
    "biology": ("green", ":material/genetics:"),
    "coding": ("violet", ":material/code:"),
    "vision": ("blue", ":material/visibility:"),
}
STATE_BADGES = {
    "not here": ("not here", "gray", ":material/cloud:"),
    "remote-measured": ("measured on the hub", "green", ":material/cloud_done:"),
    "downloading": ("downloading", "blue", ":material/downloading:"),
    "here": ("here", "blue", ":material/hard_drive:"),
    "measured": ("measured", "green", ":material/straighten:"),
    "running": ("running", "violet", ":material/play_circle:"),
}
FIT_BADGES = {
    "fits": ("green", ":material/check_circle:"),
    "tight": ("orange", ":material/error:"),
    "does not fit": ("red", ":material/cancel:"),
}
USUAL_TOKENS = 4096
"""Of context, for the memory that a card names."""


def catalogue_card(entry: CatalogueEntry, standing: Standing, machine: Machine) -> None:
    """The card, into the container around it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            f"**{escape_markdown(entry.name)}**",
            key=f"open-{entry.id}",
            icon=MODALITY_ICONS[entry.modality],
            type="tertiary",
            help=escape_markdown(entry.hub_id),
            on_click=open_card,
            args=(entry.id,),
        )
        st.space("stretch")
        state_badge(standing.state)
    st.markdown(f":small[{escape_markdown(entry.description)}]")
    badges(entry)
    st.space("stretch")
    facts(entry)
    st.markdown(memory_badge(entry, machine), help=memory_help(entry, machine))
    if standing.job is not None:
        job_panel(standing.job, key=f"card-{entry.id}")
    with st.container(horizontal=True, gap="small"):
        card_actions(entry, standing)


def state_badge(state: str) -> None:
    """Where the model stands."""
    text, colour, icon = STATE_BADGES[state]
    st.badge(text, color=colour, icon=icon)


def badges(entry: CatalogueEntry) -> None:
    """Speciality, tasks, where it runs, tier, licence, in one line that wraps."""
    colour, icon = SPECIALITY_BADGES.get(entry.speciality, ("gray", ""))
    words = [] if entry.speciality == "general" else [f":{colour}-badge[{icon} {entry.speciality}]"]
    words += [f":blue-badge[{TASK_TITLES[task]}]" for task in entry.tasks]
    words.append(":green-badge[:material/memory: CPU]" if entry.runs_on_cpu else ":orange-badge[:material/bolt: GPU]")
    words.append(f":gray-badge[tier {entry.tier}]")
    words.append(f":gray-badge[{escape_markdown(entry.licence)}]")
    if entry.is_gated:
        words.append(":orange-badge[:material/lock: gated]")
    if entry.needs_code:
        words.append(":orange-badge[:material/visibility: to inspect, not to run]")
    st.markdown(" ".join(words))


def facts(entry: CatalogueEntry) -> None:
    """Size in one line."""
    words = [f"**{count_text(entry.num_parameters)}** parameters", f"≈ {bytes_text(entry.num_bytes)}"]
    if entry.context:
        words.append(f"{entry.context:,} tokens")
    st.caption(" · ".join([*words, escape_markdown(entry.architecture), escape_markdown(entry.family)]))


def memory_badge(entry: CatalogueEntry, machine: Machine) -> str:
    """The memory to run it, coloured by whether that is here."""
    level, _ = _best_room(entry, machine)
    colour, icon = FIT_BADGES[level]
    words = {"fits": "fits", "tight": "tight", "does not fit": "too large for here"}[level]
    return f":{colour}-badge[{icon} {bytes_text(_need(entry))} to run: {words}]"


def memory_help(entry: CatalogueEntry, machine: Machine) -> str:
    """Why."""
    tokens = f" and {min(entry.context, USUAL_TOKENS):,} tokens of context" if entry.cache and entry.context else ""
    return f"Weights in {entry.bits} bits{tokens}. {_best_room(entry, machine)[1]}"


def card_actions(entry: CatalogueEntry, standing: Standing) -> None:
    """What can be done with it now."""
    location = standing.location
    if location is not None:
        see_button(location, key=f"catalogue-{entry.id}")
        if not entry.needs_code:
            run_button(location, key=f"catalogue-{entry.id}")
        if location.content_hash is None:
            measure_button(location, key=f"catalogue-{entry.id}")
    is_busy = standing.job is not None and standing.job.is_active
    if location is None or is_remote(location):
        if location is None:
            inspect_button(entry.hub_id, key=entry.id, is_disabled=is_busy)
        if standing.job is None:
            download_button(entry.hub_id, key=entry.id)


def _need(entry: CatalogueEntry) -> int:
    tokens = min(entry.context or USUAL_TOKENS, USUAL_TOKENS)
    return needs_to_run(entry.num_parameters, entry.bits, cache=entry.cache, tokens=tokens).total


def _best_room(entry: CatalogueEntry, machine: Machine) -> tuple[str, str]:
    """Level and reason in the roomiest memory: the machine's, or one of its GPUs'."""
    rooms = [(machine.ram_free_bytes, machine.ram_bytes, "memory")]
    rooms += [(card.free_bytes, card.total_bytes, "GPU memory") for card in machine.accelerators if card.kind != "mps"]
    verdicts = [verdict(_need(entry), *room) for room in rooms]
    best = min(verdicts, key=lambda found: list(FIT_BADGES).index(found.level))
    return best.level, best.reason

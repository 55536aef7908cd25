"""The text that a model learns from: chosen, uploaded, fetched from the hub; with weights and what is known of it."""

from __future__ import annotations

import sys
from dataclasses import replace

import streamlit as st

from engine.errors import TrainingError
from engine.training.corpora.bundled import bundled
from engine.training.corpora.extraction import FORMATS, MAX_FILE_BYTES
from engine.training.corpora.hold_out import held_out_split
from engine.training.corpora.near_duplicates import near_duplicates
from engine.training.corpus import num_bytes
from engine.training.settings import CorpusChoice
from ui.page import escape_markdown, show_error, user_errors
from ui.trainer.text_words import HUB, choice_of, hub_label, known_texts, library
from workflows.corpora import gather
from workflows.wording import bytes_text

MOST_CHECKED_BYTES = 16_000_000
"""Longer texts are looked through when the training begins, not while a person waits; chosen by us: some seconds."""

USUAL_HUB_DOCUMENTS = 2000
_KEY, _ERRORS, _UPLOADS = "text", "text_errors", "text_uploads"


def text_controls(held_out_share: float, seed: int) -> tuple[CorpusChoice, ...]:
    """The list, the ways to add to it, a weight for each, and what holding out finds; returns what was chosen."""
    known = known_texts()
    chosen = _chosen(known)
    with st.expander("Add a text", icon=":material/add:", key="add_text"):
        _add()
    for error in st.session_state.pop(_ERRORS, []):
        show_error(error)
    choices: list[CorpusChoice] = []
    size = 0
    for place, label in enumerate(chosen):
        with user_errors():
            choice, known_bytes = _row(place, label, known, is_alone=len(chosen) == 1)
            choices.append(choice)
            size += known_bytes
    is_whole = not any(choice.source.startswith(HUB) for choice in choices)
    if choices and is_whole and len(choices) == len(chosen):
        alike = tuple(replace(choice, weight=1.0) for choice in choices)
        _found(alike, tuple(chosen), size, held_out_share, seed)
    elif choices and not is_whole:
        st.caption(":material/cloud: Text of the hub is fetched, and looked through, when the training begins.")
    return tuple(choices)


def _chosen(known: dict[str, str]) -> list[str]:
    kept = st.session_state.get(_KEY)
    options = list(dict.fromkeys([*known, *(kept or [])]))
    chosen = st.multiselect(
        "Text to learn from",
        options,
        default=[next(iter(known))],
        key=_KEY,
        bind="query-params",
        accept_new_options=True,
        placeholder="Choose at least one, or add your own below",
        help="Several are mixed by their weights. A data set of the hub can be typed: hub:owner/name.",
    )
    if not chosen:
        st.warning(
            "Without a text there is nothing to learn from: choose one, or add your own.", icon=":material/book:"
        )
    return chosen


def _add() -> None:
    by_upload, by_hub = st.tabs([":material/upload: Upload", ":material/cloud: Data set of the hub"])
    with by_upload:
        key = f"text_upload_{st.session_state.get(_UPLOADS, 0)}"
        st.file_uploader(
            f"Books and other texts, up to {bytes_text(MAX_FILE_BYTES)} each",
            type=[suffix.removeprefix(".") for suffix in FORMATS],
            accept_multiple_files=True,
            max_upload_size=MAX_FILE_BYTES // 1000**2,
            key=key,
            on_change=_take_uploads,
            args=(key,),
            help="Its text is taken out at once and kept in the data folder; the file itself is not. Any encoding.",
        )
    with by_hub, st.form("hub-set", border=False, clear_on_submit=True):
        st.text_input("Name", key="hub_name", placeholder="owner/name")
        split_column, column_column, documents_column = st.columns(3)
        with split_column:
            st.text_input("Split", key="hub_split", placeholder="train")
        with column_column:
            st.text_input("Column with the text", key="hub_column", placeholder="the likeliest")
        with documents_column:
            st.number_input(
                "Documents at most", 0, 10**9, USUAL_HUB_DOCUMENTS, 500, key="hub_documents", help="0 for all."
            )
        st.form_submit_button("Add it", icon=":material/add:", on_click=_take_hub)


def _take_uploads(key: str) -> None:
    """A callback: take the text out of every file; what fails is told, and never learnt from."""
    labels, errors = [], []
    for file in st.session_state.get(key) or []:
        try:
            kept = library().add(file.name, file)
            labels.append(next(label for label, source in known_texts().items() if source == f"library:{kept.id}"))
        except TrainingError as error:
            errors.append(error)
    st.session_state[_ERRORS] = errors
    st.session_state[_UPLOADS] = st.session_state.get(_UPLOADS, 0) + 1
    _choose(labels)


def _take_hub() -> None:
    name = st.session_state.get("hub_name", "").strip().removeprefix(HUB)
    if not name:
        st.session_state[_ERRORS] = [TrainingError("The data set has no name.", "Write owner/name, as on the hub.")]
        return
    label = hub_label(
        name, st.session_state["hub_split"], st.session_state["hub_column"], int(st.session_state["hub_documents"])
    )
    _choose([label])


def _choose(labels: list[str]) -> None:
    """Uploads take the place of the text that was only there by default."""
    if not labels:
        return
    current = list(st.session_state.get(_KEY) or [])
    is_untouched = current == [next(iter(known_texts()))]
    st.session_state[_KEY] = list(dict.fromkeys([*([] if is_untouched else current), *labels]))


def _row(place: int, label: str, known: dict[str, str], *, is_alone: bool) -> tuple[CorpusChoice, int]:
    """One chosen text: its name, what is known of it, its weight."""
    words, size = _words(label, known)
    weight = 1.0
    name_column, weight_column = (st.container(), None) if is_alone else st.columns([4, 1], vertical_alignment="center")
    with name_column, st.container(gap="xxsmall"):
        st.markdown(f":material/description: **{escape_markdown(label)}**")
        st.caption(escape_markdown(words))
    if weight_column is not None:
        with weight_column:
            weight = st.number_input(
                "Weight",
                0.01,
                1000.0,
                1.0,
                0.5,
                key=f"weight_{place + 1}",
                bind="query-params",
                help="How often a token of it is drawn, relative to one of a text of weight 1.",
            )
    return choice_of(label, float(weight), known), size


def _words(label: str, known: dict[str, str]) -> tuple[str, int]:
    """What is known of a text in one line, and its bytes."""
    kind, _, name = known.get(label, "").partition(":")
    if kind == "bundled":
        size = _bundled_bytes(name, sys.version)
        return f"{bytes_text(size)} · {bundled()[name].description}", size
    if kind == "library":
        kept = library().entry(name)
        encoding = f" in {kept.encoding}" if kept.encoding else ""
        documents = f"{kept.num_documents:,} documents" if kept.num_documents > 1 else "one document"
        notes = " ".join(kept.notes)
        return f"{bytes_text(kept.num_bytes)} · {kept.format}{encoding} · {documents}" + (
            f" · {notes}" if notes else ""
        ), kept.num_bytes
    choice = choice_of(label, 1.0, known)
    limit = f"at most {choice.documents:,} documents" if choice.documents else "all documents"
    return f"hub · split {choice.split or 'train'} · column {choice.column or 'the likeliest'} · {limit}", 0


@st.cache_data(max_entries=8, show_spinner="Reading the bundled texts …")
def _bundled_bytes(name: str, python: str) -> int:
    return num_bytes(bundled()[name].documents())


def _found(choices: tuple[CorpusChoice, ...], names: tuple[str, ...], size: int, share: float, seed: int) -> None:
    """What is set aside, and what a person should know of it."""
    if size > MOST_CHECKED_BYTES:
        st.caption(f":material/info: {bytes_text(size)} of text are looked through when the training begins.")
        return
    with user_errors():
        learnt, held_out, dropped, notes = _split(choices, names, share, seed)
        words = [f"**{bytes_text(learnt)}** to learn from", f"**{bytes_text(held_out)}** set aside to judge it"]
        if dropped:
            words.append(f"{bytes_text(dropped)} left out as copies")
        st.caption(" · ".join(words))
        for note in notes:
            st.caption(f":orange[:material/info:] {escape_markdown(note)}")


@st.cache_data(max_entries=16, show_spinner="Looking for copies, setting text aside …")
def _split(
    choices: tuple[CorpusChoice, ...], names: tuple[str, ...], share: float, seed: int
) -> tuple[int, int, int, tuple[str, ...]]:
    """(bytes to learn from, bytes held out, bytes left out, notes); weights do not matter here."""
    corpora = [replace(corpus, name=name) for corpus, name in zip(gather(choices, library()), names, strict=True)]
    parts = held_out_split(corpora, share, seed)
    learnt = sum(num_bytes(corpus.documents) for corpus in parts.training)
    held_out = num_bytes(parts.validation) + num_bytes(parts.test)
    notes = [*map(str, near_duplicates(corpora)), *parts.notes]
    return learnt, held_out, parts.dropped_bytes, tuple(dict.fromkeys(notes))

"""One model in full, opened by `?card=` in the Zoo: card, config, tensors, tokenizer, files, and whether it fits.

What is shown comes from files by anyone: text is escaped or cleaned, nothing is fetched that the page did not ask for.
"""

from __future__ import annotations

import json

import streamlit as st

from engine.sources.hub_access import is_hub_uri
from engine.tensor_tree import tensor_tree
from storage.records import Location
from ui.catalogue_card import badges, card_actions, facts, state_badge
from ui.fit_panel import fit_panel
from ui.job_panel import job_of, job_panel, jobs
from ui.model_actions import delete_button, download_button, measure_button, run_button, running_uris, see_button
from ui.model_cards import status_badge, strip
from ui.page import escape_markdown, store, user_errors
from ui.selection import open_location
from ui.tensor_outline import tensor_outline
from workflows import library
from workflows.catalogue import CatalogueEntry, Standing, catalogue, standings
from workflows.catalogue.standing import by_hub_id, hub_id_of
from workflows.model_card import ModelCard, parse_card
from workflows.model_files import ModelFiles
from workflows.tokenizer_facts import TokenizerFacts, tokenizer_facts
from workflows.wording import bytes_text, count_text

SECTIONS = ("Card", "Will it fit?", "Config", "Tensors", "Tokenizer", "Files")


def model_page(name: str) -> None:
    """The page of a location's name, or of an id of the catalogue."""
    st.button("All models", key="back", icon=":material/arrow_back:", type="tertiary", on_click=_close)
    known = {location.name: location for location in library.locations(store())}
    by_id = {entry.id: entry for entry in catalogue()}
    location = known.get(name)
    entry = by_id.get(name)
    if location is not None:
        entry = by_hub_id(catalogue()).get(hub_id_of(location) or "")
    if location is None and entry is None:
        st.info(
            f"There is no model “{escape_markdown(name[:100])}” here or in the catalogue. It may have been deleted.",
            icon=":material/link_off:",
        )
        return
    standing = Standing("here", location)
    if entry is not None:
        standing = standings([entry.hub_id], list(known.values()), jobs().all(), running_uris())[entry.hub_id]
        location = location or standing.location
    _head(location, entry, standing)
    if location is None:
        fit_panel(entry=entry)
        return
    _sections(location, entry)


def _close() -> None:
    del st.query_params["card"]


def _head(location: Location | None, entry: CatalogueEntry | None, standing: Standing) -> None:
    """Title, badges, picture and what can be done."""
    with st.container(border=True):
        words, picture = st.columns([2.4, 1], vertical_alignment="center", gap="medium")
        with words:
            with st.container(horizontal=True, vertical_alignment="center"):
                title = entry.name if entry else location.name
                st.subheader(escape_markdown(title), anchor=False, width="content")
                if entry is not None:
                    state_badge(standing.state)
                else:
                    status_badge(library.status(location))
            if entry is not None:
                st.markdown(escape_markdown(entry.description))
                badges(entry)
            if location is not None:
                st.caption(
                    f"**{count_text(location.num_parameters)}** parameters · {location.num_tensors:,} tensors · "
                    f"{bytes_text(location.num_bytes)} · {escape_markdown(location.format)} · "
                    f"`{location.uri.replace('`', '')}`"
                )
            else:
                facts(entry)
                st.caption(f"`{entry.hub_id}`")
            with st.container(horizontal=True, gap="small"):
                if location is None:
                    card_actions(entry, standing)
                else:
                    _actions(location)
        with picture:
            if location is not None:
                with user_errors():
                    strip(location, library.status(location))
        if standing.job is not None:
            job_panel(standing.job, key="card")


def _actions(location: Location) -> None:
    status = library.status(location)
    job = job_of("extract", model=location.uri)
    is_busy = job is not None and job.is_active
    if status != "missing":
        see_button(location, key="card")
        run_button(location, key="card")
    if status in ("new", "changed"):
        measure_button(location, key="card", is_disabled=is_busy)
    if is_hub_uri(location.uri):
        download_button(location.uri, key="card")
    delete_button(location, key="card", is_disabled=is_busy)
    if is_busy:
        job_panel(job, key="card-measuring")


def _sections(location: Location, entry: CatalogueEntry | None) -> None:
    """The tabs; only the open one is drawn, and only it reads files."""
    tabs = st.tabs(SECTIONS, key="section", on_change="rerun", bind="query-params")
    drawn = {
        "Card": lambda: _card(location, entry),
        "Will it fit?": lambda: fit_panel(entry=entry, location=location, config=open_location(location).config),
        "Config": lambda: _config(location),
        "Tensors": lambda: _tensors(location),
        "Tokenizer": lambda: _tokenizer(location),
        "Files": lambda: _files(location),
    }
    for tab, name in zip(tabs, SECTIONS, strict=True):
        if tab.open:
            with tab, user_errors():
                drawn[name]()


@st.cache_data(max_entries=32, show_spinner="Reading the card …")
def _read_card(uri: str, fingerprint: str, _location: Location) -> tuple[ModelCard, bool] | None:
    found = ModelFiles(open_location(_location)).text("README.md")
    return None if found is None else (parse_card(found[0]), found[1])


@st.cache_data(max_entries=32, show_spinner="Reading the tokenizer …")
def _read_tokenizer(uri: str, fingerprint: str, _location: Location) -> TokenizerFacts | None:
    return tokenizer_facts(ModelFiles(open_location(_location)))


def _card(location: Location, entry: CatalogueEntry | None) -> None:
    source = open_location(location)
    found = _read_card(location.uri, source.fingerprint, location)
    if found is None:
        st.caption("There is no README.md beside the weights.")
        return
    card, is_cut = found
    text, rows = st.columns([2.4, 1], gap="large")
    with rows:
        licence = card.licence or (entry.licence if entry else "")
        if licence:
            st.markdown(f"**Licence** :gray-badge[:material/balance: {escape_markdown(licence)}]")
        if card.problem:
            st.caption(f":material/warning: {escape_markdown(card.problem)}")
        if card.facts:
            lines = [
                f":small[:gray[{escape_markdown(name)}]]  \n:small[{escape_markdown(_short(value, 160))}]"
                for name, value in card.facts
            ]
            st.markdown("\n\n".join(lines))
        st.caption("Images and HTML of the card are not shown, so that nobody learns who looks at it.")
    with text, st.container(border=True, height=720, key="readme"):
        st.markdown(card.body or "*The card has no text.*")
        if is_cut:
            st.caption("The card is longer; only its beginning is shown.")


def _config(location: Location) -> None:
    source = open_location(location)
    if not source.config and not source.metadata:
        st.caption("There is no config.json beside the weights.")
        return
    columns = st.columns(2 if source.metadata and source.config else 1, gap="large")
    if source.config:
        with columns[0]:
            st.markdown("**config.json**")
            _fields(source.config)
    if source.metadata:
        with columns[-1]:
            st.markdown("**The weight file's own metadata**")
            _fields(source.metadata)


def _fields(values: dict) -> None:
    rows = [{"field": str(name), "value": _short(value)} for name, value in values.items()]
    st.dataframe(rows, hide_index=True, width="stretch", height=min(35 * len(rows) + 38, 640))


def _short(value: object, most: int = 300) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _tensors(location: Location) -> None:
    infos = open_location(location).infos()
    st.caption(
        "Layers of equal structure are folded into one line (× their number), sums are of all of them. "
        "Columns: shape and type, parameters, bytes, share of the checkpoint."
    )
    with st.container(border=True):
        tensor_outline(tensor_tree(infos))


def _tokenizer(location: Location) -> None:
    found = _read_tokenizer(location.uri, open_location(location).fingerprint, location)
    if found is None:
        st.caption("There is no tokenizer.json or tokenizer_config.json beside the weights.")
        return
    facts_column, special_column = st.columns([1, 1.2], gap="large")
    with facts_column:
        st.dataframe([{"": name, "value": value} for name, value in found.facts], hide_index=True, width="stretch")
    with special_column:
        if found.special:
            st.dataframe(
                [{"special token": token, "used as": use, "number": number} for token, use, number in found.special],
                hide_index=True,
                width="stretch",
                height=min(35 * len(found.special) + 38, 318),
            )
    if found.chat_template:
        st.markdown("**Chat template**")
        st.code(found.chat_template, language="jinja2", height=min(22 * found.chat_template.count("\n") + 60, 420))
    else:
        st.caption("It has no chat template: it continues a text.")


def _files(location: Location) -> None:
    files = ModelFiles(open_location(location)).listed()
    st.caption(f"{len(files)} files, {bytes_text(sum(file.num_bytes for file in files))}, at `{location.uri}`")
    st.dataframe(
        [{"file": file.name, "bytes": file.num_bytes, "size": bytes_text(file.num_bytes)} for file in files],
        hide_index=True,
        width="stretch",
        column_config={"bytes": st.column_config.NumberColumn(format="localized")},
    )

"""The look "Animation": one role over a model's layers, or one tensor over versions or training steps, as a film."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import streamlit as st

import engine.sources
from engine.animation import Frame, shared_scale
from engine.errors import SourceError
from engine.folding import matrix_shape
from engine.naming import role_title
from engine.sources.base import Source
from engine.sources.hub_access import is_hub_uri
from ui.animation.export import export_film
from ui.animation.player import SPEEDS, USUAL_SPEED, Film, Shown, film_id, player
from ui.colours import chosen_map, chosen_percent, colour_controls
from ui.hub_token import session_token
from ui.page import show_late_error, store, tried
from ui.selection import Selection, choose_tensor
from workflows import library
from workflows.films import SHOWS, Member, Shows, layer_members, num_frames, read_film, version_members
from workflows.training_films import run_of, step_members, stored_frames
from workflows.versions import Version, versions
from workflows.wording import bytes_text

LAYERS, VERSIONS, STEPS = "layers", "versions", "training steps"
ALL_FRAMES, EACH_FRAME = "one for all frames", "one per frame"

FREE_BYTES = 100_000_000
"""Fetched from the hub without asking: some seconds; chosen by us."""


@dataclass(frozen=True)
class _Choice:
    """What the person wants to see: `over` layers, versions or steps, the matrices, and whether changes or weights.

    run: of a film over steps, the training whose pictures are kept.
    """

    over: str
    members: list[Member]
    shows: Shows
    run: str = ""


def animation_look(selection: Selection) -> None:
    """The controls, the player, and the film as a file."""
    show_late_error()
    if 0 in matrix_shape(selection.info.shape):
        st.info(
            "This tensor has no entries, so there is nothing to animate. Choose another one.", icon=":material/movie:"
        )
        return
    choice = _choice(selection)
    colours = colour_controls(selection)
    count = num_frames(choice.members, choice.shows)
    if not _is_ready(choice, count) or not _may_fetch(selection, count):
        return
    frames = _read(selection, choice)
    is_shared = st.session_state.get("frame_scale") != EACH_FRAME
    groups = [frames] if is_shared else [[frame] for frame in frames]
    percent = chosen_percent(st.session_state.get("limits"))
    scales = [shared_scale(group, colours.scale.kind, percent) for group in groups]
    name = chosen_map(st.session_state.get("colours"), any(scale.limits.is_signed for scale in scales))
    film = _film(selection, choice, frames, scales, name)
    opener = _opener(choice, selection)
    shown = player(film, key="player", start=_start(count), on_open=opener)
    _keep(shown)
    export_film(selection, film, shown.speed)


def _choice(selection: Selection) -> _Choice:
    """Layers or versions, which ones, and what of them; all in the URL."""
    layers = layer_members(selection.source, selection.info)
    found = _versions(selection)
    run = run_of(store(), selection.location)
    steps = step_members(store(), run, selection.info.name) if run else []
    over_column, shows_column, scale_column = st.columns(3)
    with over_column:
        default = VERSIONS if len(layers) < 2 <= len(found) else LAYERS
        others = [VERSIONS if default == LAYERS else LAYERS, *([STEPS] if len(steps) > 1 else [])]
        over = _bound("Frames are", [default, *others], "over", _OVER_WORDS)
    with shows_column:
        shows = _bound("A frame shows", list(SHOWS if over == VERSIONS else SHOWS[:1]), "shows", _SHOWS_WORDS)
    with scale_column:
        _bound("Colour scale", [ALL_FRAMES, EACH_FRAME], "frame_scale", _SCALE_WORDS)
    if over == LAYERS:
        return _Choice(over, layers, shows)
    if over == STEPS:
        return _Choice(over, steps, shows, run)
    return _Choice(over, version_members(_chosen_versions(found), selection.info.name), shows)


_OVER_WORDS = (
    "Layers: the same role in every layer. Versions: this tensor in checkpoints of one model: training steps side by "
    "side on the disk (checkpoint-100, step_200, epoch-3), revisions in the hub cache, and models known here with the "
    "same tensors. Training steps: this tensor at every checkpoint of the training that made the model, from small "
    "pictures that outlive the checkpoints themselves."
)
_SHOWS_WORDS = "Changes are exact differences, entry by entry; a pooled cell shows the largest change inside it."
_SCALE_WORDS = (
    "One for all frames: a colour is the same number in each. One per frame: structure shows in quiet ones too."
)


def _bound(label: str, options: list[str], key: str, words: str) -> str:
    """A select box in the URL; a value that is not on offer becomes the first."""
    if st.session_state.get(key, options[0]) not in options:
        st.session_state[key] = options[0]
    return st.selectbox(label, options, key=key, bind="query-params", help=words) or options[0]


def _chosen_versions(found: list[Version]) -> list[Version]:
    by_label = {version.label: version for version in found}
    kept = [label for label in st.session_state.get("versions") or [] if label in by_label]
    if "versions" in st.session_state and kept != st.session_state["versions"]:
        st.session_state["versions"] = kept  # of another model, or gone
    chosen = st.multiselect(
        "Versions, in the order of the frames",
        list(by_label),
        key="versions",
        bind="query-params",
        placeholder=f"All {len(found)}, in order of their training step",
        help="Choose some, in the order you like; without a choice, all are shown.",
    )
    return [by_label[label] for label in chosen] or found


def _is_ready(choice: _Choice, count: int) -> bool:
    """Whether there is a film; else what to do is said."""
    if count >= 2 or (choice.shows != SHOWS[0] and count == 1):
        return True
    if choice.over == LAYERS:
        words = (
            "This tensor has no like in other layers. Choose one of a layer above (an attention or feed-forward "
            "matrix), or look at versions of the model."
        )
    else:
        words = (
            "No other version of this model was found. Versions are folders side by side that are named after their "
            "training step, such as checkpoint-100 and checkpoint-200, revisions in the hub cache, or models in the "
            "Zoo with the same tensors. Add one in the Zoo, or look at layers."
        )
    st.info(words, icon=":material/movie:")
    return False


def _may_fetch(selection: Selection, count: int) -> bool:
    """Frames of a model on the hub are fetched; many bytes only when asked for."""
    num_bytes = selection.info.num_bytes * count
    if not selection.source.is_remote or num_bytes <= FREE_BYTES:
        return True
    key = f"fetch-film-{film_id(selection.source.fingerprint, selection.info.name)}"
    if st.session_state.get(key):
        return True
    st.info(f"This model is on the hub: {count} frames are {bytes_text(num_bytes)} to fetch.", icon=":material/cloud:")

    def allow() -> None:
        st.session_state[key] = True

    st.button("Fetch and show them", icon=":material/download:", type="primary", on_click=allow)
    return False


def _read(selection: Selection, choice: _Choice) -> list[Frame]:
    if choice.over == STEPS:
        return stored_frames(store(), choice.run, selection.info.name)
    count = num_frames(choice.members, choice.shows)
    size = bytes_text(selection.info.num_bytes * len(choice.members))
    with st.spinner(f"Reading {count} frames, {size} …", show_time=True):
        return _frames(tuple(choice.members), choice.shows, _fresh(selection))


@st.cache_data(max_entries=6, show_spinner=False)
def _frames(members: tuple[Member, ...], shows: Shows, _open: Callable[[str], Source]) -> list[Frame]:
    """Kept by the members' fingerprints; a film is at most 8 MiB of cells and as much of samples."""
    return read_film(members, shows, _open)


def _versions(selection: Selection) -> list[Version]:
    if is_hub_uri(selection.location.uri):
        return []
    known = library.locations(store())
    stamp = tuple((location.uri, location.fingerprint) for location in known)
    return _found(selection.location.name, selection.source.fingerprint, stamp, selection)


@st.cache_data(max_entries=16, ttl=60, show_spinner="Looking for versions of this model …")
def _found(name: str, fingerprint: str, known: tuple, _selection: Selection) -> list[Version]:
    return versions(_selection.location, library.locations(store()), _fresh(_selection))


def _fresh(selection: Selection) -> Callable[[str], Source]:
    """Opens a checkpoint to be closed again; the page's own stays open."""
    token = session_token()

    def opened(uri: str):
        if uri == selection.source.uri:
            return nullcontext(selection.source)
        return engine.sources.open(uri, token if is_hub_uri(uri) else None)

    return opened


def _film(selection: Selection, choice: _Choice, frames: list[Frame], scales: Sequence, name: str) -> Film:
    info, place = selection.info, selection.place
    members = choice.members if choice.shows == SHOWS[0] else choice.members[1:]
    labels = [member.label for member in members]
    if choice.shows == SHOWS[1]:
        labels = [f"{label} − {choice.members[0].label}" for label in labels]
    elif choice.shows == SHOWS[2]:
        labels = [f"{label} − {before.label}" for label, before in zip(labels, choice.members, strict=False)]
    shape = " × ".join(map(str, info.shape)) or "scalar"
    if choice.over == LAYERS:
        title, facts = f"{role_title(place.role)} · {place.part}", f"{len(frames)} layers · {shape} {info.dtype}"
    elif choice.over == STEPS:
        title, facts = info.name, f"{len(frames)} checkpoints, from small pictures · {shape} {info.dtype}"
    else:
        what = "versions" if choice.shows == SHOWS[0] else "versions, as changes"
        title, facts = info.name, f"{len(choice.members)} {what} · {shape} {info.dtype}"
    identity = film_id(choice.shows, *(f"{m.uri} {m.fingerprint} {m.tensor} {m.label}" for m in choice.members))
    return Film(identity, title, facts, labels, [member.tick for member in members], frames, scales, name)


def _opener(choice: _Choice, selection: Selection) -> Callable[[int], None]:
    """What "Open this tensor" does: the frame's tensor becomes the one that every page looks at."""
    members = choice.members if choice.shows == SHOWS[0] else choice.members[1:]

    def opened(index: int) -> None:
        member = members[index]
        if not member.uri:
            gone = "The files of this checkpoint are gone; only its numbers and small pictures are kept."
            st.session_state["late_error"] = SourceError(gone, "Open a later one, or the finished model.")
            return
        if member.uri != selection.source.uri:
            tried(_choose_model, member.uri)
            if "late_error" in st.session_state:
                return
        choose_tensor(member.tensor)
        st.session_state["look"] = "Tensor"

    return opened


def _choose_model(uri: str) -> None:
    st.session_state["model"] = library.add_path(store(), uri).name


def _start(count: int) -> Shown:
    """Where a new film begins: where the URL says, else at its first frame."""
    frame, speed = (st.query_params.get(key, "") for key in ("frame", "speed"))
    index = int(frame) if frame.isascii() and frame.isdigit() and len(frame) < 9 else 0
    fast = int(speed) if speed.isascii() and speed.isdigit() and len(speed) < 9 else 0
    return Shown(min(index, count - 1), fast if fast in SPEEDS else 0, False)


def _keep(shown: Shown) -> None:
    """The frame and the speed go into the URL; what anyone sees first stays out of it."""
    if not shown.is_told:
        return
    st.query_params["frame"] = str(shown.frame)
    if shown.speed and shown.speed != USUAL_SPEED:
        st.query_params["speed"] = str(shown.speed)
    else:
        st.query_params.pop("speed", None)

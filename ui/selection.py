"""The one selection that all pages share: model, layer and role filters, tensor. It lives in the URL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitAPIException

import engine.sources
from engine.naming import ROLES, Place, place, role_title
from engine.sources.base import Source, TensorInfo
from engine.sources.hub_access import is_hub_uri
from storage.records import Location
from ui.hub_token import session_token
from ui.page import escape_markdown, is_arrival, store
from workflows.library import locations

ALL = "all"
OUTSIDE = "outside layers"

_REMEMBERED = "chosen"
"""Key of the session's own record of what was chosen: Streamlit's ends with the page that drew the box."""


@dataclass(frozen=True)
class Selection:
    """What the person looks at: a checkpoint, opened, and one of its tensors."""

    location: Location
    source: Source
    info: TensorInfo
    place: Place


@st.cache_resource(max_entries=16, show_spinner="Reading headers …", on_release=lambda source: source.close())
def _opened(uri: str, stamp: tuple, asker: str, _token: str | None) -> Source:
    return engine.sources.open(uri, _token)


def open_location(location: Location) -> Source:
    """The location's checkpoint, opened once for all sessions and again when its files change.

    A model on the hub is opened once for each token, so that nobody sees a private one through another's.
    """
    token = session_token() if is_hub_uri(location.uri) else None
    asker = hashlib.sha256(token.encode()).hexdigest() if token else ""
    return _opened(location.uri, _stamp(Path(location.uri)), asker, token)


def _stamp(path: Path) -> tuple:
    """Size and time of the file, or of every file directly in the folder: cheap enough for each rerun."""
    if not path.exists():
        return ()
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file())


def pick_model(
    *, label: str = "Model", key: str = "model", among: list[str] | None = None, default: str = ""
) -> Location | None:
    """A model picker, bound to `?model=` or to another key; None (with an empty state drawn) when there is no model.

    Args: among: the names on offer; None for all. default: what is chosen at first; the first one if it is not there.
    """
    known = {location.name: location for location in locations(store()) if among is None or location.name in among}
    if not known:
        st.info(
            "There is no model here yet. Add one in the Zoo: a path, an upload, or a folder to scan.",
            icon=":material/search:",
        )
        st.page_link("pages/1_Zoo.py", label="Open the Zoo", icon=":material/inventory_2:")
        return None
    first = default if default in known else next(iter(known))
    name = _bound_selectbox(label, list(known), key=key, default=first, what="model")
    return known[name]


def pick_tensor(source: Source) -> TensorInfo | None:
    """Layer filter, role filter and tensor search in one row, bound to `?layer=`, `?role=` and `?tensor=`."""
    places = {info.name: place(info.name, info.shape) for info in source.infos()}
    if not places:
        st.info("This checkpoint holds no tensors.", icon=":material/search:")
        return None
    layers = sorted({p.layer for p in places.values() if p.layer is not None})
    roles = [role for role in ROLES if any(p.role == role for p in places.values())]
    roles += sorted({p.role for p in places.values()} - set(roles))

    layer_column, role_column, tensor_column = st.columns([1, 1.4, 3.2])
    with layer_column:
        has_outside = any(p.layer is None for p in places.values())
        choices = [ALL, *map(str, layers), *([OUTSIDE] if layers and has_outside else [])]
        layer = _filter("Layer", choices, key="layer")
    with role_column:
        titles = {ALL: ALL, **{role_title(role): role for role in roles}}
        role = titles[_filter("Role", list(titles), key="role")]

    def is_wanted(p: Place) -> bool:
        layer_fits = layer == ALL or (p.layer is None if layer == OUTSIDE else str(p.layer) == layer)
        return layer_fits and role in (ALL, p.role)

    wanted = [info for info in source.infos() if is_wanted(places[info.name])]
    with tensor_column:
        if not wanted:
            st.selectbox("Tensor", [], placeholder="No tensor in this layer has that role: widen the filters")
            return None
        name = _bound_selectbox(
            f"Tensor · {len(wanted):,} of {len(places):,}, type to search",
            [info.name for info in wanted],
            key="tensor",
            default=_first_look(wanted, places).name,
            what="tensor",
        )
    return next(info for info in wanted if info.name == name)


def pick(*, label: str = "Model") -> Selection | None:
    """Model and tensor pickers together; None when there is nothing to pick (an empty state is drawn)."""
    model_column, tensor_column = st.columns([1.2, 4])
    with model_column:
        location = pick_model(label=label)
    if location is None:
        return None
    source = open_location(location)
    with tensor_column:
        info = pick_tensor(source)
    if info is None:
        return None
    return Selection(location, source, info, place(info.name, info.shape))


def choose_tensor(name: str) -> None:
    """Make it the tensor that every page looks at, whole. For callbacks: it must run before the pickers are drawn."""
    st.session_state.update(layer=ALL, role=ALL, tensor=name)
    _forget_view()


def _first_look(infos: list[TensorInfo], places: dict[str, Place]) -> TensorInfo:
    """Shown before anyone chose: the first attention query matrix, else the largest matrix, else the largest."""
    queries = [info for info in infos if places[info.name].role in ("query", "qkv") and len(info.shape) > 1]
    if queries:
        return queries[0]
    matrices = [info for info in infos if len(info.shape) > 1]
    return max(matrices or infos, key=lambda info: info.num_elements)


def _is_written(key: str, value: str) -> bool:
    """Put a box's value into the URL before the box is drawn; whether it stands there now.

    Streamlit writes a value to the URL when it changes, but not one that a widget is born with.
    """
    if st.query_params.get(key) == value:
        return True
    try:
        st.query_params[key] = value
    except StreamlitAPIException:  # the box of the page before still owns the name, until this run ends
        return False
    return True


def _forget_view() -> None:
    """Another tensor is seen whole at first."""
    st.session_state["view"] = ""
    st.session_state.pop("view_start", None)


def _filter(label: str, options: list[str], *, key: str) -> str:
    """A select box that begins with "all"; a value from another model or a bad URL falls back to that."""
    if st.session_state.get(key, ALL) not in options:
        st.session_state[key] = ALL
    return st.selectbox(label, options, key=key, bind="query-params")


def _bound_selectbox(label: str, options: list[str], *, key: str, default: str, what: str) -> str:
    """A select box whose value is always in the URL; a value that does not exist (any more) is said, then replaced.

    The box has no default of its own (index=None), because Streamlit leaves a default out of the URL and a shared link
    must keep meaning the same model after others were added. What was chosen is remembered from page to page.
    """
    remembered = st.session_state.setdefault(_REMEMBERED, {})
    linked = st.query_params.get(key)
    asked = (linked if is_arrival() else None) or st.session_state.get(key) or linked or remembered.get(key)
    if asked not in options:
        if asked and asked == linked:
            st.warning(
                f"There is no {what} “{escape_markdown(asked)}” here. Showing another one.", icon=":material/link_off:"
            )
        if remembered.get(key):
            _forget_view()
        asked = default
    is_written = linked is not None or _is_written(key, asked)
    if linked is None or st.session_state.get(key) != asked:
        st.session_state[key] = asked
    chosen = st.selectbox(label, options, index=None, key=key, bind="query-params", on_change=_forget_view) or default
    remembered[key] = chosen
    if not is_written and is_arrival():
        st.rerun()  # the box of the page before has let go of the name now
    return chosen

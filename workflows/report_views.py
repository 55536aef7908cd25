"""Saved views as parts of a report: each drawn as its page shows it, or told in words where it moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.colour_limits import colour_limits
from engine.colour_scales import colour_scale
from engine.compare.comparison import MEASURES as CHANGE_MEASURES
from engine.compare.matching import match_tensors
from engine.compare.views import DeltaSource, MatchedSource
from engine.errors import SourceNotFoundError, WeightscopeError
from engine.health.registry import all_rules
from engine.naming import place
from engine.sources.base import TensorInfo
from figures.comparison import change_map
from figures.health import findings_map
from figures.report_document import Block, Bullets, Heading, Table, Words
from storage.records import Location
from storage.sessions import SavedView
from workflows.product import signature
from workflows.report_pictures import (
    Desk,
    arranged_view,
    colour_choice,
    fresh_hash,
    panorama,
    tensor_picture,
    tensor_scale,
)
from workflows.report_spectra import density
from workflows.sessions import reopened
from workflows.view_export import source_line

MOST_SQL_ROWS = 50


@dataclass(frozen=True)
class Look:
    """What a view asks for: its URL, a text for each key, and the models it names."""

    view: SavedView
    parameters: dict[str, str]
    location: Location | None
    other: Location | None

    @property
    def tensor(self) -> str:
        return self.parameters.get("tensor", "")


def view_blocks(desk: Desk, view: SavedView, known: Sequence[Location]) -> list[Block]:
    """The view's name, note, and what its page shows; where that cannot be drawn, why."""
    opening = reopened(view, known)
    parameters = {key: texts[0] for key, texts in opening.parameters.items() if texts}
    locations = {location.name: location for location in known}
    look = Look(view, parameters, *(locations.get(parameters.get(key, "")) for key in ("model", "other")))
    names = [location.name for location in (look.location, look.other) if location]
    facts = " · ".join([view.page, *names, *([look.tensor] if look.tensor else [])])
    blocks: list[Block] = [Heading(view.name, facts)]
    if view.note:
        blocks.append(Words(view.note, "note"))
    blocks += [Words(warning, "warning") for warning in opening.warnings]
    if opening.problem:
        return [*blocks, Words(opening.problem, "warning")]
    try:
        return [*blocks, *_PAGES.get(view.page, _words)(desk, look)]
    except WeightscopeError as error:
        return [*blocks, Words(f"This view could not be drawn. {error.message}", "warning")]


def _heatmap(desk: Desk, look: Look) -> list[Block]:
    location = _needed(look.location)
    kind = look.parameters.get("look", "Tensor")
    if kind == "Whole model":
        return _whole_model(desk, look)
    if kind == "Health":
        return _health(desk, location)
    if kind == "Spectrum":
        drawn = density(desk, fresh_hash(location), look.tensor)
        return [drawn] if drawn else [Words("Its spectrum has not been measured and stored.", "warning")]
    blocks = [_tensor(desk, look)]
    if kind in ("Attention", "Animation"):
        blocks.append(Words(f"The look “{kind}” moves and answers; this is the tensor it is about."))
    return blocks


def _tensor(desk: Desk, look: Look) -> Block:
    location = _needed(look.location)
    source = desk.open(location)
    info = _info(source.infos(), look.tensor)
    view = arranged_view(location, source, info, look.parameters)
    scale = tensor_scale(desk, location, source, info, look.parameters)
    return tensor_picture(desk, view, scale, colour_choice(look.parameters)[0])


def _space(desk: Desk, look: Look) -> list[Block]:
    words = Words("The landscape turns on its page; this is the same place from straight above.")
    if look.parameters.get("space") == "Whole model":
        return [*_whole_model(desk, look), words]
    return [_tensor(desk, look), words]


def _whole_model(desk: Desk, look: Look) -> list[Block]:
    drawn = panorama(desk, _needed(look.location), look.parameters)
    return [drawn or Words("The pictures of a model this large are made when it is measured.", "warning")]


def _health(desk: Desk, location: Location) -> list[Block]:
    content_hash = fresh_hash(location)
    if content_hash is None or desk.store.health_check(content_hash) is None:
        return [Words("The health of this model has not been examined.", "warning")]
    found = desk.store.findings(content_hash)
    if not found:
        return [Words("No rule found anything odd.")]
    return [health_picture(desk, location, found)]


def health_picture(desk: Desk, location: Location, found) -> Block:
    """Which rule spoke where."""
    layers = [place(info.name, info.shape).layer for info in desk.open(location).infos()]
    num_layers = 1 + max((layer for layer in layers if layer is not None), default=-1)
    titles = {name: rule.title for name, rule in all_rules().items()}
    return desk.chart(
        f"{location.name}.health",
        f"Findings in {location.name} by rule and layer",
        lambda _: findings_map(found, titles, num_layers),
    )


def _compare(desk: Desk, look: Look) -> list[Block]:
    a, b = _needed(look.location), _needed(look.other)
    if look.parameters.get("show") == "Side by side":
        return _side_by_side(desk, look, a, b)
    return change_blocks(desk, a, b, look.parameters.get("change", ""))


def change_blocks(desk: Desk, a: Location, b: Location, title: str = "") -> list[Block]:
    """What changed in words, and its map; title: of the measure to colour by."""
    hashes = [fresh_hash(a), fresh_hash(b)]
    stored = None if None in hashes else desk.store.comparison(*hashes)
    if stored is None:
        return [Words(f"{a.name} and {b.name} have not been compared.", "warning")]
    measures = {words: name for name, (words, *_) in CHANGE_MEASURES.items()}
    measure = measures.get(title, "relative_change")
    stats = desk.store.comparison_stats(*hashes)
    pairs = stats[stats["matched_by"].notna()]
    blocks: list[Block] = [Bullets(tuple(stored.sentences))]
    if not pairs.empty and pairs[measure].notna().any():
        words = CHANGE_MEASURES[measure][0]
        blocks.append(
            desk.chart(
                f"{a.name}.{b.name}.changes",
                f"{words} by layer and role",
                lambda dark: change_map(pairs, measure, words, is_dark=dark),
                f"{words}: the largest of the tensors of each layer and role.",
            )
        )
    return blocks


def _side_by_side(desk: Desk, look: Look, a: Location, b: Location) -> list[Block]:
    """A, B in A's colours, and their difference in its own."""
    source_a, source_b = desk.open(a), desk.open(b)
    matching = match_tensors(source_a, source_b)
    match = next((each for each in matching.matches if each.name_a == look.tensor and each.is_comparable), None)
    if match is None or match.num_removed:
        raise SourceNotFoundError(f"The tensor {look.tensor!r} cannot be laid beside one of {b.name}.")
    name, kind, percent = colour_choice(look.parameters)
    laid, delta = MatchedSource(source_b, matching), DeltaSource(source_a, source_b, matching)
    sources = (source_line(a), source_line(b), f"{b.name} minus {a.name} · {signature()}")
    blocks, shared = [], None
    for title, source, line in zip(
        (f"A · {a.name}", f"B · {b.name}", "Δ = B − A"), (source_a, laid, delta), sources, strict=True
    ):
        info = source.info(match.name_a)
        view = arranged_view(b, source, info, {"view": look.parameters.get("view", "")})
        if shared is None or source is delta:
            shared = colour_scale(source, info, kind, colour_limits(source, info, percent=percent))
        blocks.append(tensor_picture(desk, view, shared, name, title=f"{title} · {info.name}", source=line))
    return blocks


def _sql(desk: Desk, look: Look) -> list[Block]:
    sql = look.parameters.get("q", "")
    if not sql.strip():
        return []
    result = desk.store.query(sql, max_rows=MOST_SQL_ROWS)
    columns = [column.to_pylist() for column in result.table.columns]
    rows = tuple(tuple(_cell(value) for value in row) for row in zip(*columns, strict=True))
    numeric = frozenset(
        index for index, column in enumerate(columns) if any(isinstance(value, int | float) for value in column)
    )
    caption = f"The first {MOST_SQL_ROWS} rows." if result.truncated else ""
    return [Words(sql, "note"), Table(tuple(result.columns), rows, numeric, caption)]


def _cell(value: object) -> str:
    if value is None:
        return "–"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _words(desk: Desk, look: Look) -> list[Block]:
    texts = [f"{key}: {value}" for key, value in sorted(look.parameters.items())]
    return [Words(f"This page has no picture to keep. It was set to {'; '.join(texts)}." if texts else "")]


def _needed(location: Location | None) -> Location:
    if location is None:
        raise SourceNotFoundError("The view names no model that is here.")
    return location


def _info(infos: Sequence[TensorInfo], name: str) -> TensorInfo:
    found = next((info for info in infos if info.name == name), None)
    if found is None:
        raise SourceNotFoundError(f"The checkpoint holds no tensor {name[:200]!r}.")
    return found


_PAGES: dict[str, Callable[[Desk, Look], list[Block]]] = {
    "Heatmap": _heatmap,
    "3D Weights": _space,
    "Compare": _compare,
    "SQL": _sql,
}

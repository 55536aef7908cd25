"""The whole model as one picture: where every tensor has its tile.

Layers run from left to right, roles from top to bottom, so that a row shows one role through the depth of the model and
a column shows one block. What lies outside the layers stands beside them: embeddings on the left, the final norm and
the head on the right. A model without layers is a plain grid in file order. The layout is in units of an ordinary tile;
whoever draws it decides how many pixels that is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.folding import matrix_shape
from engine.naming import ROLES, Place, place, role_title
from engine.sources.base import TensorInfo

MOST_APART = 6
"""Tensors of one role in one layer that get rows of their own, told apart by their module's name; more share a tile."""

MOST_CAPTIONED = 240
"""Tensors outside the layers up to which each has its name above it; more are small tiles without a name."""

LAST_BEFORE = ROLES.index("embedding_projection")
"""The last role, in reading order, that stands before the layers."""

_VAGUE = ("other", "linear", "norm", "convolution", "convolution_norm")
_STACKS = ("", "vision", "audio", "text", "encoder", "decoder")


@dataclass(frozen=True, slots=True)
class Proportions:
    """How large things are, in ordinary tiles; chosen by us, by eye.

    Attributes:
        flat: height of a row of vectors. outside: side of a tile outside the layers. caption: room above such a tile.
        role_gap: between two roles. block_gap: between stacks, and between the layers and what stands beside them.
    """

    flat: float = 0.4
    outside: float = 2.0
    caption: float = 0.5
    role_gap: float = 0.14
    block_gap: float = 0.5


@dataclass(frozen=True, slots=True)
class Member:
    """A tensor as the layout knows it: its name in the checkpoint, its shape, its place in the network."""

    name: str
    shape: tuple[int, ...]
    place: Place

    @property
    def is_flat(self) -> bool:
        """Whether it is a single row, such as a bias."""
        return matrix_shape(self.shape)[0] == 1


@dataclass(frozen=True, slots=True)
class Tile:
    """A tensor's rectangle; x to the right, y down. `row`, `column`: indices of the panorama's; None outside layers."""

    x: float
    y: float
    width: float
    height: float
    row: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One role's part through all layers.

    Attributes:
        role, part: as in `Place`. title: all that it is, in words. label: without what the row above says already.
        y, height: where it lies.
    """

    role: str
    part: str
    title: str
    label: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One layer; of several stacks ("encoder", "decoder"), each counts its own. x, width: where it lies."""

    stack: str
    layer: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Caption:
    """Words in a free strip of the picture, above a tile that stands outside the layers."""

    text: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Panorama:
    """Where everything lies.

    Attributes:
        width, height: of the whole, in ordinary tiles; 0 for a model without tensors.
        tiles: one for each tensor, in the order given; no two overlap.
        rows, columns: of the layers; both empty for a model without layers.
        captions: the words beside the layers.
    """

    width: float
    height: float
    tiles: tuple[Tile, ...]
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    captions: tuple[Caption, ...]


def panorama_of(infos: Sequence[TensorInfo]) -> Panorama:
    """The layout of a checkpoint's tensors."""
    return panorama([Member(info.name, info.shape, place(info.name, info.shape)) for info in infos])


def panorama(members: Sequence[Member], proportions: Proportions | None = None) -> Panorama:
    """Give every tensor its tile.

    A role's weight, bias and running statistics are rows of their own; rows of vectors are flat. Several tensors of one
    role in one layer get rows of their own if their modules' names tell them apart; experts, and whatever else comes in
    numbers, share one taller tile in the order of their numbers, expert k at the same spot in every layer.

    Args:
        members: in file order. proportions: how large things are; None for those that suit a screen.
    """
    sizes = proportions or Proportions()
    inside = {i: member for i, member in enumerate(members) if member.place.layer is not None}
    outside = {i: member for i, member in enumerate(members) if member.place.layer is None}
    if not inside:
        free = _packed(outside, 0.0, sizes, _short_name)
        return _with_tiles(free, len(members))
    keys = _row_keys(inside)
    rows = _rows(inside, keys, sizes)
    height = max(row.y + row.height for row in rows.values())
    before = _packed(_sorted({i: m for i, m in outside.items() if _rank(m) <= LAST_BEFORE}), height, sizes)
    after = _packed(_sorted({i: m for i, m in outside.items() if _rank(m) > LAST_BEFORE}), height, sizes)
    columns = _columns(inside, before.width + (sizes.block_gap if before.tiles else 0.0), sizes)
    stop = columns[-1].x + columns[-1].width
    after = _moved(after, stop + (sizes.block_gap if after.tiles else 0.0))
    tiles = _inner_tiles(inside, keys, rows, columns)
    return _with_tiles(
        _Block(
            max(stop, after.width),
            max(height, before.height, after.height),
            {**before.tiles, **tiles, **after.tiles},
            (*before.captions, *after.captions),
        ),
        len(members),
        tuple(rows.values()),
        tuple(columns),
    )


@dataclass(frozen=True)
class _Block:
    """Tiles by the index of their tensor, with captions; `width` and `height` are where it ends."""

    width: float
    height: float
    tiles: dict[int, Tile]
    captions: tuple[Caption, ...]


_Key = tuple[int, str, int, str, str]
"""A row: rank of the role, role, first tensor of its module's name, that name, part."""


def _with_tiles(block: _Block, count: int, rows: tuple[Row, ...] = (), columns: tuple[Column, ...] = ()) -> Panorama:
    tiles = tuple(block.tiles[i] for i in range(count))
    return Panorama(block.width, block.height, tiles, rows, columns, block.captions)


def _moved(block: _Block, x: float) -> _Block:
    tiles = {i: replace(tile, x=tile.x + x) for i, tile in block.tiles.items()}
    return _Block(block.width + x, block.height, tiles, tuple(replace(c, x=c.x + x) for c in block.captions))


def _rank(member: Member) -> int:
    return ROLES.index(member.place.role) if member.place.role in ROLES else len(ROLES)


def _sorted(members: dict[int, Member]) -> dict[int, Member]:
    """In reading order: by role, then by module, its weight first."""

    def key(item: tuple[int, Member]) -> tuple:
        module, part = _words(item[1].name)[:-1], item[1].place.part
        return _rank(item[1]), _natural(".".join(module)), _part_rank(part), item[0]

    return dict(sorted(members.items(), key=key))


def _cell(member: Member) -> tuple[str, int | None, str, str]:
    return member.place.stack, member.place.layer, member.place.role, member.place.part


def _row_keys(inside: dict[int, Member]) -> dict[int, _Key]:
    """The row of each tensor; the module's name counts only where one layer has several of a role."""
    counts = Counter(_cell(member) for member in inside.values())
    crowded: dict[tuple[str, str], dict[str, int]] = {}
    for (_, _, role, part), count in counts.items():
        if count > 1 and not role.startswith("expert_"):
            crowded[role, part] = {}
    for i, member in inside.items():
        words = crowded.get((member.place.role, member.place.part))
        if words is not None:
            words.setdefault(_module_word(member.name), i)
    keys = {}
    for i, member in inside.items():
        words = crowded.get((member.place.role, member.place.part), {})
        word = _module_word(member.name) if 1 < len(words) <= MOST_APART else ""
        keys[i] = (_rank(member), member.place.role, words[word] if word else -1, word, member.place.part)
    return keys


def _rows(inside: dict[int, Member], keys: dict[int, _Key], sizes: Proportions) -> dict[_Key, Row]:
    """Row keys -> rows, from top to bottom."""
    most = Counter()
    for (key, *_), count in Counter((keys[i], *_cell(member)) for i, member in inside.items()).items():
        most[key] = max(most[key], count)
    flat = dict.fromkeys(most, True)
    for i, member in inside.items():
        flat[keys[i]] &= member.is_flat
    rows: dict[_Key, Row] = {}
    y, above = 0.0, None
    for key in sorted(most, key=lambda key: (key[:4], _part_rank(key[4]), key[4])):
        role, word, part = key[1], key[3], key[4]
        name = role_title(role) + (f" · {word}" if word else "")
        title = name if part == "weight" else f"{name}, {_in_words(part)}"
        y += sizes.role_gap if above not in (None, name) else 0.0
        height = _cell_height(most[key], sizes.flat if flat[key] else 1.0)
        rows[key] = Row(role, part, title, _in_words(part) if above == name else title, y, height)
        y, above = y + height, name
    return rows


def _cell_height(count: int, height: float) -> float:
    """How tall a tile that `count` tensors share is, so that each can still be seen."""
    if count <= 4:
        return max(height, min(1.0, height * count))
    return 2.0 if count <= 16 else 3.0 if count <= 64 else 4.0


def _columns(inside: dict[int, Member], x: float, sizes: Proportions) -> list[Column]:
    layers = {(member.place.stack, member.place.layer) for member in inside.values()}
    columns: list[Column] = []
    for stack, layer in sorted(layers, key=lambda layer: (_stack_rank(layer[0]), layer)):
        x += sizes.block_gap if columns and columns[-1].stack != stack else 0.0
        columns.append(Column(stack, layer, x, 1.0))
        x += 1.0
    return columns


def _inner_tiles(
    inside: dict[int, Member], keys: dict[int, _Key], rows: dict[_Key, Row], columns: list[Column]
) -> dict[int, Tile]:
    """The tiles in the layers; tensors that share a cell divide it into equal parts, row by row."""
    row_of = {key: k for k, key in enumerate(rows)}
    column_of = {(column.stack, column.layer): k for k, column in enumerate(columns)}
    cells: dict[tuple[int, int], list[int]] = {}
    for i, member in inside.items():
        cells.setdefault((row_of[keys[i]], column_of[member.place.stack, member.place.layer]), []).append(i)
    most = Counter()
    for (row, _), indices in cells.items():
        most[row] = max(most[row], len(indices))
    tiles = {}
    rows_in_order = list(rows.values())
    for (row, column), indices in cells.items():
        y, height = rows_in_order[row].y, rows_in_order[row].height
        across = max(1, round(math.sqrt(most[row] / height))) if most[row] > 4 or height >= 1 else 1
        width, down = 1.0 / across, -(-most[row] // across)
        for k, i in enumerate(sorted(indices, key=lambda i: _natural(inside[i].name))):
            x = columns[column].x + (k % across) * width
            tiles[i] = Tile(x, y + (k // across) * height / down, width, height / down, row, column)
    return tiles


def _packed(
    members: dict[int, Member], height: float, sizes: Proportions, words: Callable[[Member], str] | None = None
) -> _Block:
    """Tiles in columns that fill `height` (or make a wide rectangle, where that needs less), captions above them."""
    if not members:
        return _Block(0.0, 0.0, {}, ())
    is_captioned = len(members) <= MOST_CAPTIONED
    side, caption = (sizes.outside, sizes.caption) if is_captioned else (1.0, 0.0)
    tall = max(height, side + caption, _free_height(len(members), side, caption))
    tiles, captions = {}, []
    x = y = lowest = 0.0
    for i, member in members.items():
        extent = sizes.flat if member.is_flat else side
        if y > 0 and y + caption + extent > tall + 1e-9:
            x, y = x + side + sizes.role_gap, 0.0
        if caption:
            captions.append(Caption((words or _role_words)(member), x, y, side, caption))
        tiles[i] = Tile(x, y + caption, side, extent)
        y += caption + extent + sizes.role_gap
        lowest = max(lowest, y - sizes.role_gap)
    return _Block(x + side, lowest, tiles, tuple(captions))


def _free_height(count: int, side: float, caption: float) -> float:
    """The height at which so many tiles make a rectangle about two and a half times as wide as high."""
    return math.ceil(math.sqrt(count * side / (2.5 * (side + caption)))) * (side + caption + 0.14)


def _role_words(member: Member) -> str:
    """What it is; its own name where the role says little."""
    where = member.place
    if where.part in ("weight", "bias") and where.role in ROLES and where.role not in _VAGUE:
        return role_title(where.role) + (", bias" if where.part == "bias" else "")
    return _short_name(member)


def _short_name(member: Member) -> str:
    """The end of its name: its module, and what it is if not the weight."""
    words = _words(member.name)
    return ".".join(words[-2:-1] if words[-1] == "weight" and len(words) > 1 else words[-2:])


def _module_word(name: str) -> str:
    """The last word of a tensor's name that names a module: no number, and not the tensor's own word."""
    words = _words(name)
    return next((word for word in reversed(words[:-1]) if not word.isdigit()), words[-1])


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[./]", name) if word] or [name]


def _in_words(part: str) -> str:
    return part.replace("_", " ")


def _part_rank(part: str) -> int:
    return {"weight": 0, "bias": 1}.get(part, 2)


def _stack_rank(stack: str) -> int:
    return _STACKS.index(stack) if stack in _STACKS else len(_STACKS)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which "experts.10" comes after "experts.2"."""
    return [(1, int(word), "") if word.isdecimal() else (0, 0, word) for word in re.split(r"(\d+)", name)]

"""The whole model as one picture: where every tensor has its tile.

Layers run from left to right, roles from top to bottom, so that a row shows one role through the depth of the model and
a column shows one block. What lies outside the layers stands beside them: embeddings on the left, the final norm and
the head on the right. A model without layers is a plain grid in file order. The layout is in units of an ordinary tile;
whoever draws it decides how many pixels that is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from engine.naming import ROLES, place, role_title
from engine.panorama_beside import Block, in_reading_order, moved, packed
from engine.panorama_parts import (
    Caption,
    Column,
    Member,
    Panorama,
    Proportions,
    Row,
    Tile,
    in_words,
    natural,
    part_rank,
    rank,
    words_of,
)
from engine.sources.base import TensorInfo

__all__ = ["Caption", "Column", "Member", "Panorama", "Proportions", "Row", "Tile", "panorama", "panorama_of"]

MOST_APART = 6
"""Tensors of one role in one layer that get rows of their own, told apart by their module's name; more share a tile."""

LAST_BEFORE = ROLES.index("embedding_projection")
"""The last role, in reading order, that stands before the layers."""

_STACKS = ("", "vision", "audio", "text", "encoder", "decoder")


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
        free = packed(outside, 0.0, 0, sizes)
        return _with_tiles(free, len(members))
    keys = _row_keys(inside)
    rows = _rows(inside, keys, sizes)
    height = max(row.y + row.height for row in rows.values())
    num_layers = len({_layer(member) for member in inside.values()})
    before, after = (
        packed(in_reading_order(side), height, num_layers, sizes)
        for side in (
            {i: member for i, member in outside.items() if rank(member) <= LAST_BEFORE},
            {i: member for i, member in outside.items() if rank(member) > LAST_BEFORE},
        )
    )
    columns = _columns(inside, before.width + (sizes.block_gap if before.tiles else 0.0), sizes)
    stop = columns[-1].x + columns[-1].width
    after = moved(after, stop + (sizes.block_gap if after.tiles else 0.0))
    tiles = _inner_tiles(inside, keys, rows, columns)
    return _with_tiles(
        Block(
            max(stop, after.width),
            max(height, before.height, after.height),
            {**before.tiles, **tiles, **after.tiles},
            (*before.captions, *after.captions),
        ),
        len(members),
        tuple(rows.values()),
        tuple(columns),
    )


_Key = tuple[int, str, int, str, str]
"""A row: rank of the role, role, first tensor of its module's name, that name, part."""


def _with_tiles(block: Block, count: int, rows: tuple[Row, ...] = (), columns: tuple[Column, ...] = ()) -> Panorama:
    tiles = tuple(block.tiles[i] for i in range(count))
    return Panorama(block.width, block.height, tiles, rows, columns, block.captions)


def _layer(member: Member) -> tuple[str, int | None]:
    return member.place.stack, member.place.layer


def _cell(member: Member) -> tuple[str, int | None, str, str]:
    return *_layer(member), member.place.role, member.place.part


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
        keys[i] = (rank(member), member.place.role, words[word] if word else -1, word, member.place.part)
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
    for key in sorted(most, key=lambda key: (key[:4], part_rank(key[4]), key[4])):
        role, word, part = key[1], key[3], key[4]
        name = role_title(role) + (f" · {word}" if word else "")
        title = name if part == "weight" else f"{name}, {in_words(part)}"
        y += sizes.role_gap if above not in (None, name) else 0.0
        height = _cell_height(most[key], sizes.flat if flat[key] else 1.0)
        rows[key] = Row(role, part, title, in_words(part) if above == name else title, y, height)
        y, above = y + height, name
    return rows


def _cell_height(count: int, height: float) -> float:
    """How tall a tile that `count` tensors share is, so that each can still be seen."""
    if count <= 4:
        return max(height, min(1.0, height * count))
    return 2.0 if count <= 16 else 3.0 if count <= 64 else 4.0


def _columns(inside: dict[int, Member], x: float, sizes: Proportions) -> list[Column]:
    layers = {_layer(member) for member in inside.values()}
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
        for k, i in enumerate(sorted(indices, key=lambda i: natural(inside[i].name))):
            x = columns[column].x + (k % across) * width
            tiles[i] = Tile(x, y + (k // across) * height / down, width, height / down, row, column)
    return tiles


def _module_word(name: str) -> str:
    """The last word of a tensor's name that names a module: no number, and not the tensor's own word."""
    words = words_of(name)
    return next((word for word in reversed(words[:-1]) if not word.isdigit()), words[-1])


def _stack_rank(stack: str) -> int:
    return _STACKS.index(stack) if stack in _STACKS else len(_STACKS)

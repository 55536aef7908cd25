"""What stands beside the layers of a panorama, and a model that has none: tiles packed into columns, under names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.naming import ROLES, role_title
from engine.panorama_parts import Caption, Member, Proportions, Tile, natural, part_rank, rank, words_of

MOST_CAPTIONED = 240
"""Tensors outside the layers up to which each has its name above it; more are small tiles without a name."""

MOST_WIDE = 24
"""Tensors on one side of the layers up to which their tiles are wider beside many layers."""

_VAGUE = ("other", "linear", "norm", "convolution", "convolution_norm")


@dataclass(frozen=True)
class Block:
    """Tiles by the index of their tensor, with captions; `width` and `height` are where it ends."""

    width: float
    height: float
    tiles: dict[int, Tile]
    captions: tuple[Caption, ...]


def moved(block: Block, x: float) -> Block:
    """The same block, further to the right."""
    tiles = {i: replace(tile, x=tile.x + x) for i, tile in block.tiles.items()}
    return Block(block.width + x, block.height, tiles, tuple(replace(c, x=c.x + x) for c in block.captions))


def in_reading_order(members: dict[int, Member]) -> dict[int, Member]:
    """By role, then by module, its weight first."""

    def key(item: tuple[int, Member]) -> tuple:
        module, part = words_of(item[1].name)[:-1], item[1].place.part
        return rank(item[1]), natural(".".join(module)), part_rank(part), item[0]

    return dict(sorted(members.items(), key=key))


def packed(members: dict[int, Member], height: float, num_layers: int, sizes: Proportions) -> Block:
    """Tiles in columns that fill `height` (or make a wide rectangle, where that needs less), captions above them.

    Args:
        members: in the order they shall stand. num_layers: beside which they stand; 0 for a model without layers,
            whose tensors are called by their own names.
    """
    if not members:
        return Block(0.0, 0.0, {}, ())
    is_captioned = len(members) <= MOST_CAPTIONED
    side, caption = (sizes.outside, sizes.caption) if is_captioned else (1.0, 0.0)
    width = max(side, sizes.share * num_layers) if len(members) <= MOST_WIDE else side
    words: Callable[[Member], str] = _role_words if num_layers else _short_name
    tall = max(height, side + caption, _free_height(len(members), side, caption))
    tiles, captions = {}, []
    x = y = lowest = 0.0
    for i, member in members.items():
        extent = sizes.flat if member.is_flat else side
        if y > 0 and y + caption + extent > tall + 1e-9:
            x, y = x + width + sizes.role_gap, 0.0
        if caption:
            captions.append(Caption(words(member), x, y, width, caption))
        tiles[i] = Tile(x, y + caption, width, extent)
        y += caption + extent + sizes.role_gap
        lowest = max(lowest, y - sizes.role_gap)
    return Block(x + width, lowest, tiles, tuple(captions))


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
    words = words_of(member.name)
    return ".".join(words[-2:-1] if words[-1] == "weight" and len(words) > 1 else words[-2:])

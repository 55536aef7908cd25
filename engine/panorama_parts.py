"""The pieces of a panorama: what it is laid out from, and what comes out. See `engine.panorama`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.folding import matrix_shape
from engine.naming import ROLES, Place


@dataclass(frozen=True, slots=True)
class Proportions:
    """How large things are, in ordinary tiles; chosen by us, by eye.

    Attributes:
        flat: height of a row of vectors. outside: side of a tile outside the layers. share: of the number of layers,
            what such a tile is wide at least, so that it can be seen beside many. caption: room above it.
        role_gap: between two roles. block_gap: between stacks, and between the layers and what stands beside them.
    """

    flat: float = 0.4
    outside: float = 2.0
    share: float = 0.1
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


def rank(member: Member) -> int:
    """A tensor's place in reading order, by its role."""
    return ROLES.index(member.place.role) if member.place.role in ROLES else len(ROLES)


def words_of(name: str) -> list[str]:
    """The parts of a tensor's dotted name; at least one."""
    return [word for word in re.split(r"[./]", name) if word] or [name]


def in_words(part: str) -> str:
    return part.replace("_", " ")


def part_rank(part: str) -> int:
    """Weights before biases before the rest."""
    return {"weight": 0, "bias": 1}.get(part, 2)


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which "experts.10" comes after "experts.2"."""
    return [(1, int(word), "") if word.isdecimal() else (0, 0, word) for word in re.split(r"(\d+)", name)]

"""Films of matrices: one role over the layers of a model, or one tensor over versions of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from engine.animation import Change, Frame, frame_window, read_frame
from engine.folding import matrix_shape
from engine.naming import place
from engine.sources.base import Source, TensorInfo
from workflows.versions import Version

Shows = Literal["weights", "change since the first", "change since the one before"]

SHOWS: tuple[Shows, ...] = ("weights", "change since the first", "change since the one before")


@dataclass(frozen=True)
class Member:
    """One matrix of a film.

    Attributes:
        label: what the player says of it ("layer 3", "checkpoint-100"). tick: as short as it goes.
        uri: the checkpoint. tensor: its name there. fingerprint: of the checkpoint, so that a film can be kept.
    """

    label: str
    tick: str
    uri: str
    tensor: str
    fingerprint: str


def layer_members(source: Source, info: TensorInfo) -> list[Member]:
    """The tensor's like in every layer, in order: same role, part, stack and shape.

    Where a layer has several (experts), the one whose name differs least. [] for a tensor outside the layers.
    """
    own = place(info.name, info.shape)
    if own.layer is None:
        return []
    by_layer: dict[int, list[TensorInfo]] = {}
    for other in source.infos():
        there = place(other.name, other.shape)
        is_alike = (there.role, there.part, there.stack) == (own.role, own.part, own.stack)
        if is_alike and there.layer is not None and other.shape == info.shape:
            by_layer.setdefault(there.layer, []).append(other)
    members = []
    for layer in sorted(by_layer):
        nearest = min(by_layer[layer], key=lambda other: _num_differences(other.name, info.name))
        members.append(Member(f"layer {layer}", str(layer), source.uri, nearest.name, source.fingerprint))
    return members


def version_members(versions: Sequence[Version], tensor: str) -> list[Member]:
    """The same tensor in each version, in the order given."""
    return [
        Member(
            version.label,
            version.label if version.step is None or version.step < 0 else f"{version.step:,}",
            version.location.uri,
            tensor,
            version.fingerprint,
        )
        for version in versions
    ]


def num_frames(members: Sequence[Member], shows: Shows) -> int:
    """How many frames a film has: one for each member, but none for the first where changes are shown."""
    return len(members) if shows == "weights" else max(0, len(members) - 1)


def read_film(members: Sequence[Member], shows: Shows, open_fresh: Callable[[str], Source]) -> list[Frame]:
    """Every frame, in order; all have the same cells.

    Args:
        members: at least two where changes are shown. open_fresh: uri -> its checkpoint, which is closed here; at most
            three are open at a time.
    Raises: SourceError if one cannot be read; MeasureError for too many frames, or for shapes that differ.
    """
    count = num_frames(members, shows)
    frames: list[Frame] = []
    with ExitStack() as stack:
        first = stack.enter_context(open_fresh(members[0].uri))
        info = first.info(members[0].tensor)
        window = frame_window(matrix_shape(info.shape), count)
        if shows == "weights":
            frames.append(read_frame(first, info, window, count))
        base = first, info
        previous = ExitStack()
        stack.callback(lambda: previous.close())
        for member in members[1:]:
            own = ExitStack()
            source = first if member.uri == members[0].uri else own.enter_context(open_fresh(member.uri))
            with own:
                info = source.info(member.tensor)
                if shows == "weights":
                    frames.append(read_frame(source, info, window, count))
                    continue
                frames.append(read_frame(Change(source, info, *base), info, window, count))
                if shows == "change since the one before":
                    kept = own.pop_all()
                    previous.close()
                    previous, base = kept, (source, info)
    return frames


def _num_differences(one: str, other: str) -> int:
    words, others = one.split("."), other.split(".")
    return abs(len(words) - len(others)) + sum(a != b for a, b in zip(words, others, strict=False))

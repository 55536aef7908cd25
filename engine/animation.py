"""Several matrices of one shape as frames of a film: the same cells in every frame, and one colour scale for all.

Frames are the same role over the layers of a model, or the same tensor over versions of one model, which then may show
what changed instead of what is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.colour_limits import ColourLimits, sample_entries, value_limits
from engine.colour_scales import ColourScale, Kind, linear_scale, rank_scale, symmetric_log_scale
from engine.errors import MeasureError
from engine.heatmaps import READ_BYTES, Grid, Viewport, read_grid
from engine.sources.base import Source, TensorInfo

MOST_CELLS = 1 << 21
"""Cells of all frames together: at most 8 MiB on their way to the browser; ours. More frames have fewer cells each."""

MOST_FRAMES = 256
LARGEST_FRAME = (440, 720)
"""Cells of one frame at most (rows, columns): about one per pixel of the player on an ordinary screen; ours."""

PIECE = 1 << 16
"""Entries summed at a time: half a mebibyte of float64, which stays in the cache."""

SAMPLE = 1 << 19
"""Entries of all frames together that limits and ranks are taken from."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One matrix of the film.

    Attributes:
        grid: its cells. norm: ‖W‖_F of its finite entries. std: their standard deviation (about their mean, divided by
            their number); both NaN where there is no finite entry.
        sample: (n,) float64, finite entries, evenly spaced: what colour limits and ranks are taken from.
    """

    grid: Grid
    norm: float
    std: float
    sample: np.ndarray


class Change(Source):
    """A tensor minus another of the same shape, W − W₀, read like any tensor and never whole.

    Entries are subtracted in float64 and given as float32, or as float64 where either has more than 32 bits.

    Args:
        source, info: W. base, base_info: W₀.
    Raises: MeasureError if the shapes differ.
    """

    def __init__(self, source: Source, info: TensorInfo, base: Source, base_info: TensorInfo) -> None:
        if info.shape != base_info.shape:
            raise MeasureError(
                f"{info.name!r} cannot be compared with {base_info.name!r}: {info.shape} is not {base_info.shape}.",
                "Choose versions of one model.",
            )
        self._of, self._base = (source, info.name), (base, base_info.name)
        self._info = replace(info, dtype="F32", num_bytes=4 * info.num_elements, start=None, stop=None)
        self.uri, self.name, self.format, self.files = source.uri, source.name, "change", ()
        self.is_remote = source.is_remote or base.is_remote

    def infos(self) -> tuple[TensorInfo, ...]:
        return (self._info,)

    def info(self, name: str) -> TensorInfo:
        return self._info

    def read(self, name: str) -> np.ndarray:
        return _minus(self._of[0].read(self._of[1]), self._base[0].read(self._base[1]))

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        parts = (source.read_rows(tensor, start, stop) for source, tensor in (self._of, self._base))
        return _minus(*parts)

    def content_hash(self, on_bytes=None) -> str:
        raise MeasureError("A change has no bytes of its own.", "Ask the two checkpoints for theirs.")

    @property
    def fingerprint(self) -> str:
        return f"{self._of[0].fingerprint}-{self._base[0].fingerprint}"

    @property
    def metadata(self) -> dict[str, str]:
        return {}

    @property
    def config(self) -> dict:
        return {}

    def close(self) -> None:
        """The two checkpoints belong to whoever opened them."""


def frame_window(shape: tuple[int, int], num_frames: int) -> Viewport:
    """The whole of a matrix at a size of which `num_frames` fit into `MOST_CELLS`: the same for every frame.

    Raises: MeasureError for more than `MOST_FRAMES` frames.
    """
    if num_frames > MOST_FRAMES:
        raise MeasureError(f"{num_frames} frames are more than {MOST_FRAMES}.", "Choose fewer layers or versions.")
    height, width = min(shape[0], LARGEST_FRAME[0]), min(shape[1], LARGEST_FRAME[1])
    shrink = min(1.0, math.sqrt(MOST_CELLS / max(1, num_frames * height * width)))
    return Viewport(0, shape[0], 0, shape[1], max(1, int(height * shrink)), max(1, int(width * shrink)))


def read_frame(source: Source, info: TensorInfo, window: Viewport, num_frames: int = 1) -> Frame:
    """One frame, reading the tensor in pieces.

    Args:
        source, info: the tensor, or a `Change`. window: of `frame_window`. num_frames: how many share `SAMPLE`.
    """
    norm, std = _norm_and_std(source, info)
    sample = sample_entries(source, info)
    stride = max(1, -(-sample.size * num_frames // SAMPLE))
    return Frame(read_grid(source, info, window), norm, std, sample[::stride].copy())


def shared_scale(frames: Sequence[Frame], kind: Kind, percent: float | None) -> ColourScale:
    """One scale for some frames: as of a single tensor with all their entries (`engine.colour_limits`).

    Args:
        frames: at least one; give one alone for a scale of its own. percent: of all their sampled entries; None for the
            full range of their cells.
    """
    entries = np.concatenate([frame.sample for frame in frames])
    if kind == "rank":
        return rank_scale(entries)
    if percent is None:
        cells = [frame.grid.values[np.isfinite(frame.grid.values)].astype(np.float64) for frame in frames]
        entries = np.concatenate([entries, *cells])
    limits: ColourLimits = value_limits(entries, percent)
    return linear_scale(limits) if kind == "linear" else symmetric_log_scale(limits)


def _norm_and_std(source: Source, info: TensorInfo) -> tuple[float, float]:
    """‖W‖_F and standard deviation of the finite entries: sums of x − c and (x − c)² in float64, c the first mean."""
    count, shift, total, squares = 0, 0.0, 0.0, 0.0
    for values in _pieces(source, info):
        own, square = float(values.sum()), float(values @ values)
        if not math.isfinite(square):
            values = values[np.isfinite(values)]
            own = float(values.sum())
        if values.size == 0:
            continue
        shift = shift if count else own / values.size
        values -= shift
        total += float(values.sum())
        squares += float(values @ values)
        count += values.size
    if count == 0:
        return math.nan, math.nan
    norm2 = squares + 2 * shift * total + count * shift * shift
    variance = squares / count - (total / count) ** 2
    return tuple(0.0 if square < 0 else math.sqrt(square) for square in (norm2, variance))  # rounding; NaN stays NaN


def _pieces(source: Source, info: TensorInfo) -> Iterator[np.ndarray]:
    """All entries as float64, a cache's worth at a time; the caller may write on them."""
    for block in _blocks(source, info):
        flat = block.reshape(-1)
        for start in range(0, flat.size, PIECE):
            piece = flat[start : start + PIECE]
            yield np.array(np.abs(piece) if piece.dtype.kind == "c" else piece, np.float64)


def _blocks(source: Source, info: TensorInfo) -> Iterator[np.ndarray]:
    if len(info.shape) == 0:
        yield np.asarray(source.read(info.name))
        return
    width = max(1, info.num_elements // max(1, info.shape[0]))
    step = max(1, READ_BYTES // (8 * width))
    for start in range(0, info.shape[0], step):
        yield source.read_rows(info.name, start, min(info.shape[0], start + step))


def _minus(values: np.ndarray, base: np.ndarray) -> np.ndarray:
    is_wide = max(_digits(values.dtype), _digits(base.dtype)) > 4
    with np.errstate(invalid="ignore", over="ignore"):  # Inf − Inf is NaN, and is shown as that
        change = _real(values) - _real(base)
        return change if is_wide else change.astype(np.float32)


def _real(values: np.ndarray) -> np.ndarray:
    return (np.abs(values) if values.dtype.kind == "c" else np.asarray(values)).astype(np.float64)


def _digits(dtype: np.dtype) -> int:
    """Bytes of float that hold the type's numbers: 32-bit integers need 8."""
    return 8 if dtype.kind in "iuc" and dtype.itemsize >= 4 else dtype.itemsize

"""Which tensors of a checkpoint have a signature, where their heads lie, and taking it."""

from __future__ import annotations

import numpy as np

from engine.attention.blocks import PARTS, attention_blocks
from engine.attention.heads import Heads, split_heads
from engine.discovery.signature.facts import HeadRun
from engine.discovery.signature.taking import Signature, SignatureSettings, sample_runs, signature
from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.naming import Place, place
from engine.sources.base import ByteCallback, Source, TensorInfo
from engine.spectra.reading import has_spectrum

NULL_ELEMENTS = 1 << 22
"""Entries of a matrix that nulls are made of at most; chosen by us: a second or two each."""

_NO_WEIGHTS = frozenset({"attention_mask", "rotary"})
_PACKED = frozenset({"qweight", "qzeros", "weight_packed", "absmax", "quant_map"})


def has_signature(info: TensorInfo, where: Place | None = None) -> bool:
    """Whether a tensor is a matrix of weights, or folds to one: at least 2 × 2, real numbers, no mask, not packed."""
    where = where or place(info.name, info.shape)
    is_real = info.dtype not in ("BOOL", "I64", "I32", "U64", "U32") and not info.dtype.startswith("C")
    return has_spectrum(info) and is_real and where.role not in _NO_WEIGHTS and where.part not in _PACKED


def tensor_signature(
    source: Source,
    info: TensorInfo,
    settings: SignatureSettings | None = None,
    *,
    heads: tuple[HeadRun, ...] = (),
    on_bytes: ByteCallback | None = None,
) -> Signature:
    """Read one tensor of a checkpoint and take its signature; of a large one only the sample is looked at.

    Args: heads: from `head_runs`. on_bytes: may raise Cancelled.
    Raises: MeasureError if it has none; SourceError if it cannot be read; HubError; Cancelled.
    """
    return signature(source.read(info.name), settings, heads=heads, on_bytes=on_bytes)


def read_for_null(
    source: Source, info: TensorInfo, heads: tuple[HeadRun, ...]
) -> tuple[np.ndarray, tuple[HeadRun, ...]]:
    """The matrix that nulls are made of, and the heads that are still whole in it.

    Of a matrix of more than `NULL_ELEMENTS`, runs of rows (or columns) stand for the whole.

    Returns: (rows, cols) float32, and `heads`, or none of them where the sample cuts across.
    Raises: MeasureError if it holds NaN or ±Inf; SourceError.
    """
    matrix = np.asarray(source.read(info.name)).reshape(matrix_shape(info.shape))
    if matrix.size > NULL_ELEMENTS:
        axis, runs = sample_runs(matrix.shape, NULL_ELEMENTS)
        matrix = np.concatenate([matrix[run] if axis == 0 else matrix[:, run] for run in runs], axis)
        heads = () if any(head.axis == axis for head in heads) else heads
    matrix = matrix.astype(np.float32)
    if not np.isfinite(matrix).all():
        raise MeasureError(f"{info.name} holds NaN or infinite values.")
    return matrix, heads


def head_runs(source: Source) -> dict[str, tuple[HeadRun, ...]]:
    """Tensor -> where the parts of its heads lie, of every attention whose config says how many there are.

    Only headers are read. A number of heads that would have to be guessed is left out.
    """
    infos = source.infos()
    found: dict[str, set[tuple[int, int, int]]] = {}
    for block in attention_blocks(infos):
        try:
            heads = split_heads(source, block)
        except MeasureError:  # an attention of another form: its matrices have a signature without heads
            continue
        if heads.origin == "config":
            _add_runs(found, heads)
    return {name: tuple(HeadRun(*run) for run in sorted(runs)) for name, runs in found.items() if len(runs) > 1}


def _add_runs(found: dict[str, set[tuple[int, int, int]]], heads: Heads) -> None:
    for part in PARTS:
        for head in range(heads.num_heads):
            where = heads.slice(part, head)
            if where is not None:
                found.setdefault(where.info.name, set()).add((where.axis, where.start, where.stop))

"""The difference of two matched tensors of two open checkpoints, read in bounded pieces."""

from __future__ import annotations

from dataclasses import replace

from engine.compare.difference import TOLERANCE, Difference, DifferenceSum
from engine.compare.matching import Match
from engine.compare.views import piece_rows, rows_of_a, rows_of_b
from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.sources.base import ByteCallback, Source


def compare_match(
    source_a: Source,
    source_b: Source,
    match: Match,
    *,
    tolerance: float = TOLERANCE,
    threads: int | None = None,
    on_bytes: ByteCallback | None = None,
) -> Difference:
    """Every metric of the difference of two tensors that belong together.

    Args: as `engine.compare.difference.difference`. on_bytes: told of bytes as they are in memory, of both.
    Raises: MeasureError if their shapes do not agree or the entries are no real numbers; SourceError.
    """
    if not match.is_comparable:
        raise MeasureError(
            f"{match.name_a} of A is {list(match.shape_a)}, {match.name_b} of B is {list(match.shape_b)}: no entry "
            "stands against another.",
            "Only tensors of one shape are compared entry by entry.",
        )
    sums = DifferenceSum(tolerance, threads, on_bytes)
    is_mapped = not (source_a.is_remote or source_b.is_remote)
    step = piece_rows(match, source_a.info(match.name_a), source_b.info(match.name_b), is_mapped)
    rows = match.compared_shape[0] if match.compared_shape else 1
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        sums.add(rows_of_a(source_a, match, start, stop), rows_of_b(source_b, match, start, stop))
    found = sums.result(matrix_shape(match.compared_shape)[1])
    return replace(found, is_bitwise=found.is_bitwise and match.dtype_a == match.dtype_b)  # decoded types look alike

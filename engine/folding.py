"""How a tensor of any number of dimensions is looked at as one matrix."""

from __future__ import annotations

import math


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The (rows, columns) under which a tensor is shown and its row and column statistics are taken.

    The first dimension is the rows, all others together the columns in storage order, so that a row is always a
    contiguous run of the file: (out, in, kh, kw) becomes (out, in·kh·kw). A vector is one row, a scalar 1 × 1.

    Args:
        shape: any shape, zero-size dimensions included.
    Returns: (rows, columns); their product is the number of elements.
    """
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return 1, shape[0]
    return shape[0], math.prod(shape[1:])

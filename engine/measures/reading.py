"""Reading a tensor: its distribution, its profiles and every registered measure."""

from __future__ import annotations

import math

import numpy as np

from engine.errors import Cancelled, HubError, WeightscopeError
from engine.measures.compilation import warm_up as warm_up
from engine.measures.distribution import distribution_and_profiles
from engine.measures.registry import MEASURES
from engine.measures.results import TensorReading
from engine.sources.base import ByteCallback, Source, TensorInfo


def measure_tensor(
    source: Source, info: TensorInfo, *, threads: int | None = None, on_bytes: ByteCallback | None = None
) -> TensorReading:
    """Read one tensor of a checkpoint and measure it.

    Args:
        source: the open checkpoint. info: which of its tensors.
        threads: how many to use, at most; None for all cores. The numbers do not depend on it.
        on_bytes: called as the work proceeds with the stored bytes done since the last call.
    Returns: the reading; a tensor that cannot be read or measured gives one with its `error` and NaN for every measure.
    Raises: Cancelled, if `on_bytes` raises it; HubError if a remote tensor cannot be fetched.
    """
    try:
        array = source.read(info.name)
        if on_bytes is not None and array.nbytes != info.num_bytes:  # packed or quantised
            on_bytes = _in_stored_bytes(on_bytes, info.num_bytes, array.nbytes)
        return measure_array(array, threads=threads, on_bytes=on_bytes)
    except (Cancelled, HubError):  # a network that fails says nothing about the tensor
        raise
    except WeightscopeError as error:
        return TensorReading(None, None, None, dict.fromkeys(MEASURES, math.nan), error=str(error))


def measure_array(
    array: np.ndarray, *, threads: int | None = None, on_bytes: ByteCallback | None = None
) -> TensorReading:
    """Measure an array of any shape, of any type that a Source gives; it is never changed.

    Args: array: any shape, memory-mapped or not. threads, on_bytes: as in `measure_tensor`.
    Raises: MeasureError for complex numbers; Cancelled, if `on_bytes` raises it.
    """
    found, rows, columns = distribution_and_profiles(array, threads=threads, on_bytes=on_bytes)
    values = {name: entry.value(found, rows, columns) for name, entry in MEASURES.items()}
    return TensorReading(found, rows, columns, values)


def _in_stored_bytes(on_bytes: ByteCallback, stored: int, in_memory: int) -> ByteCallback:
    """A callback for bytes as they are in memory, which tells `on_bytes` of as large a part of the stored ones."""
    done = told = 0

    def tell(num_bytes: int) -> None:
        nonlocal done, told
        done += num_bytes
        before, told = told, done * stored // in_memory
        on_bytes(told - before)

    return tell

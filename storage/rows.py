"""Records as Arrow tables: the fastest way of many rows into DuckDB."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from engine.errors import StorageError
from storage.measures import Measures
from storage.records import ModelRecord, TensorRecord

_COUNTS = ("count", "num_nan", "num_posinf", "num_neginf", "num_zero")
_NUMBERS = ("minimum", "maximum", "mean", "m2", "m3", "m4", "l1", "l2", "bin_low", "bin_high")


def model_rows(model: ModelRecord, measures: Measures, settings_hash: str) -> dict[str, pa.Table]:
    """The rows of one model, by table name; the column `model` is added when they are inserted.

    Raises: StorageError for a name twice, a measure nobody registered, or text that is not Unicode.
    """
    tensors = model.tensors
    try:
        return {
            "tensor": _tensors(tensors),
            "tensor_failure": _failures(tensors),
            "measurement": _measurements(tensors, measures, settings_hash),
            "model_measure": _model_measures(tensors, measures, settings_hash),
            "distribution": _distributions(tensors),
            "axis_profile": _axis_profiles(tensors),
            "thumbnail": _thumbnails(tensors),
        }
    except (pa.ArrowException, UnicodeError) as error:
        raise StorageError(f"The readings of {model.name} cannot be stored: {error}.") from error


def taken_measures(tensors: Sequence[TensorRecord], measures: Measures) -> list[str]:
    """Names of the measures that a model's readings carry; all registered ones if it has no tensors.

    Raises: StorageError for a measure nobody registered.
    """
    names = dict.fromkeys(name for record in tensors for name in record.reading.values) if tensors else measures
    unknown = sorted(name for name in names if name not in measures)
    if unknown:
        raise StorageError(f"The readings carry measures that are not registered: {', '.join(unknown)}.")
    return list(names)


def _tensors(tensors: Sequence[TensorRecord]) -> pa.Table:
    names = [record.info.name for record in tensors]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise StorageError(f"The tensor {twice} comes twice in one model.")
    return pa.table(
        {
            "tensor": pa.array(names, pa.string()),
            "position": pa.array(range(len(tensors)), pa.int32()),
            "shape": pa.array([list(record.info.shape) for record in tensors], pa.list_(pa.int64())),
            "dtype": pa.array([record.info.dtype for record in tensors], pa.string()),
            "layer": pa.array([record.place.layer for record in tensors], pa.int32()),
            "role": pa.array([record.place.role for record in tensors], pa.string()),
            "part": pa.array([record.place.part for record in tensors], pa.string()),
            "stack": pa.array([record.place.stack for record in tensors], pa.string()),
            "num_elements": pa.array([record.info.num_elements for record in tensors], pa.int64()),
            "num_bytes": pa.array([record.info.num_bytes for record in tensors], pa.int64()),
            "file": pa.array([record.info.file for record in tensors], pa.string()),
        }
    )


def _failures(tensors: Sequence[TensorRecord]) -> pa.Table:
    failed = [(record.info.name, record.reading.error) for record in tensors if record.reading.error is not None]
    return pa.table(
        {
            "tensor": pa.array([name for name, _ in failed], pa.string()),
            "reason": pa.array([reason for _, reason in failed], pa.string()),
        }
    )


def _measurements(tensors: Sequence[TensorRecord], measures: Measures, settings_hash: str) -> pa.Table:
    taken = taken_measures(tensors, measures)
    index = {name: number for number, name in enumerate(taken)}
    which_tensor: list[int] = []
    which_measure: list[int] = []
    values: list[float] = []
    for number, record in enumerate(tensors):
        found = record.reading.values
        which_tensor.extend([number] * len(found))
        which_measure.extend([index[name] for name in found])
        values.extend(found.values())
    measure_index = pa.array(which_measure, pa.int32())
    versions = pa.array([measures[name].version for name in taken], pa.int32())
    return pa.table(
        {
            "tensor": _looked_up(which_tensor, [record.info.name for record in tensors]),
            "measure": pa.DictionaryArray.from_arrays(measure_index, pa.array(taken, pa.string())),
            "version": versions.take(measure_index),
            "settings_hash": _looked_up([0] * len(values), [settings_hash]),
            "value": nullable(values),
        }
    )


def _model_measures(tensors: Sequence[TensorRecord], measures: Measures, settings_hash: str) -> pa.Table:
    taken = taken_measures(tensors, measures)
    return pa.table(
        {
            "measure": pa.array(taken, pa.string()),
            "version": pa.array([measures[name].version for name in taken], pa.int32()),
            "settings_hash": pa.array([settings_hash] * len(taken), pa.string()),
        }
    )


def _distributions(tensors: Sequence[TensorRecord]) -> pa.Table:
    kept = [(r.info.name, r.reading.distribution) for r in tensors if r.reading.distribution is not None]
    found = [distribution for _, distribution in kept]
    columns: dict[str, pa.Array] = {"tensor": pa.array([name for name, _ in kept], pa.string())}
    columns |= {name: pa.array([int(getattr(d, name)) for d in found], pa.int64()) for name in _COUNTS}
    columns |= {name: nullable([getattr(d, name) for d in found]) for name in _NUMBERS}
    columns["quantiles"] = lists([d.quantiles for d in found], np.float64, nan_is_null=True)
    columns["bin_counts"] = lists([d.bin_counts for d in found], np.int64)
    return pa.table(columns)


def _axis_profiles(tensors: Sequence[TensorRecord]) -> pa.Table:
    kept = [
        (record.info.name, axis, profile)
        for record in tensors
        for axis, profile in (("row", record.reading.rows), ("column", record.reading.columns))
        if profile is not None
    ]
    return pa.table(
        {
            "tensor": pa.array([name for name, _, _ in kept], pa.string()),
            "axis": pa.array([axis for _, axis, _ in kept], pa.string()),
            "l2": lists([profile.l2 for _, _, profile in kept], np.float32),
            "abs_max": lists([profile.abs_max for _, _, profile in kept], np.float32),
            "num_zero": lists([profile.num_zero for _, _, profile in kept], np.uint32),
            "num_nonfinite": lists([profile.num_nonfinite for _, _, profile in kept], np.uint32),
        }
    )


def _thumbnails(tensors: Sequence[TensorRecord]) -> pa.Table:
    kept = [(record.info.name, record.thumbnail.values) for record in tensors if record.thumbnail is not None]
    return pa.table(
        {
            "tensor": pa.array([name for name, _ in kept], pa.string()),
            "num_rows": pa.array([values.shape[0] for _, values in kept], pa.int32()),
            "num_columns": pa.array([values.shape[1] for _, values in kept], pa.int32()),
            "values": lists([values.ravel() for _, values in kept], np.float32),
        }
    )


def nullable(values: Sequence[float]) -> pa.Array:
    """float64 with NULL for NaN: what is undefined is no number."""
    return pa.array(np.asarray(values, np.float64), pa.float64(), from_pandas=True)


def _looked_up(indices: Sequence[int], texts: Sequence[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(texts, pa.string()))


def lists(arrays: Sequence[np.ndarray], dtype: type, *, nan_is_null: bool = False) -> pa.Array:
    """Arrays of any lengths as one Arrow list column, without a Python object for each number."""
    offsets = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum([len(array) for array in arrays], out=offsets[1:])
    flat = np.concatenate([np.zeros(0, dtype), *arrays]).astype(dtype, copy=False)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat, from_pandas=nan_is_null))

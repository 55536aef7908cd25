"""What was read of a model's tensors: statistics as tables, distributions, profiles, pictures."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from engine.measures.results import AxisProfile, Distribution
from storage.connection import first_row
from storage.database import Database
from storage.models import model_key
from storage.records import TensorFailure

Axis = Literal["row", "column"]

_DISTRIBUTION = (
    "count, num_nan, num_posinf, num_neginf, num_zero, minimum, maximum, mean, m2, m3, m4, l1, l2, "
    "quantiles, bin_counts, bin_low, bin_high"
)


class Readings:
    """The part of the store that gives back what extraction measured. Every `model` is a name or a content hash."""

    _database: Database

    def tensor_stats(self, model: str) -> pd.DataFrame:
        """The view `tensor_stats` of one model: a row per tensor in file order, a column per measure; NaN: undefined.

        `layer` is a nullable integer. An unknown model gives no rows, but all columns.
        """
        return self._view("tensor_stats", model, "position")

    def layer_stats(self, model: str) -> pd.DataFrame:
        """The view `layer_stats` of one model: a row per stack, layer and role; what lies outside the layers first."""
        return self._view("layer_stats", model, "stack, layer NULLS FIRST, role")

    def model_stats(self, model: str | None = None) -> pd.DataFrame:
        """The view `model_stats`, of one model or of all: a row per model."""
        return self._view("model_stats", model, "lower(model), model")

    def tensor_values(self, model: str, tensor: str) -> dict[str, float]:
        """Every stored measure of one tensor: measure -> value, NaN where undefined; {} if it was not measured."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT measure, value FROM measurement WHERE model = ? AND tensor = ?",
                [model_key(connection, model), tensor],
            ).fetchall()
        return {name: np.nan if value is None else value for name, value in rows}

    def all_values(self, model: str) -> dict[str, dict[str, float]]:
        """Every stored measure of every tensor: tensor -> measure -> value, NaN where undefined."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT tensor, measure, value FROM measurement WHERE model = ?", [model_key(connection, model)]
            ).fetchall()
        values: dict[str, dict[str, float]] = {}
        for tensor, measure, value in rows:
            values.setdefault(tensor, {})[measure] = np.nan if value is None else value
        return values

    def axis_profiles(self, model: str) -> dict[tuple[str, str], AxisProfile]:
        """The profiles of all tensors: (tensor, "row" or "column") -> profile."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT tensor, axis, l2, abs_max, num_zero, num_nonfinite FROM axis_profile WHERE model = ?",
                [model_key(connection, model)],
            ).fetchnumpy()
        types = {"l2": np.float32, "abs_max": np.float32, "num_zero": np.int64, "num_nonfinite": np.int64}
        return {
            (str(found["tensor"][i]), str(found["axis"][i])): AxisProfile(
                *(np.asarray(found[name][i], dtype) for name, dtype in types.items())
            )
            for i in range(len(found["tensor"]))
        }

    def distribution(self, model: str, tensor: str) -> Distribution | None:
        """The stored distribution of one tensor, exactly as it was measured; None if there is none."""
        row = self._row("distribution", _DISTRIBUTION, model, tensor)
        if row is None:
            return None
        counts, numbers = row[:5], [np.nan if value is None else value for value in row[5:13]]
        quantiles = np.array(row[13], np.float64)  # None becomes NaN
        low, high = (np.nan if value is None else value for value in row[15:17])
        return Distribution(*counts, *numbers, quantiles, np.array(row[14], np.int64), low, high)

    def axis_profile(self, model: str, tensor: str, axis: Axis) -> AxisProfile | None:
        """The profile along the rows or the columns of one tensor; None if there is none."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT l2, abs_max, num_zero, num_nonfinite FROM axis_profile "
                "WHERE model = ? AND tensor = ? AND axis = ?",
                [model_key(connection, model), tensor, axis],
            ).fetchnumpy()
        if len(found["l2"]) == 0:
            return None
        floats = [np.asarray(found[name][0], np.float32) for name in ("l2", "abs_max")]
        return AxisProfile(*floats, *(np.asarray(found[name][0], np.int64) for name in ("num_zero", "num_nonfinite")))

    def thumbnails(self, model: str) -> dict[str, np.ndarray]:
        """The small pictures of a model's tensors, in file order: name -> (h, w) float32."""
        with self._database.reading() as connection:
            key = model_key(connection, model)
            found = connection.execute(
                "SELECT tensor, num_rows, num_columns, values FROM thumbnail JOIN tensor USING (model, tensor) "
                "WHERE model = ? ORDER BY position",
                [key],
            ).fetchnumpy()
        columns = (found[name] for name in ("tensor", "num_rows", "num_columns", "values"))
        return {
            str(name): np.asarray(cells, np.float32).reshape(height, width)
            for name, height, width, cells in zip(*columns, strict=True)
        }

    def thumbnail(self, model: str, tensor: str) -> np.ndarray | None:
        """The small picture of one tensor, (h, w) float32; None if there is none."""
        row = self._row("thumbnail", "num_rows, num_columns, values", model, tensor)
        return None if row is None else np.array(row[2], np.float32).reshape(row[0], row[1])

    def failures(self, model: str) -> list[TensorFailure]:
        """The tensors that could not be measured, in file order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT tensor, reason FROM tensor_failure JOIN tensor USING (model, tensor) "
                "WHERE model = ? ORDER BY position",
                [model_key(connection, model)],
            ).fetchall()
        return [TensorFailure(*row) for row in rows]

    def _row(self, table: str, columns: str, model: str, tensor: str) -> tuple | None:
        with self._database.reading() as connection:
            return first_row(
                connection,
                f"SELECT {columns} FROM {table} WHERE model = ? AND tensor = ?",  # noqa: S608 — names of ours
                [model_key(connection, model), tensor],
            )

    def _view(self, view: str, model: str | None, order: str) -> pd.DataFrame:
        with self._database.reading() as connection:
            condition, values = "true", []
            if model is not None:
                found = first_row(connection, "SELECT name FROM model WHERE id = ?", [model_key(connection, model)])
                condition, values = "model = ?", list(found or [None])
            statement = f"SELECT * FROM {view} WHERE {condition} ORDER BY {order}"  # noqa: S608 — names of ours
            frame = connection.sql(statement, params=values).to_arrow_table().to_pandas()
        return frame.astype({"layer": "Int64"}) if "layer" in frame else frame

"""Spectra: singular values in a table of their own, the numbers that come of them beside all other measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from engine.errors import StorageError
from engine.spectra.registry import SPECTRAL_MEASURES
from engine.spectra.results import SpectralReading
from storage.database import Database
from storage.measures import learn_measures
from storage.models import model_key
from storage.rows import lists, nullable
from storage.views import create_views

FIRST_POSITION = 1000
"""Spectral columns come after all others in the views."""

_PLACES = "tensor, position, layer, role, part, stack, shape, dtype, num_elements"


@dataclass(frozen=True, eq=False)
class SpectrumRecord:
    """The spectrum of one tensor, as the job hands it to storage: the tensor's name, its matrix, its reading."""

    tensor: str
    num_rows: int
    num_columns: int
    reading: SpectralReading


@dataclass(frozen=True, eq=False)
class StoredSpectrum:
    """A spectrum as it was stored.

    Attributes:
        num_rows, num_columns: of the matrix.
        singular_values: float64, descending; empty where there is a problem.
        errors: of each estimated value, relative to it; empty for exact ones.
        is_estimate: whether these are only the largest. problem: why there are none; None if there are.
        values: spectral measure -> value, NaN where undefined.
    """

    num_rows: int
    num_columns: int
    singular_values: np.ndarray
    errors: np.ndarray
    is_estimate: bool
    problem: str | None
    values: dict[str, float]


class Spectra:
    """The part of the store that keeps spectra. Every `model` is a name or a content hash."""

    _database: Database

    def save_spectra(self, model: str, records: Sequence[SpectrumRecord], settings_hash: str) -> None:
        """Store the spectra of a measured model in one transaction, in place of all it had; nothing else is touched.

        Args: settings_hash: of the settings under which they were taken.
        Raises: StorageError if the model is not in the database, or lacks one of the tensors; then nothing was written.
        """
        try:
            tables = _rows(records, settings_hash)
        except (pa.ArrowException, UnicodeError) as error:
            raise StorageError(f"The spectra of {model} cannot be stored: {error}.") from error
        with self._database.writing() as connection:
            key = model_key(connection, model)
            _check_tensors(connection, key, model, records)
            if learn_measures(connection, SPECTRAL_MEASURES, FIRST_POSITION):
                create_views(connection)
            _forget_spectra(connection, key)
            for table, rows in tables.items():
                connection.register("incoming", rows)
                names = ", ".join(rows.column_names)
                connection.execute(f"INSERT INTO {table} (model, {names}) SELECT ?, {names} FROM incoming", [key])  # noqa: S608
                connection.unregister("incoming")

    def has_spectra(self, model: str, settings_hash: str | None = None) -> bool:
        """Whether every spectral measure, in its present version, was taken of this model.

        Args: settings_hash: under just these settings; None for any.
        """
        with self._database.reading() as connection:
            taken = connection.execute(
                "SELECT measure, version FROM model_measure WHERE model = ? AND coalesce(settings_hash = ?, true)",
                [model_key(connection, model), settings_hash],
            ).fetchall()
        return {(entry.name, entry.version) for entry in SPECTRAL_MEASURES.values()} <= set(taken)

    def spectrum(self, model: str, tensor: str) -> StoredSpectrum | None:
        """The stored spectrum of one tensor; None if none was taken of it."""
        with self._database.reading() as connection:
            key = model_key(connection, model)
            found = connection.execute(
                "SELECT num_rows, num_columns, is_estimate, problem, singular_values, errors FROM spectrum "
                "WHERE model = ? AND tensor = ?",
                [key, tensor],
            ).fetchnumpy()
            numbers = connection.execute(
                "SELECT measure, value FROM measurement WHERE model = ? AND tensor = ? AND list_contains(?, measure)",
                [key, tensor, list(SPECTRAL_MEASURES)],
            ).fetchall()
        if len(found["num_rows"]) == 0:
            return None
        problem = found["problem"][0]
        return StoredSpectrum(
            num_rows=int(found["num_rows"][0]),
            num_columns=int(found["num_columns"][0]),
            singular_values=np.asarray(found["singular_values"][0], np.float64),
            errors=np.asarray(found["errors"][0], np.float64),
            is_estimate=bool(found["is_estimate"][0]),
            problem=problem if isinstance(problem, str) else None,
            values={name: np.nan if value is None else value for name, value in numbers},
        )

    def spectral_stats(self, model: str) -> pd.DataFrame:
        """Every tensor of the model that has a spectrum, in file order: its place, and a column for each measure.

        `layer` is a nullable integer; NaN is undefined. No spectra give no rows, but all columns.
        """
        picks = ", ".join(
            f"max(v.value) FILTER (v.measure = '{name}') AS {name}"  # names of ours: Python functions
            for name in SPECTRAL_MEASURES
        )
        with self._database.reading() as connection:
            frame = connection.sql(
                f"SELECT {_PLACES}, is_estimate, problem, {picks} "  # noqa: S608 — names of ours
                "FROM spectrum s JOIN tensor t USING (model, tensor) LEFT JOIN measurement v USING (model, tensor) "
                "WHERE s.model = ? GROUP BY ALL ORDER BY position",
                params=[model_key(connection, model)],
            )
            return frame.to_arrow_table().to_pandas().astype({"layer": "Int64"})


def _check_tensors(
    connection: duckdb.DuckDBPyConnection, key: int | None, model: str, records: Sequence[SpectrumRecord]
) -> None:
    if key is None:
        raise StorageError(f"The model {model} is not in the database.", "Measure its statistics first.")
    known = {name for (name,) in connection.execute("SELECT tensor FROM tensor WHERE model = ?", [key]).fetchall()}
    strange = [record.tensor for record in records if record.tensor not in known]
    if strange:
        raise StorageError(f"The model {model} has no tensor {strange[0]}.", "Measure the model again.")


def _forget_spectra(connection: duckdb.DuckDBPyConnection, key: int) -> None:
    connection.execute("DELETE FROM spectrum WHERE model = ?", [key])
    for table in ("measurement", "model_measure"):
        connection.execute(
            f"DELETE FROM {table} WHERE model = ? AND list_contains(?, measure)",  # noqa: S608 — a name of ours
            [key, list(SPECTRAL_MEASURES)],
        )


def _rows(records: Sequence[SpectrumRecord], settings_hash: str) -> dict[str, pa.Table]:
    """The rows of a model's spectra by table name; the column `model` is added when they are inserted."""
    singular = [record.reading.singular for record in records]
    nothing = np.zeros(0)
    spectrum = {
        "tensor": pa.array([record.tensor for record in records], pa.string()),
        "num_rows": pa.array([record.num_rows for record in records], pa.int64()),
        "num_columns": pa.array([record.num_columns for record in records], pa.int64()),
        "is_estimate": pa.array([each is not None and each.is_estimate for each in singular], pa.bool_()),
        "singular_values": lists([nothing if each is None else each.values for each in singular], np.float64),
        "errors": lists([nothing if each is None else each.errors for each in singular], np.float64),
        "problem": pa.array([record.reading.problem for record in records], pa.string()),
    }
    each_value = [(record.tensor, name, value) for record in records for name, value in record.reading.values.items()]
    measurement = {
        "tensor": pa.array([tensor for tensor, _, _ in each_value], pa.string()),
        "measure": pa.array([name for _, name, _ in each_value], pa.string()),
        "version": pa.array([SPECTRAL_MEASURES[name].version for _, name, _ in each_value], pa.int32()),
        "settings_hash": pa.array([settings_hash] * len(each_value), pa.string()),
        "value": nullable([value for _, _, value in each_value]),
    }
    taken = {
        "measure": pa.array(list(SPECTRAL_MEASURES), pa.string()),
        "version": pa.array([entry.version for entry in SPECTRAL_MEASURES.values()], pa.int32()),
        "settings_hash": pa.array([settings_hash] * len(SPECTRAL_MEASURES), pa.string()),
    }
    tables = {"spectrum": spectrum, "measurement": measurement, "model_measure": taken}
    return {name: pa.table(columns) for name, columns in tables.items()}

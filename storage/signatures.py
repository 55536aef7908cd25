"""Signatures of matrices and models: kept as they were taken, and in standard units to be compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from engine.discovery.signature import FEATURES, MODEL_FEATURES, VERSION, Signature, model_signature
from engine.errors import StorageError
from engine.naming import Place
from storage.connection import first_row
from storage.database import Database
from storage.models import model_key
from storage.rows import nullable
from storage.signature_fit import SignatureFit, add_to_index, is_stale, latest_fit, learn_features, refit
from storage.vectors import from_vectors, vectors

TENSORS, INDEX, MODELS = (f"{name}_v{VERSION}" for name in ("signature", "signature_index", "model_signature"))


@dataclass(frozen=True, eq=False)
class SignatureRecord:
    """The signature of one matrix as the job hands it to storage; None with the reason if there is none."""

    tensor: str
    place: Place
    signature: Signature | None
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class SignatureTable:
    """Signatures of many matrices, or of models.

    Attributes:
        places: one row each, in the order of the arrays: model, family, and of matrices also tensor, layer, role,
            stack and share.
        values: (t, n) float64, as they were taken; NaN where undefined.
        standard: (t, n) float32, in standard units; 0 where undefined.
        names: (n,) what the numbers are.
    """

    places: pd.DataFrame
    values: np.ndarray
    standard: np.ndarray
    names: tuple[str, ...]


class Signatures:
    """The part of the store that keeps signatures. Every `model` is a name or a content hash."""

    _database: Database

    def save_signatures(
        self, model: str, records: Sequence[SignatureRecord], settings_hash: str, elapsed_s: float = 0.0
    ) -> None:
        """Store the signatures of a measured model and its own one in one transaction, in place of all it had.

        Centres and units are fitted anew when many matrices have come since the last time (`signature_fit.is_stale`).

        Args: settings_hash: of the settings under which they were taken (`SignatureSettings.hash`).
        Raises: StorageError if the model is not in the database; then nothing was written.
        """
        try:
            rows = _rows(records)
        except (pa.ArrowException, UnicodeError) as error:
            raise StorageError(f"The signatures of {model} cannot be stored: {error}.") from error
        kept = [record for record in records if record.signature is not None]
        values = np.array([record.signature.values for record in kept]).reshape(len(kept), len(FEATURES))
        whole = model_signature([record.place for record in kept], values)
        with self._database.writing() as connection:
            key = model_key(connection, model)
            if key is None:
                raise StorageError(f"The model {model} is not in the database.", "Measure its statistics first.")
            for table in (TENSORS, INDEX, MODELS):
                connection.execute(f"DELETE FROM {table} WHERE model = ?", [key])  # noqa: S608 — names of ours
            learn_features(connection)
            _insert(connection, TENSORS, key, rows)
            _insert(connection, MODELS, key, _model_row(whole, settings_hash, elapsed_s))
            if is_stale(connection):
                refit(connection)
            else:
                add_to_index(connection, key)

    def has_signatures(self, model: str, settings_hash: str | None = None) -> bool:
        """Whether the signatures of this model were taken, in the present version.

        Args: settings_hash: under just these settings; None for any.
        """
        with self._database.reading() as connection:
            row = first_row(
                connection,
                f"SELECT 1 FROM {MODELS} WHERE model = ? AND coalesce(settings_hash = ?, true)",  # noqa: S608
                [model_key(connection, model), settings_hash],
            )
        return row is not None

    def models_with_signatures(self) -> set[str]:
        """Names of the models whose signatures were taken, in the present version."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT m.name FROM {MODELS} s JOIN model m ON m.id = s.model"  # noqa: S608
            ).fetchall()
        return {name for (name,) in rows}

    def signatures(self, models: Sequence[str] | None = None) -> SignatureTable:
        """Signatures of the matrices of some models, or of all, by model and in file order.

        Args: models: names or hashes; those without signatures give no rows. None for all.
        """
        with self._database.reading() as connection:
            keys = None if models is None else [model_key(connection, model) for model in models]
            found = connection.sql(
                "SELECT m.name AS model, m.family, s.tensor, s.layer, s.role, s.stack, s.share, s.features, i.standard "  # noqa: S608
                f"FROM {TENSORS} s JOIN model m ON m.id = s.model JOIN {INDEX} i USING (model, tensor) "
                "WHERE coalesce(list_contains($1, s.model), true) AND s.problem IS NULL "
                "ORDER BY lower(m.name), m.name, s.position",
                params=[keys],
            ).to_arrow_table()
        places = found.drop_columns(["features", "standard"]).to_pandas()
        places["layer"] = places["layer"].astype("Int64")
        return SignatureTable(places, *_arrays(found, len(FEATURES)), tuple(FEATURES))

    def model_signatures(self) -> SignatureTable:
        """Signatures of all models that have one, by name; the numbers are `MODEL_FEATURES`."""
        with self._database.reading() as connection:
            found = connection.sql(
                "SELECT m.name AS model, m.family, s.features, s.standard "  # noqa: S608
                f"FROM {MODELS} s JOIN model m ON m.id = s.model ORDER BY lower(m.name), m.name"
            ).to_arrow_table()
        places = found.drop_columns(["features", "standard"]).to_pandas()
        return SignatureTable(places, *_arrays(found, len(MODEL_FEATURES)), MODEL_FEATURES)

    def signature_problems(self, model: str) -> dict[str, str]:
        """Tensor -> why it has no signature, in file order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT tensor, problem FROM {TENSORS} WHERE model = ? AND problem IS NOT NULL ORDER BY position",  # noqa: S608
                [model_key(connection, model)],
            ).fetchall()
        return dict(rows)

    def signature_fit(self) -> SignatureFit | None:
        """The centres and units that everything is compared by; None before the first signature."""
        with self._database.reading() as connection:
            return latest_fit(connection)

    def refit_signatures(self) -> None:
        """Fit centres and units to everything there is now, and put every signature in their units, at once."""
        with self._database.writing() as connection:
            learn_features(connection)
            refit(connection)


def _rows(records: Sequence[SignatureRecord]) -> pa.Table:
    taken = [record.signature for record in records]
    none = np.full(len(FEATURES), np.nan)
    is_whole = [signature is None or not signature.is_estimate for signature in taken]
    values = np.array([none if each is None else each.values for each in taken]).reshape(-1, len(FEATURES))
    errors = np.array([none if each is None else each.errors for each in taken]).reshape(-1, len(FEATURES))
    return pa.table(
        {
            "tensor": pa.array([record.tensor for record in records], pa.string()),
            "position": pa.array(range(len(records)), pa.int32()),
            "layer": pa.array([record.place.layer for record in records], pa.int32()),
            "role": pa.array([record.place.role for record in records], pa.string()),
            "stack": pa.array([record.place.stack for record in records], pa.string()),
            "share": nullable([np.nan if each is None else each.share for each in taken]),
            "features": vectors(values, missing=[each is None for each in taken]),
            "errors": vectors(errors, missing=is_whole),
            "problem": pa.array([record.problem for record in records], pa.string()),
        }
    )


def _model_row(whole: np.ndarray, settings_hash: str, elapsed_s: float) -> pa.Table:
    return pa.table(
        {
            "settings_hash": pa.array([settings_hash], pa.string()),
            "features": vectors(whole[None]),
            "standard": vectors(np.zeros((1, len(whole)))),
            "known": vectors(~np.isnan(whole[None]) * 1.0),
            "measured_at": pa.array([datetime.now(UTC).replace(tzinfo=None)], pa.timestamp("us")),
            "elapsed_s": pa.array([elapsed_s], pa.float64()),
        }
    )


def _insert(connection: duckdb.DuckDBPyConnection, table: str, key: int, rows: pa.Table) -> None:
    connection.register("incoming", rows)
    names = ", ".join(rows.column_names)
    connection.execute(f"INSERT INTO {table} (model, {names}) SELECT ?, {names} FROM incoming", [key])  # noqa: S608
    connection.unregister("incoming")


def _arrays(found: pa.Table, length: int) -> tuple[np.ndarray, np.ndarray]:
    values = from_vectors(found["features"], length).astype(np.float64)
    return values, from_vectors(found["standard"], length)

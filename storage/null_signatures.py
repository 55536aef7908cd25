"""Signatures of null matrices, kept beside those of the weights that they were made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from engine.discovery.signature import FEATURES, VERSION
from engine.errors import StorageError
from storage.database import Database
from storage.models import model_key
from storage.vectors import from_vectors, vectors

NULLS = f"null_signature_v{VERSION}"


class NullSignatures:
    """The part of the store that keeps signatures of nulls. Every `model` is a name or a content hash."""

    _database: Database

    def save_null_signatures(self, model: str, null: str, tensors: Sequence[str], values: np.ndarray) -> None:
        """Store one null of each matrix, in place of those of the same kind, in one transaction.

        Args: null: its name. tensors: names. values: (tensors, n) raw features, NaN where undefined.
        Raises: StorageError if the model is not in the database; then nothing was written.
        """
        rows = pa.table({"tensor": pa.array(list(tensors), pa.string()), "features": vectors(values)})
        with self._database.writing() as connection:
            key = model_key(connection, model)
            if key is None:
                raise StorageError(f"The model {model} is not in the database.", "Measure its statistics first.")
            connection.execute(f"DELETE FROM {NULLS} WHERE model = ? AND null_model = ?", [key, null])  # noqa: S608
            connection.register("incoming", rows)
            connection.execute(f"INSERT INTO {NULLS} SELECT ?, tensor, ?, 0, features FROM incoming", [key, null])  # noqa: S608
            connection.unregister("incoming")

    def null_signatures(self, null: str) -> pd.DataFrame:
        """The nulls of one kind over all models: columns model, tensor, values ((n,) float32, NaN where undefined)."""
        with self._database.reading() as connection:
            found = connection.sql(
                f"SELECT m.name AS model, s.tensor, s.features FROM {NULLS} s JOIN model m ON m.id = s.model "  # noqa: S608
                "WHERE s.null_model = ? ORDER BY lower(m.name), m.name, s.tensor",
                params=[null],
            ).to_arrow_table()
        places = found.drop_columns(["features"]).to_pandas()
        places["values"] = list(from_vectors(found["features"], len(FEATURES)))
        return places

    def models_with_null(self, null: str) -> set[str]:
        """Names of the models whose matrices have a null of this kind."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT DISTINCT m.name FROM {NULLS} s JOIN model m ON m.id = s.model WHERE s.null_model = ?",  # noqa: S608
                [null],
            ).fetchall()
        return {name for (name,) in rows}

"""What resembles what: search by cosine over every signature there is, in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from engine.discovery.signature import FEATURES, MODEL_FEATURES, VERSION
from engine.errors import StorageError
from storage.connection import first_row
from storage.database import Database
from storage.models import model_key

Which = Literal["any", "same", "other"]

_TENSORS, _INDEX, _MODELS = (f"{name}_v{VERSION}" for name in ("signature", "signature_index", "model_signature"))


@dataclass(frozen=True, slots=True)
class Among:
    """Where neighbours are looked for.

    Attributes:
        count: at most so many. model, role, family: "any", only the "same", or only "other" ones than the subject's.
    """

    count: int = 10
    model: Which = "other"
    role: Which = "any"
    family: Which = "any"

    def __post_init__(self) -> None:
        strange = [each for each in (self.model, self.role, self.family) if each not in get_args(Which)]
        if strange or self.count < 1:
            raise StorageError(f"Neighbours are looked for among any, the same or other ones, got {self}.")


class Neighbours:
    """The part of the store that finds similar matrices and models. Every `model` is a name or a content hash."""

    _database: Database

    def similar_tensors(self, model: str, tensor: str, among: Among | None = None) -> pd.DataFrame:
        """The matrices whose signatures point most nearly the same way, over everything ever measured.

        similarity = cosine of the signatures in standard units, −1 … 1; undefined features count as typical ones.

        Returns: model, family, tensor, layer, role, stack, similarity; the most similar first, without the matrix
            itself. Empty if its signature is typical in everything, which has no direction.
        Raises: StorageError if it has no signature.
        """
        among = among or Among()
        with self._database.reading() as connection:
            key = model_key(connection, model)
            row = first_row(
                connection,
                f"SELECT standard, role, family FROM {_INDEX} i JOIN model m ON m.id = i.model "  # noqa: S608
                "WHERE i.model = ? AND tensor = ?",
                [key, tensor],
            )
            if row is None:
                raise StorageError(f"{tensor!r} of {model} has no signature.", "Take the model's signatures first.")
            wanted, role, family = row
            return _nearest(connection, np.array(wanted, np.float32), among, (key, tensor, role, family))

    def similar_to(self, standard: np.ndarray, count: int = 10) -> pd.DataFrame:
        """As `similar_tensors`, for a signature that is not stored, among all matrices.

        Args: standard: (n,) in the present standard units (`signature_fit().tensors`).
        """
        with self._database.reading() as connection:
            return _nearest(connection, standard, Among(count))

    def similar_models(self, model: str, among: Among | None = None) -> pd.DataFrame:
        """The models whose signatures point most nearly the same way; `among.model` and `among.role` do not count.

        similarity = cosine over the numbers that both models have; `common` is the share of all numbers that these are.

        Returns: model, family, similarity, common; the most similar first, without the model itself.
        Raises: StorageError if it has no signature.
        """
        among = among or Among()
        vector = f"FLOAT[{len(MODEL_FEATURES)}]"
        with self._database.reading() as connection:
            key = model_key(connection, model)
            own = first_row(
                connection,
                f"SELECT standard, known, family FROM {_MODELS} s JOIN model m ON m.id = s.model WHERE s.model = ?",  # noqa: S608
                [key],
            )
            if own is None:
                raise StorageError(f"The model {model} has no signature.", "Take its signatures first.")
            standard, known, family = np.array(own[0], np.float32), np.array(own[1], np.float32), own[2]
            values = {"standard": standard.tolist(), "known": known.tolist(), "key": key, "count": among.count}
            values["squares"] = np.square(standard).tolist()
            family_is = _condition("m.family", "family", among.family, family, values)
            return connection.execute(
                # Undefined numbers are 0, so that only lengths have to be taken over what both have.
                f"SELECT name AS model, family, product / sqrt(own * theirs) AS similarity, common FROM ("  # noqa: S608
                f"SELECT m.name, m.family, array_inner_product(s.standard, $standard::{vector}) AS product, "
                f"array_inner_product(s.known, $squares::{vector}) AS own, list_dot_product("
                f"list_transform(s.standard::FLOAT[], lambda x: x * x), $known::FLOAT[]) AS theirs, "
                f"array_inner_product(s.known, $known::{vector}) / {len(MODEL_FEATURES)} AS common "
                f"FROM {_MODELS} s JOIN model m ON m.id = s.model WHERE s.model <> $key AND {family_is}) "
                "WHERE own * theirs > 0 ORDER BY similarity DESC, model LIMIT $count",
                values,
            ).df()


def _nearest(
    connection: duckdb.DuckDBPyConnection, wanted: np.ndarray, among: Among, subject: tuple | None = None
) -> pd.DataFrame:
    """Only the index is scanned; names are looked up for what was found.

    Args: subject: (model's key, tensor, role, family) of what neighbours are looked for; None if it is not stored.
    """
    values: dict = {"wanted": wanted.tolist(), "count": among.count}
    conditions = ["true"]
    if subject is not None:
        key, tensor, role, family = subject
        conditions = [
            _condition("model", "key", among.model, key, values),
            _condition("role", "role", among.role, role, values),
        ]
        if among.model != "other":
            values |= {"key": key, "tensor": tensor}
            conditions.append("NOT (model = $key AND tensor = $tensor)")
        if among.family != "any":
            families = _condition("family", "family", among.family, family, values)
            conditions.append(f"model IN (SELECT id FROM model WHERE {families})")  # noqa: S608 — words of ours
    nearest = connection.execute(
        # A vector of zeros has no direction: its cosine is NaN, which SQL would call the largest.
        "SELECT rowid, nullif(array_cosine_similarity("  # noqa: S608 — names of ours
        f"standard, $wanted::FLOAT[{len(FEATURES)}]), 'nan'::FLOAT) AS similarity FROM {_INDEX} "
        f"WHERE {' AND '.join(conditions)} ORDER BY similarity DESC NULLS LAST, rowid LIMIT $count",
        values,
    ).fetchall()
    return _named(connection, {row: similarity for row, similarity in nearest if similarity is not None})


def _named(connection: duckdb.DuckDBPyConnection, similarities: dict[int, float]) -> pd.DataFrame:
    """What was found, by name, the most similar first.

    Args: similarities: row of the index -> similarity.
    """
    # Numbers written into the statement let the scans skip nearly all of both tables, parameters would not.
    rows = connection.execute(
        f"SELECT rowid, model, tensor FROM {_INDEX} WHERE rowid IN ({_listed(similarities)})"  # noqa: S608
    ).fetchall()
    found = pa.table(
        {
            "id": pa.array([model for _, model, _ in rows], pa.int32()),
            "tensor": pa.array([tensor for _, _, tensor in rows], pa.string()),
            "similarity": pa.array([similarities[row] for row, _, _ in rows], pa.float32()),
        }
    )
    connection.register("found", found)
    return connection.execute(
        "SELECT m.name AS model, m.family, tensor, s.layer, s.role, s.stack, similarity "  # noqa: S608
        f"FROM found JOIN model m USING (id) JOIN {_TENSORS} s USING (tensor) "
        f"WHERE s.model = id AND s.model IN ({_listed(model for _, model, _ in rows)}) "
        "ORDER BY similarity DESC, m.name, s.position"
    ).df()


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(int(number)) for number in numbers) or "NULL"


def _condition(column: str, name: str, which: Which, value: object, values: dict) -> str:
    """SQL that says which values of a column count; the subject's own goes into `values` where it is needed."""
    if which == "any":
        return "true"
    values[name] = value
    return f"{column} {'=' if which == 'same' else '<>'} ${name}"

"""Centres and units of signatures: fitted to all there are, and everything put into them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa

from engine.discovery.signature import FEATURES, MODEL_FEATURES, VERSION, Standardisation, fit_standardisation
from engine.discovery.signature.model import fit_model_standardisation
from engine.discovery.signature.registry import transformed
from storage.connection import first_row
from storage.vectors import from_vectors, vectors

GROWTH = 1.5
"""A new fit is made when there are so many times the matrices that the last one knew: often while there are few, and
altogether each matrix is put into new units at most some three times. Chosen by us."""

MOST_FITTED = 200_000
"""Matrices that a fit looks at, at most: of more a fixed pseudo-random choice; medians are then known to 0.3 % of a
standard deviation."""

BATCH = 65_536
"""Matrices put into new units at a time."""


@dataclass(frozen=True, eq=False)
class SignatureFit:
    """What signatures are compared by.

    Attributes:
        version: of the signature. fit: its number, from 1.
        num_tensors, num_models: what it rests on. fitted_at: when.
        tensors, models: centres and units of both kinds of signatures.
    """

    version: int
    fit: int
    num_tensors: int
    num_models: int
    fitted_at: datetime
    tensors: Standardisation
    models: Standardisation


def learn_features(connection: duckdb.DuckDBPyConnection) -> None:
    """Put the dictionary of features into the database, once for each version of the signature."""
    if first_row(connection, "SELECT 1 FROM signature_feature WHERE version = ? LIMIT 1", [VERSION]):
        return
    rows = [
        ("tensor", place, f.name, f.group, f.unit, f.transform, f.title, f.description)
        for place, f in enumerate(FEATURES.values(), 1)
    ]
    for place, name in enumerate(MODEL_FEATURES, 1):
        _, feature, aspect = name.split(".")
        f = FEATURES[feature]
        rows.append(("model", place, name, f.group, f.unit, f.transform, f"{f.title}: {aspect}", f.description))
    columns = ("subject", "position", "name", "feature_group", "unit", "transform", "title", "description")
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(columns)})
    connection.register("incoming", table)
    connection.execute(
        f"INSERT INTO signature_feature (version, {', '.join(columns)}, centre, spread) "  # noqa: S608 — names of ours
        f"SELECT ?, {', '.join(columns)}, 0, 1 FROM incoming",
        [VERSION],
    )
    connection.unregister("incoming")


def is_stale(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether there are so many matrices that a new fit is due."""
    last = first_row(
        connection, "SELECT num_tensors FROM signature_fit WHERE version = ? ORDER BY fit DESC LIMIT 1", [VERSION]
    )
    return last is None or _num_tensors(connection) >= GROWTH * last[0]


def latest_fit(connection: duckdb.DuckDBPyConnection) -> SignatureFit | None:
    """The present centres and units; None before the first fit."""
    row = first_row(connection, "SELECT * FROM signature_fit WHERE version = ? ORDER BY fit DESC LIMIT 1", [VERSION])
    if row is None:
        return None
    version, fit, num_tensors, num_models, fitted_at = row
    return SignatureFit(
        version,
        fit,
        num_tensors,
        num_models,
        fitted_at.replace(tzinfo=UTC),
        _standardisation(connection, "tensor"),
        _standardisation(connection, "model"),
    )


def refit(connection: duckdb.DuckDBPyConnection) -> None:
    """Fit anew, and put everything into the new units."""
    tensors = fit_standardisation(_features(connection, _SAMPLE, len(FEATURES)))
    whole = _features(connection, _ALL_MODELS, len(MODEL_FEATURES))
    models = fit_model_standardisation(whole, tensors)
    for subject, fitted in (("tensor", tensors), ("model", models)):
        _keep(connection, subject, fitted)
    (last,) = first_row(connection, "SELECT coalesce(max(fit), 0) FROM signature_fit WHERE version = ?", [VERSION])
    now = datetime.now(UTC).replace(tzinfo=None)
    connection.execute(
        "INSERT INTO signature_fit VALUES (?, ?, ?, ?, ?)",
        [VERSION, last + 1, _num_tensors(connection), len(whole), now],
    )
    connection.execute(f"DELETE FROM {_INDEX}")  # noqa: S608 — a name of ours
    for keys in _batches(connection):
        _index(connection, keys, tensors)
    _standardise_models(connection, None, models)


def add_to_index(connection: duckdb.DuckDBPyConnection, key: int) -> None:
    """Put one model's new signatures into the present units."""
    _index(connection, [key], _standardisation(connection, "tensor"))
    _standardise_models(connection, key, _standardisation(connection, "model"))


_TENSORS, _INDEX, _MODELS = (f"{name}_v{VERSION}" for name in ("signature", "signature_index", "model_signature"))
_SAMPLE = (
    f"SELECT features FROM {_TENSORS} WHERE problem IS NULL "  # noqa: S608 — names of ours
    f"ORDER BY hash(model, tensor) LIMIT {MOST_FITTED}"
)

_ALL_MODELS = f"SELECT features FROM {_MODELS}"  # noqa: S608 — a name of ours


def _num_tensors(connection: duckdb.DuckDBPyConnection) -> int:
    return first_row(connection, f"SELECT count(*) FROM {_TENSORS} WHERE problem IS NULL")[0]  # noqa: S608


def _features(connection: duckdb.DuckDBPyConnection, query: str, length: int) -> np.ndarray:
    found = connection.sql(query).to_arrow_table()
    return from_vectors(found["features"], length).astype(np.float64)


def _standardisation(connection: duckdb.DuckDBPyConnection, subject: str) -> Standardisation:
    found = connection.execute(
        "SELECT centre, spread FROM signature_feature WHERE version = ? AND subject = ? ORDER BY position",
        [VERSION, subject],
    ).fetchnumpy()
    return Standardisation(np.asarray(found["centre"]), np.asarray(found["spread"]))


def _keep(connection: duckdb.DuckDBPyConnection, subject: str, fitted: Standardisation) -> None:
    table = pa.table(
        {"position": range(1, len(fitted.centre) + 1), "centre": fitted.centre, "spread": fitted.spread},
    )
    connection.register("fitted", table)
    connection.execute(
        "UPDATE signature_feature SET centre = fitted.centre, spread = fitted.spread FROM fitted "
        "WHERE signature_feature.version = ? AND subject = ? AND signature_feature.position = fitted.position",
        [VERSION, subject],
    )
    connection.unregister("fitted")


def _batches(connection: duckdb.DuckDBPyConnection) -> Iterator[list[int]]:
    """Models whose matrices are put into new units together."""
    counts = connection.execute(
        f"SELECT model, count(*) FROM {_TENSORS} GROUP BY model ORDER BY model"  # noqa: S608 — a name of ours
    ).fetchall()
    batch, size = [], 0
    for key, count in counts:
        batch.append(key)
        size += count
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _index(connection: duckdb.DuckDBPyConnection, keys: list[int], fitted: Standardisation) -> None:
    found = connection.sql(
        f"SELECT model, tensor, role, features FROM {_TENSORS} "  # noqa: S608 — names of ours
        "WHERE problem IS NULL AND list_contains(?, model) ORDER BY model, position",
        params=[keys],
    ).to_arrow_table()
    values = transformed(from_vectors(found["features"], len(FEATURES)))
    rows = found.drop_columns(["features"]).append_column("standard", vectors(fitted.apply(values)))
    connection.register("incoming", rows)
    connection.execute(f"INSERT INTO {_INDEX} SELECT model, tensor, role, standard FROM incoming")  # noqa: S608
    connection.unregister("incoming")


def _standardise_models(connection: duckdb.DuckDBPyConnection, key: int | None, fitted: Standardisation) -> None:
    found = connection.sql(
        f"SELECT model, features FROM {_MODELS} WHERE coalesce(model = ?, true)",  # noqa: S608 — a name of ours
        params=[key],
    ).to_arrow_table()
    standard = vectors(fitted.apply(from_vectors(found["features"], len(MODEL_FEATURES))))
    connection.register("incoming", pa.table({"model": found["model"], "standard": standard}))
    connection.execute(
        f"UPDATE {_MODELS} SET standard = incoming.standard FROM incoming WHERE {_MODELS}.model = incoming.model"  # noqa: S608
    )
    connection.unregister("incoming")

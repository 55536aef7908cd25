"""What the mantissas of models tell: rows that were never updated, tensor by tensor, and the whole in words."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa

from engine.errors import StorageError
from storage.connection import first_row
from storage.database import Database
from storage.models import model_key

_COLUMNS = "tensor, layer, role, dtype, shorter, num_rows, num_never, num_undecided, starts, stops"


@dataclass(frozen=True)
class TensorForensics:
    """One tensor; attributes as the columns of `forensics`; `layer` and `shorter` are None where there is none."""

    tensor: str
    layer: int | None
    role: str
    dtype: str
    shorter: str | None
    num_rows: int
    num_never: int
    num_undecided: int
    starts: tuple[int, ...]
    stops: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether no row of it was updated, and at least one certainly not."""
        return self.num_never > 0 and self.num_never + self.num_undecided == self.num_rows


@dataclass(frozen=True)
class TokenGroup:
    """Tokens of one kind: how many of their rows were never updated, of how many, and some of those."""

    group: str
    never: int
    total: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelForensics:
    """A model; attributes as the columns of `forensics_check`, and its tensors in file order."""

    is_upcast: bool
    training_length: int | None
    sentences: tuple[str, ...]
    token_groups: tuple[TokenGroup, ...]
    tensors: tuple[TensorForensics, ...]
    version: int
    elapsed_s: float = 0.0


class ForensicsStore:
    """The part of the store that keeps forensics. Every `model` is a name or a content hash."""

    _database: Database

    def save_forensics(self, model: str, found: ModelForensics) -> None:
        """Store what was found in one transaction, in place of what was found before.

        Raises: StorageError if the model is not in the database; then nothing was written.
        """
        try:
            rows = _rows(found.tensors)
        except (pa.ArrowException, UnicodeError) as error:
            raise StorageError(f"The forensics of {model} cannot be stored: {error}.") from error
        with self._database.writing() as connection:
            key = model_key(connection, model)
            if key is None:
                raise StorageError(f"The model {model} is not in the database.", "Measure it first.")
            for table in ("forensics", "forensics_check"):
                connection.execute(f"DELETE FROM {table} WHERE model = ?", [key])  # noqa: S608 — names of ours
            groups = json.dumps([asdict(group) for group in found.token_groups])
            connection.execute(
                "INSERT INTO forensics_check VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    key,
                    found.version,
                    found.is_upcast,
                    found.training_length,
                    list(found.sentences),
                    groups,
                    datetime.now(UTC).replace(tzinfo=None),
                    found.elapsed_s,
                ],
            )
            connection.register("incoming", rows)
            connection.execute(
                f"INSERT INTO forensics (model, position, {_COLUMNS}) SELECT ?, position, {_COLUMNS} FROM incoming",  # noqa: S608
                [key],
            )
            connection.unregister("incoming")

    def forensics(self, model: str) -> ModelForensics | None:
        """What was found; None if nobody looked."""
        with self._database.reading() as connection:
            key = model_key(connection, model)
            check = first_row(
                connection,
                "SELECT is_upcast, training_length, sentences, token_groups, version, elapsed_s "
                "FROM forensics_check WHERE model = ?",
                [key],
            )
            if check is None:
                return None
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM forensics WHERE model = ? ORDER BY position",  # noqa: S608
                [key],
            ).fetchall()
        is_upcast, length, sentences, groups, version, elapsed_s = check
        tensors = tuple(TensorForensics(*row[:-2], tuple(row[-2]), tuple(row[-1])) for row in rows)
        told = [TokenGroup(**group | {"examples": tuple(group["examples"])}) for group in json.loads(groups)]
        return ModelForensics(is_upcast, length, tuple(sentences), tuple(told), tensors, version, elapsed_s)


def _rows(tensors: tuple[TensorForensics, ...]) -> pa.Table:
    kinds = {name: pa.string() for name in ("tensor", "role", "dtype", "shorter")} | {"layer": pa.int32()}
    kinds |= {name: pa.int64() for name in ("num_rows", "num_never", "num_undecided")}
    kinds |= {name: pa.list_(pa.int64()) for name in ("starts", "stops")}
    columns = {name: pa.array([getattr(one, name) for one in tensors], kind) for name, kind in kinds.items()}
    return pa.table({"position": pa.array(range(len(tensors)), pa.int32())} | columns)

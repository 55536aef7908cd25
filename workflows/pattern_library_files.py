"""The library as a file for others: a zip with two Parquet tables; read back with every bound checked, and no code."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.discovery.signature import FEATURES, VERSION
from engine.errors import WeightscopeError
from storage.pattern_library import KINDS, SIGNATURE_PLACES, Pattern
from storage.store import Store
from storage.vectors import from_vectors, vectors

PATTERNS, SIGNATURES = "patterns.parquet", f"signatures_v{VERSION}.parquet"

MOST_FILE_BYTES, MOST_TABLE_BYTES = 512 << 20, 1 << 30
MOST_PATTERNS, MOST_SIGNATURES = 100_000, 1_000_000
MOST_TEXT, MOST_JSON, MOST_MODELS = 4_000, 64_000, 1_000
"""Bounds of what is taken in; ours: far beyond what a person keeps, far below what would hurt."""

_HASH = re.compile(r"[0-9a-f]{32,64}")
_TEXTS = ("key", "kind", "name", "title", "words", "tensor", "note", "numbers", "settings")
_PATTERN_SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXTS]
    + [("value", pa.float64()), ("kept_at", pa.timestamp("us", tz="UTC"))]
    + [(name, pa.list_(pa.string())) for name in ("model_names", "content_hashes")]
)
_SIGNATURE_SCHEMA = pa.schema(
    [(name, pa.int32() if name == "layer" else pa.string()) for name in SIGNATURE_PLACES]
    + [("features", pa.list_(pa.float32(), len(FEATURES)))]
)


@dataclass(frozen=True, slots=True)
class Imported:
    """How much of a file was new, and how much it held."""

    num_patterns: int
    num_signatures: int
    of_patterns: int
    of_signatures: int


def export_library(store: Store) -> bytes:
    """The library, and every signature there is (measured here or imported), as a zip of two Parquet files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # Parquet is compressed itself
        for name, table in ((PATTERNS, _patterns_table(store.patterns())), (SIGNATURES, _signatures_table(store))):
            data = io.BytesIO()
            pq.write_table(table, data, compression="zstd")
            archive.writestr(name, data.getvalue())
    return target.getvalue()


def import_library(store: Store, file: Path | bytes, name: str = "") -> Imported:
    """Take in what `export_library` wrote, here or elsewhere; what is kept already stays as it is.

    Everything is checked before anything is stored: the zip's members, their sizes, the tables' columns and types, the
    number of rows, the length of every text, every number. No field is ever run or opened as a path.

    Args: file: a path, or the bytes. name: what the origin is called; of a path its own name without it.
    Raises: WeightscopeError where something is not as it should be; then nothing was stored.
    """
    origin = (name or (file.name if isinstance(file, Path) else "an import"))[:100]
    tables = _tables(file, origin)
    patterns = [_pattern(row, origin) for row in tables[PATTERNS].to_pylist()] if PATTERNS in tables else []
    places, values = _signatures(tables[SIGNATURES], origin) if SIGNATURES in tables else (None, None)
    num_patterns = store.keep_patterns(patterns, replace=False)
    num_signatures = 0 if places is None else store.add_library_signatures(places, values, origin)
    return Imported(num_patterns, num_signatures, len(patterns), 0 if places is None else len(places))


def _patterns_table(patterns: list[Pattern]) -> pa.Table:
    rows = [
        {name: getattr(pattern, name) for name in _TEXTS if name not in ("numbers", "settings")}
        | {
            "numbers": json.dumps(pattern.numbers, ensure_ascii=False),
            "settings": json.dumps(pattern.settings, ensure_ascii=False),
            "value": pattern.value if math.isfinite(pattern.value) else None,
            "kept_at": pattern.kept_at,
            "model_names": list(pattern.model_names),
            "content_hashes": list(pattern.content_hashes),
        }
        for pattern in patterns
    ]
    return pa.Table.from_pylist(rows, _PATTERN_SCHEMA)


def _signatures_table(store: Store) -> pa.Table:
    here = store.signatures()
    hashes = {model.name: model.content_hash for model in store.models()}
    own = here.places.rename(columns={"model": "model_name"})
    own["content_hash"] = own["model_name"].map(hashes)
    imported, values = store.library_signatures()
    places = pd.concat([own[list(SIGNATURE_PLACES)], imported[list(SIGNATURE_PLACES)]], ignore_index=True)
    layers = [None if pd.isna(layer) else int(layer) for layer in places["layer"]]
    columns = {name: pa.array(places[name].tolist(), pa.string()) for name in SIGNATURE_PLACES if name != "layer"}
    columns |= {"layer": pa.array(layers, pa.int32()), "features": vectors(np.concatenate([here.values, values]))}
    return pa.table(columns).select(_SIGNATURE_SCHEMA.names).cast(_SIGNATURE_SCHEMA)


def _tables(file: Path | bytes, origin: str) -> dict[str, pa.Table]:
    size = len(file) if isinstance(file, bytes) else file.stat().st_size if file.is_file() else -1
    if size < 0:
        raise WeightscopeError(f"There is no file {file}.", "Check the spelling.")
    if size > MOST_FILE_BYTES:
        raise _unfit(origin, f"it has {size:,} bytes, more than {MOST_FILE_BYTES:,}")
    limits = {PATTERNS: (_PATTERN_SCHEMA, MOST_PATTERNS), SIGNATURES: (_SIGNATURE_SCHEMA, MOST_SIGNATURES)}
    try:
        with zipfile.ZipFile(io.BytesIO(file) if isinstance(file, bytes) else file) as archive:
            names = archive.namelist()
            if not names or len(set(names)) != len(names) or not set(names) <= limits.keys():
                raise _unfit(
                    origin, f"it holds {', '.join(names[:5])[:200] or 'nothing'}, expected {', '.join(limits)}"
                )
            return {name: _table(_member(archive, name, origin), *limits[name], name, origin) for name in names}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise _unfit(origin, f"the zip cannot be read: {error}") from error


def _member(archive: zipfile.ZipFile, name: str, origin: str) -> bytes:
    """A member's bytes; what its header says of its size is not trusted."""
    with archive.open(name) as member:
        data = member.read(MOST_FILE_BYTES + 1)
    if len(data) > MOST_FILE_BYTES:
        raise _unfit(origin, f"{name} is larger than {MOST_FILE_BYTES:,} bytes")
    return data


def _table(data: bytes, schema: pa.Schema, most_rows: int, name: str, origin: str) -> pa.Table:
    """The table in a Parquet file, if it is what it should be.

    It is read in pieces, so that no claim of its size counts, and texts as dictionaries, because a small file can say
    "the same long text again" a million times: their lengths are added up before one of them is unfolded.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        if not file.schema_arrow.equals(schema):
            raise _unfit(origin, f"{name} has other columns or types than it should")
        if file.metadata.num_rows > most_rows:
            raise _unfit(origin, f"{name} has {file.metadata.num_rows:,} rows, more than {most_rows:,}")
        folded = pq.ParquetFile(io.BytesIO(data), read_dictionary=_text_paths(schema))
        batches, num_bytes, num_rows = [], 0, 0
        for batch in folded.iter_batches(batch_size=1024):
            num_bytes, num_rows = num_bytes + _unfolded_bytes(batch), num_rows + len(batch)
            if num_bytes > MOST_TABLE_BYTES or num_rows > most_rows:
                raise _unfit(origin, f"{name} unfolds to more than {MOST_TABLE_BYTES:,} bytes or {most_rows:,} rows")
            batches.append(batch.cast(schema))
        table = pa.Table.from_batches(batches, schema)
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, ValueError, UnicodeError, MemoryError) as error:
        raise _unfit(origin, f"{name} cannot be read: {str(error)[:200]}") from error


def _text_paths(schema: pa.Schema) -> list[str]:
    """Where a Parquet file keeps the texts of a table."""
    return [
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in schema
        if pa.types.is_string(field.type) or field.type == pa.list_(pa.string())
    ]


def _unfolded_bytes(batch: pa.RecordBatch) -> int:
    """What a batch takes in memory, with every text written out."""
    total = batch.nbytes
    for column in batch.columns:
        texts = column.flatten() if pa.types.is_list(column.type) else column
        if pa.types.is_dictionary(texts.type):
            lengths = pc.binary_length(texts.dictionary).to_numpy(zero_copy_only=False)
            taken = texts.indices.drop_null().to_numpy()
            total += int(lengths[taken].sum()) if len(taken) else 0
    return total


def _pattern(row: dict, origin: str) -> Pattern:
    for name in _TEXTS:
        most = MOST_JSON if name in ("numbers", "settings") else MOST_TEXT
        if not isinstance(row[name], str) or len(row[name]) > most:
            raise _unfit(origin, f"a pattern has no {name}, or one longer than {most:,} characters")
    names, hashes = row["model_names"], row["content_hashes"]
    if not _are_texts(names) or not _are_texts(hashes) or len(names) != len(hashes) or not names:
        raise _unfit(origin, "a pattern does not say of which models it is")
    if row["kind"] not in KINDS or not all(_HASH.fullmatch(one) for one in (row["key"], *hashes)):
        raise _unfit(origin, "a pattern has an unknown kind, or identities that are none")
    return Pattern(
        **{name: row[name] for name in _TEXTS if name not in ("numbers", "settings")},
        model_names=tuple(names),
        content_hashes=tuple(hashes),
        value=math.nan if row["value"] is None else row["value"],
        numbers=_object(row["numbers"], origin),
        settings=_object(row["settings"], origin),
        origin=origin,
        kept_at=row["kept_at"] or datetime.now(UTC),
    )


def _are_texts(values: object) -> bool:
    is_list = isinstance(values, list) and len(values) <= MOST_MODELS
    return is_list and all(isinstance(one, str) and len(one) <= MOST_TEXT for one in values)


def _object(text: str, origin: str) -> dict:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unfit(origin, f"numbers or settings of a pattern are no JSON: {str(error)[:100]}") from error
    if not isinstance(found, dict):
        raise _unfit(origin, "numbers or settings of a pattern are no object")
    return found


def _signatures(table: pa.Table, origin: str) -> tuple[pd.DataFrame, np.ndarray]:
    places = table.drop_columns(["features"]).to_pandas()
    for name in SIGNATURE_PLACES:
        texts = places[name]
        if name != "layer" and len(texts) and (texts.isna().any() or texts.str.len().max() > MOST_TEXT):
            raise _unfit(origin, f"a signature has no {name}, or one longer than {MOST_TEXT:,} characters")
    if not all(_HASH.fullmatch(one) for one in places["content_hash"].unique()):
        raise _unfit(origin, "a signature is of no model: its content hash is none")
    if table["features"].null_count:
        raise _unfit(origin, "a signature has no features")
    if places.duplicated(["content_hash", "tensor"]).any():
        raise _unfit(origin, "a matrix has two signatures")
    return places, from_vectors(table["features"], len(FEATURES)).astype(np.float64)


def _unfit(origin: str, why: str) -> WeightscopeError:
    return WeightscopeError(
        f"{origin} was not taken in: {why}.", "Ask for a file that the library's export wrote, of the same version."
    )

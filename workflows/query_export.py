"""The answer of a query as files."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet

from storage.query import QueryResult


def csv_bytes(result: QueryResult) -> bytes:
    """The rows as CSV, UTF-8, a header line first; NULL is an empty field."""
    return result.to_pandas().to_csv(index=False).encode()


def parquet_bytes(result: QueryResult) -> bytes:
    """The rows as Parquet in the types of the query; what Parquet has no type for (an interval, a union) as text."""
    names = list(result.to_pandas().columns)  # two columns of one name are told apart there
    columns = [_storable(column) for column in result.table.columns]
    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns, names), out, compression="zstd")
    return out.getvalue()


def _storable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        pyarrow.parquet.write_table(pa.table([column.slice(0, 1)], ["c"]), io.BytesIO())
    except pa.ArrowException:
        return pa.chunked_array([[None if value is None else str(value) for value in column.to_pylist()]], pa.string())
    return column

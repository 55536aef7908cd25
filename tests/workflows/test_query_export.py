"""Answers leave as CSV and Parquet with every type a query can give."""

import io

import pyarrow.csv
import pyarrow.parquet
import pytest

from workflows.query_export import csv_bytes, parquet_bytes


def read(data: bytes):
    return pyarrow.parquet.read_table(io.BytesIO(data))


def test_numbers_texts_and_nulls_come_back_as_they_were(store):
    result = store.query(
        "SELECT 1::BIGINT AS a, 0.1::DOUBLE AS b, 'x,\"y' AS c UNION ALL SELECT 2, NULL, NULL ORDER BY a"
    )
    expected = {"a": [1, 2], "b": [0.1, None], "c": ['x,"y', None]}
    assert read(parquet_bytes(result)).to_pydict() == expected
    table = pyarrow.csv.read_csv(
        io.BytesIO(csv_bytes(result)), convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    )
    assert table.to_pydict() == expected


@pytest.mark.parametrize(
    "value",
    [
        "INTERVAL 3 DAYS",
        "sum(1)",
        "[1, 2]",
        "{'a': 1}",
        "MAP {'k': 2}",
        "NULL",
        "'a'::BLOB",
        "uuid()",
        "union_value(n := 1)",
        "DATE '1000-01-01'",
        "TIME '12:00:00'",
        "TIMESTAMP '290000-01-01 00:00:00'",
        "'NaN'::FLOAT",
        "170141183460469231731687303715884105727::HUGEINT",
        "true",
    ],
)
def test_every_type_can_be_taken_along(store, value):
    result = store.query(f"SELECT {value} AS v")
    assert read(parquet_bytes(result)).num_rows == 1
    assert csv_bytes(result).startswith(b"v\n")


def test_columns_of_one_name_are_told_apart(store):
    result = store.query("SELECT 1 AS a, 2 AS a")
    assert read(parquet_bytes(result)).to_pydict() == {"a": [1], "a_2": [2]}
    assert csv_bytes(result) == b"a,a_2\n1,2\n"


def test_an_answer_without_rows_has_its_columns(store):
    assert read(parquet_bytes(store.query("SELECT 1 AS a WHERE false"))).column_names == ["a"]

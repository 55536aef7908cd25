"""Any SQL is answered from a snapshot; it can neither change the database nor reach anything else."""

from __future__ import annotations

import threading
import time

import pytest

from engine.errors import StorageError
from storage.snapshot import snapshot_of
from storage.store import Store
from tests.storage.made import SETTINGS, make_model


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """One store for all tests here: none of them can change it."""
    store = Store(tmp_path_factory.mktemp("filled"))
    store.save_model(make_model(), SETTINGS)
    return store


@pytest.fixture
def changing(store):
    store.save_model(make_model(), SETTINGS)
    return store


def test_a_query_gives_columns_and_rows(filled):
    result = filled.query("SELECT tensor, layer FROM tensor_stats ORDER BY position")
    assert result.columns == ["tensor", "layer"]
    assert result.num_rows == 6
    assert not result.truncated
    assert result.elapsed_s > 0
    assert result.to_pandas()["layer"].tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 5000])
def test_no_more_rows_come_than_asked_for_and_that_is_said(filled, rows):
    result = filled.query(f"FROM range({rows})", max_rows=10)
    assert result.num_rows == min(rows, 10)
    assert result.truncated == (rows > 10)


def test_rows_of_huge_values_are_cut_too(filled):
    result = filled.query("SELECT repeat('x', 1000000) FROM range(500)")
    assert result.truncated
    assert result.num_rows < 100


def test_a_query_without_rows_still_has_columns(filled):
    result = filled.query("SELECT 1 AS a, 'x' AS b WHERE false")
    assert (result.columns, result.num_rows, list(result.to_pandas())) == (["a", "b"], 0, ["a", "b"])


def test_sums_are_plain_integers_and_names_are_unique_in_pandas(filled):
    frame = filled.query("SELECT sum(num_elements) AS a, 2 AS a, 2::HUGEINT ** 0 AS b FROM tensor").to_pandas()
    assert list(frame) == ["a", "a_2", "b"]
    assert frame["a"].dtype == "int64"
    assert frame["a"][0] == 210
    large = filled.query("SELECT 170141183460469231731687303715884105727 AS a").to_pandas()
    assert int(large["a"][0]) == 2**127 - 1


def test_a_type_that_cannot_be_shown_is_named(filled):
    with pytest.raises(StorageError, match="cannot be shown"):
        filled.query("FROM test_all_types()").to_pandas()


@pytest.mark.parametrize("sql", ["SUMMARIZE tensor", "DESCRIBE tensor_stats", "SHOW TABLES", "EXPLAIN SELECT 1"])
def test_statements_that_explain_are_answered(filled, sql):
    assert filled.query(sql).num_rows > 0


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('{secret}')",
        "FROM '{secret}'",
        "FROM read_text('{secret}')",
        "FROM read_blob('{secret}')",
        "FROM glob('{folder}/*')",
        "FROM read_parquet('http://localhost:1/x.parquet')",
        "ATTACH '{folder}/other.duckdb'",
        "ATTACH ':memory:' AS other",
        "COPY tensor TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "EXPLAIN ANALYZE COPY tensor TO '{folder}/out.csv'",
        "INSERT INTO measure VALUES ('a', '1', 1, 'a', 'a', 1)",
        "UPDATE model SET name = 'x'",
        "DELETE FROM tensor",
        "DROP TABLE tensor",
        "CREATE TABLE x (a INTEGER)",
        "EXPLAIN ANALYZE DELETE FROM tensor",
        "SELECT * FROM query('DELETE FROM tensor')",
        "SELECT nextval('model_id')",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CALL enable_logging(storage = 'file', storage_path = '{folder}/log')",
        "SELECT * FROM enable_logging(storage = 'file', storage_path = '{folder}/log')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE SECRET (TYPE s3)",
        "SELECT getenv('HOME')",
        "SELECT 1; DROP TABLE tensor",
        "BEGIN",
        "CHECKPOINT",
        "",
        "-- nothing",
        "SELEC 1",
        "SELECT * FROM nowhere",
        "FROM secrets",
    ],
)
def test_what_does_not_only_read_fails_and_changes_nothing(filled, tmp_path, sql, rows_of):
    secrets = [42]
    assert secrets  # a Python variable that SQL must not see
    (tmp_path / "secret.csv").write_text("secret\n1\n")
    before, listed = rows_of(filled.path), sorted(tmp_path.iterdir())
    with pytest.raises(StorageError) as caught:
        filled.query(sql.format(secret=tmp_path / "secret.csv", folder=tmp_path))
    assert str(caught.value)
    assert rows_of(filled.path) == before
    assert sorted(tmp_path.iterdir()) == listed


def test_errors_carry_the_words_of_duckdb(filled):
    with pytest.raises(StorageError, match="Did you mean") as caught:
        filled.query("SELECT * FROM tensor_stat")
    assert "tensor_stats" in caught.value.message


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r) SELECT max(a) FROM r",
        "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = -1",
    ],
)
def test_an_endless_query_is_stopped(filled, sql):
    with pytest.raises(StorageError, match="stopped after 1 s"):
        filled.query(sql, timeout_s=1)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT list(a) FROM range(1000000000) t(a)",
        "SELECT repeat('x', 4000000000)",
        "SELECT range(1000000000)",
        "WITH RECURSIVE r AS (SELECT 'x' AS a UNION ALL SELECT a || a FROM r) SELECT length(a) FROM r ORDER BY 1 DESC",
    ],
)
def test_a_query_that_wants_all_memory_is_refused(filled, sql):
    with pytest.raises(StorageError, match=r"memory|stopped"):
        filled.query(sql, memory_limit="256MB", timeout_s=20)


def test_a_memory_limit_that_is_no_size_is_an_error(filled):
    for text in ("much", "-1MB", "10 parsec"):
        with pytest.raises(StorageError, match="no size"):
            filled.query("SELECT 1", memory_limit=text)


def test_a_snapshot_is_taken_again_only_when_the_database_changed(changing):
    first = snapshot_of(changing._database)
    assert snapshot_of(changing._database) is first
    changing.save_model(make_model("second"), SETTINGS)
    second = snapshot_of(changing._database)
    assert second is not first
    assert changing.query("SELECT count(*) AS n FROM model").table.to_pydict() == {"n": [2]}
    gone = first.path.parent
    assert gone.exists()
    del first
    assert not gone.exists()


def test_a_long_query_keeps_no_writer_waiting(changing):
    errors: list[str] = []

    def endless() -> None:
        try:
            changing.query("SELECT count(*) FROM range(1000000000) a, range(1000000000) b", timeout_s=9)
        except StorageError as error:
            errors.append(str(error))

    asking = threading.Thread(target=endless)
    asking.start()
    time.sleep(1)
    assert changing.save_model(make_model("meanwhile"), SETTINGS)
    assert asking.is_alive(), "the write ended while the query was still running"
    asking.join()
    assert "stopped after 9 s" in errors[0]

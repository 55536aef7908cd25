"""The schema grows by migrations: recorded, backed up, and never downwards."""

from __future__ import annotations

import shutil
import threading

import duckdb
import pytest

from engine.errors import StorageError
from storage.database import Database
from storage.schema import Migration, copy_database, load_migrations
from storage.store import Store
from tests.storage.made import SETTINGS, make_model

NEXT = Migration(
    len(load_migrations()) + 1,
    "9999_next.sql",
    "ALTER TABLE model ADD COLUMN colour VARCHAR; COMMENT ON COLUMN model.colour IS 'Its colour.';",
)


@pytest.fixture
def store(tmp_path) -> Store:
    """A store that has no database yet."""
    return Store(tmp_path / "data")


def newer_database(store: Store, step: Migration = NEXT) -> Database:
    return Database(store.path, 1.0, migrations=(*load_migrations(), step))


def versions(path) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("SELECT version, name FROM schema_migration ORDER BY 1").fetchall()


def test_a_new_database_has_all_migrations_recorded(store):
    assert not store.exists()
    assert store.models() == []
    assert store.exists()
    assert versions(store.path) == [(step.version, step.name) for step in load_migrations()]
    assert [entry.name for entry in store.folder.iterdir()] == ["weightscope.duckdb"]


def test_the_file_is_written_for_todays_command_line(store):
    store.save_model(make_model(), SETTINGS)
    with duckdb.connect(str(store.path)) as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()[0][0]
    assert tags["storage_version"].startswith("v1.5")


def test_an_older_database_is_upgraded_after_a_backup(store):
    store.save_model(make_model(), SETTINGS)
    before = store.path.read_bytes()
    upgraded = newer_database(store)
    with upgraded.reading() as connection:
        assert connection.execute("SELECT name, colour FROM model").fetchall() == [("small", None)]
    assert versions(store.path)[-1] == (NEXT.version, NEXT.name)
    backups = [path for path in store.folder.iterdir() if path != store.path]
    assert len(backups) == 1
    assert f"schema-{NEXT.version - 1}" in backups[0].name
    assert backups[0].read_bytes() == before
    with upgraded.writing() as connection:
        connection.execute("UPDATE model SET colour = 'red'")
    assert len(list(store.folder.iterdir())) == 2, "an upgrade happens once"


def test_a_newer_database_is_refused_and_left_alone(store):
    store.save_model(make_model(), SETTINGS)
    newer_database(store).ensure()
    before = store.path.read_bytes()
    with pytest.raises(StorageError, match=f"schema version {NEXT.version}") as caught:
        store.models()
    assert "Update Weightscope" in caught.value.hint
    with pytest.raises(StorageError):
        store.save_model(make_model("other"), SETTINGS)
    assert store.path.read_bytes() == before


def test_a_migration_that_fails_changes_nothing(store, rows_of):
    store.save_model(make_model(), SETTINGS)
    before = rows_of(store.path)
    broken = Migration(NEXT.version, NEXT.name, "DROP TABLE thumbnail; SELECT * FROM nowhere;")
    with pytest.raises(StorageError, match="nowhere"):
        newer_database(store, broken).ensure()
    assert rows_of(store.path) == before
    assert [entry.name for entry in store.folder.iterdir()] == ["weightscope.duckdb"], (
        "no backup of what did not change"
    )
    assert [summary.name for summary in store.models()] == ["small"]


def test_a_copy_that_has_no_room_is_a_clear_error(store, tmp_path):
    store.models()
    with pytest.raises(StorageError, match="cannot be copied"):
        copy_database(store._database.file, tmp_path / "missing" / "copy.duckdb")
    assert store.models() == []


def test_threads_that_upgrade_at_once_all_end_right(store):
    store.models()
    errors: list[Exception] = []

    def upgrade() -> None:
        try:
            newer_database(store).ensure()
        except StorageError as error:
            errors.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert versions(store.path)[-1][0] == NEXT.version
    assert len(list(store.folder.iterdir())) == 2


def test_migrations_out_of_order_are_an_error(tmp_path):
    (tmp_path / "0001_a.sql").write_text("SELECT 1;")
    (tmp_path / "0003_b.sql").write_text("SELECT 1;")
    with pytest.raises(StorageError, match="0003_b"):
        load_migrations(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 1000])
def test_a_file_that_is_no_database_is_named_and_left_alone(store, content):
    store.folder.mkdir(parents=True)
    store.path.write_bytes(content)
    for attempt in (store.models, lambda: store.save_model(make_model(), SETTINGS), lambda: store.query("SELECT 1")):
        with pytest.raises(StorageError, match="cannot be opened") as caught:
            attempt()
        assert str(store.path) in caught.value.message
        assert "Move it away" in caught.value.hint
    assert store.path.read_bytes() == content


def test_a_damaged_database_is_a_clear_error(store):
    store.save_model(make_model(), SETTINGS)
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:0x3000] + b"\xab" * (len(whole) - 0x3000))
    with pytest.raises(StorageError) as caught:
        store.tensor_stats("small")
    assert "Move it away" in caught.value.hint
    store.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageError):
        store.tensor_stats("small")


def test_a_database_of_another_program_is_refused(store):
    store.folder.mkdir(parents=True)
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("CREATE TABLE orders (a INTEGER)")
    with pytest.raises(StorageError, match="another program"):
        store.save_model(make_model(), SETTINGS)


def test_a_folder_in_its_place_is_a_clear_error(store):
    store.path.mkdir(parents=True)
    with pytest.raises(StorageError, match="is a folder"):
        store.models()


def test_a_data_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="No database can be made"):
        Store(tmp_path / "file" / "data").models()


def test_a_database_that_goes_away_is_made_anew(store):
    store.save_model(make_model(), SETTINGS)
    shutil.rmtree(store.folder)
    assert store.models() == []
    assert store.save_model(make_model(), SETTINGS)

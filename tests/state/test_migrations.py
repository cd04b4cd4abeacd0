"""The schema's history: a database of an earlier version is brought up, one of a later version is left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from runbook.errors import StoreUnavailable
from sandbox.postgres import LocalPostgres
from state.database import Database, database_of
from state.migrations import MIGRATIONS, Migration, current_version, latest, migrate
from state.schema import metadata
from state.store import open_store

NOW = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a single table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty' / 'forge.db'}"
    server: LocalPostgres = request.getfixturevalue("postgres")
    name = f"empty_{tmp_path.name.replace('-', '_').lower()[-40:]}"
    server.drop_database(name)
    return server.create_database(name)


def _opened(url: str, tmp_path: Path) -> tuple[Database, Connection]:
    database = database_of(url, tmp_path)
    database.claim()
    return database, database.connect()


def test_a_migrated_database_has_the_tables_that_the_program_defines(empty: str, tmp_path: Path) -> None:
    database, connection = _opened(empty, tmp_path)
    assert migrate(connection, NOW) == [migration.number for migration in MIGRATIONS]
    found = inspect(connection)
    assert set(found.get_table_names()) == set(metadata.tables)
    for table in metadata.tables.values():
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        assert list(columns) == [column.name for column in table.columns], table.name
        for column in table.columns:
            assert columns[column.name]["nullable"] == column.nullable, column
            wanted = connection.dialect.type_compiler_instance.process(column.type)
            has = connection.dialect.type_compiler_instance.process(columns[column.name]["type"])
            assert has.removesuffix(' COLLATE "C"') == wanted, column
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key.columns]
        indexes = {
            index["name"]: index["column_names"] for index in found.get_indexes(table.name) if not index["unique"]
        }
        assert indexes == {index.name: [column.name for column in index.columns] for index in table.indexes}
    assert [each["column_names"] for each in found.get_unique_constraints("received")] == [["dedup"]]
    connection.close()
    database.release()


def test_migrating_twice_changes_nothing(empty: str, tmp_path: Path) -> None:
    open_store(empty, data_dir=tmp_path).close()
    database, connection = _opened(empty, tmp_path)
    instance = connection.execute(text("SELECT value FROM meta WHERE name = 'instance'")).scalar_one()
    assert migrate(connection) == []
    assert connection.execute(text("SELECT value FROM meta WHERE name = 'instance'")).scalar_one() == instance
    connection.close()
    database.release()


def test_an_older_database_gets_what_it_lacks_and_keeps_what_it_has(empty: str, tmp_path: Path) -> None:
    second = Migration(latest() + 1, "second", lambda dialect: ("ALTER TABLE locks ADD COLUMN note {text} DEFAULT ''",))
    database, connection = _opened(empty, tmp_path)
    migrate(connection, NOW)
    connection.execute(text("INSERT INTO counters (series, value) VALUES ('prod', 7)"))
    assert migrate(connection, NOW, (*MIGRATIONS, second)) == [second.number]
    assert current_version(connection) == second.number
    assert connection.execute(text("SELECT value FROM counters")).scalar_one() == 7
    assert "note" in {column["name"] for column in inspect(connection).get_columns("locks")}
    connection.close()
    database.release()


def test_a_migration_that_fails_leaves_nothing_behind(empty: str, tmp_path: Path) -> None:
    bad = Migration(
        latest() + 1, "bad", lambda dialect: ("CREATE TABLE half (a {text})", "CREATE TABLE half (a {text})")
    )
    database, connection = _opened(empty, tmp_path)
    connection.exec_driver_sql(database.begin)
    with pytest.raises(Exception, match="half"):
        migrate(connection, NOW, (*MIGRATIONS, bad))
    connection.exec_driver_sql("ROLLBACK")
    assert inspect(connection).get_table_names() == []
    connection.close()
    database.release()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_database_is_left_alone(empty: str, tmp_path: Path, read_only: bool) -> None:
    open_store(empty, data_dir=tmp_path).close()
    database, connection = _opened(empty, tmp_path)
    connection.execute(text("INSERT INTO schema_versions VALUES (99, 'later', '2027-01-01T00:00:00.000000+00:00')"))
    connection.close()
    database.release()
    with pytest.raises(StoreUnavailable, match=f"schema 99, this forge knows schemas up to {latest()}") as caught:
        open_store(empty, data_dir=tmp_path, read_only=read_only)
    assert caught.value.code == "store.newer_schema"


def test_an_empty_database_is_not_made_by_a_reader(empty: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        open_store(empty, data_dir=tmp_path, read_only=True)
    assert caught.value.code in ("store.missing", "store.older_schema")

"""Fixtures for whoever needs a store: every test that asks for `store` or `new_store` runs on SQLite and on a real PostgreSQL.

`open_quickly` is for tests that live in one process on simulated time and open many stores: what it saves is no part of what they prove.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sandbox.postgres import LocalPostgres
from state import sqlite
from state.database import SQLITE_FILE
from state.store import SqlStore, open_store

pytest_plugins = ("tests.property_profile",)
NewStore = Callable[..., SqlStore]
TEMPLATE = "forge_template"
BALLAST_BYTES = 64 * 1024
_numbers = itertools.count(1)


def open_quickly(url: str = "", *, data_dir: Path) -> SqlStore:
    """The real store; an empty url: SQLite in the folder, made from a file that has today's schema already, and without waiting for the disk.

    What SQLite does without is what outlives a loss of power; the store as the product opens it is tested in `tests/state` and by killed bots.
    """
    path = data_dir / SQLITE_FILE
    if not url and not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_empty_database())
    durable, sqlite.DURABLE = sqlite.DURABLE, ("journal_mode=MEMORY", "synchronous=OFF")
    try:
        return open_store(url, data_dir=data_dir, ballast_bytes=BALLAST_BYTES)
    finally:
        sqlite.DURABLE = durable


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory(prefix="forge-test-") as folder:
        open_store("", data_dir=Path(folder), ballast_bytes=BALLAST_BYTES).close()
        return (Path(folder) / SQLITE_FILE).read_bytes()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """One server for each worker, with a template that has today's schema."""
    with LocalPostgres() as server:
        url = server.create_database(TEMPLATE)
        open_store(url, data_dir=tmp_path_factory.mktemp("template")).close()
        yield server


@pytest.fixture
def postgres_url(postgres: LocalPostgres) -> Iterator[str]:
    """A database of its own, schema and all, gone after the test."""
    name = f"forge_{next(_numbers)}"
    yield postgres.create_database(name, TEMPLATE)
    postgres.drop_database(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'data' / 'forge.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def new_store(database_url: str, tmp_path: Path) -> Iterator[NewStore]:
    """Opens the test's database; arguments go to `open_store`. What is left open is closed in the end."""
    with ExitStack() as stack:

        def new(url: str = database_url, **arguments: object) -> SqlStore:
            settings = {"data_dir": tmp_path / "data", "ballast_bytes": BALLAST_BYTES, "probe_s": 0.05, **arguments}
            store = open_store(url, **settings)  # type: ignore[arg-type]
            stack.callback(store.close)
            return store

        yield new


@pytest.fixture
def store(new_store: NewStore) -> SqlStore:
    return new_store()

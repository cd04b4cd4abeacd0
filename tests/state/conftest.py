"""The store's fixtures, here by name until a root conftest loads `tests.fixtures_store` as a plugin."""

from tests.fixtures_store import database_url, new_store, postgres, postgres_url, sqlite_url, store

__all__ = ["database_url", "new_store", "postgres", "postgres_url", "sqlite_url", "store"]

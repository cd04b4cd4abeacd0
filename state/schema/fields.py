"""The kinds of columns, the same for SQLite and PostgreSQL, and the metadata that all tables belong to."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData
from sqlalchemy.types import TypeEngine

from state.columns import JSON_COLUMN, CleanText, UtcTime

metadata: Final = MetaData()
Whole: TypeEngine[Any] = BigInteger().with_variant(Integer(), "sqlite")


def text(name: str, *, null: bool = False, key: bool = False, unique: bool = False) -> Column[Any]:
    return Column(name, CleanText(), nullable=null, primary_key=key, unique=unique)


def whole(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    return Column(name, Whole, nullable=null, primary_key=key, autoincrement=False)


def numbered() -> Column[Any]:
    """A number that the database gives and never gives again."""
    return Column("id", Whole, primary_key=True, autoincrement=True)


def json(name: str) -> Column[Any]:
    return Column(name, JSON_COLUMN, nullable=True)


def flag(name: str) -> Column[Any]:
    return Column(name, Boolean(create_constraint=False), nullable=False)


def time(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, UtcTime(), nullable=null)

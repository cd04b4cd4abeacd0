"""The database inside one transaction: rows in and out, as the engine's records.

It must never begin, commit or roll back: that is the writer's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Executable, Row, Table, bindparam, delete, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from engine.ports import Exists
from engine.records import Entry, Sealed
from state import schema
from state.audit import GENESIS, seal

R = TypeVar("R")
Parameters = Mapping[str, Any]


class Session(Protocol):
    """Where statements go: the writer's batch or a reader's connection. Raises StoreUnavailable."""

    @property
    def dialect(self) -> str: ...

    def rows(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Row[Any]]: ...

    def change(self, statement: Executable, parameters: Parameters | None = None) -> tuple[Sequence[Row[Any]], int]:
        """What the statement returned, and how many rows it touched."""


@dataclass(frozen=True, eq=False)
class _Shape:
    """A record's table, its columns in the order of its fields, its key, and whether the database numbers it."""

    table: Table
    names: tuple[str, ...]
    key: tuple[str, ...]
    numbered: bool


def _shape_of(kind: type[Any], table: Table) -> _Shape:
    key: tuple[str, ...] = kind.key
    numbered = len(key) == 1 and table.autoincrement_column is table.c[key[0]]
    return _Shape(table, tuple(field.name for field in fields(kind)), key, numbered)


_SHAPES = {kind: _shape_of(kind, table) for kind, table in schema.TABLES.items()}


def _shape(kind: type[Any]) -> _Shape:
    try:
        return _SHAPES[kind]
    except KeyError:
        raise TypeError(f"{kind.__name__} is no record of the store") from None


def _wording(equals: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """How each condition is put: `is`, `in` or `null`; with the column's name the key to a compiled statement."""
    return tuple(
        (name, "null" if value is None else "in" if isinstance(value, list | tuple) else "is")
        for name, value in sorted(equals.items())
    )


def _values(equals: Mapping[str, object]) -> dict[str, object]:
    return {f"w_{name}": value for name, value in equals.items() if value is not None}


def _conditions(shape: _Shape, wording: Iterable[tuple[str, str]]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name, put in wording:
        column = _column(shape, name)
        if put == "null":
            conditions.append(column.is_(None))
        elif put == "in":
            conditions.append(column.in_(bindparam(f"w_{name}", expanding=True, type_=column.type)))
        else:
            conditions.append(column == bindparam(f"w_{name}", type_=column.type))
    return conditions


def _column(shape: _Shape, name: str) -> Any:
    if name not in shape.names:
        raise ValueError(f"{shape.table.name} has no column {name!r}, only {', '.join(shape.names)}")
    return shape.table.c[name]


@lru_cache(maxsize=512)
def _select(shape: _Shape, wording: tuple[tuple[str, str], ...], order: str, limited: bool) -> Executable:
    statement = select(*(shape.table.c[name] for name in shape.names)).where(*_conditions(shape, wording))
    column = _column(shape, order.removeprefix("-")) if order else None
    if column is not None:
        statement = statement.order_by(column.desc() if order.startswith("-") else column.asc())
    # The key decides between equals, in the same direction, so that an order never depends on the database.
    rest = (shape.table.c[name] for name in shape.key if name != order.removeprefix("-"))
    statement = statement.order_by(*(each.desc() if order.startswith("-") else each.asc() for each in rest))
    return statement.limit(bindparam("w_limit", type_=schema.Whole)) if limited else statement


@lru_cache(maxsize=512)
def _count(shape: _Shape, wording: tuple[tuple[str, str], ...]) -> Executable:
    return select(func.count()).select_from(shape.table).where(*_conditions(shape, wording))


@lru_cache(maxsize=512)
def _delete(shape: _Shape, wording: tuple[tuple[str, str], ...]) -> Executable:
    return delete(shape.table).where(*_conditions(shape, wording))


def _insert(dialect: str, table: Table) -> Any:
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # 2 MB that SQLite has no use for

        return postgresql.insert(table)
    return sqlite.insert(table)


@lru_cache(maxsize=64)
def _add(shape: _Shape, dialect: str, numbered: bool) -> Executable:
    """Inserts unless a row is in the way. Not by catching the error: on PostgreSQL that would spoil the whole transaction."""
    names = [name for name in shape.names if not (numbered and name in shape.key)]
    statement = _insert(dialect, shape.table).values({name: bindparam(name) for name in names})
    returning = [shape.table.c[name] for name in shape.key]
    adding: Executable = statement.on_conflict_do_nothing().returning(*returning)
    return adding


@lru_cache(maxsize=64)
def _save(shape: _Shape, dialect: str) -> Executable:
    statement = _insert(dialect, shape.table).values({name: bindparam(name) for name in shape.names})
    rest = {name: statement.excluded[name] for name in shape.names if name not in shape.key}
    saving: Executable = statement.on_conflict_do_update(index_elements=list(shape.key), set_=rest)
    return saving


@lru_cache(maxsize=2)
def _next(dialect: str) -> Executable:
    counters = schema.counters
    statement = _insert(dialect, counters).values(series=bindparam("series"), value=1)
    counting: Executable = statement.on_conflict_do_update(
        index_elements=["series"], set_={"value": counters.c.value + 1}
    ).returning(counters.c.value)
    return counting


_LAST = select(schema.audit.c.seq, schema.audit.c.hash).order_by(schema.audit.c.seq.desc()).limit(1)


class SqlLedger:
    """`engine.ports.Ledger` on one session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def get(self, kind: type[R], /, *key: object) -> R | None:
        shape = _shape(kind)
        if len(key) != len(shape.key):
            raise TypeError(f"the key of {shape.table.name} is ({', '.join(shape.key)})")
        found = self._find(kind, dict(zip(shape.key, key, strict=True)), "", None)
        return found[0] if found else None

    def find(self, kind: type[R], /, *, order: str = "", limit: int | None = None, **equals: object) -> list[R]:
        return self._find(kind, equals, order, limit)

    def _find(self, kind: type[R], equals: Mapping[str, object], order: str, limit: int | None) -> list[R]:
        shape = _shape(kind)
        statement = _select(shape, _wording(equals), order, limit is not None)
        values = _values(equals)
        if limit is not None:
            values["w_limit"] = limit
        return [kind(**dict(zip(shape.names, row, strict=True))) for row in self.session.rows(statement, values)]

    def count(self, kind: type[Any], /, **equals: object) -> int:
        rows = self.session.rows(_count(_shape(kind), _wording(equals)), _values(equals))
        return int(rows[0][0])

    def add(self, record: R) -> R:
        """Inserts; returns the record with its number. Raises Exists; the transaction goes on unharmed."""
        kind = type(record)
        shape = _writable(kind)
        values = {name: getattr(record, name) for name in shape.names}
        unnumbered = shape.numbered and values[shape.key[0]] is None
        if unnumbered:
            del values[shape.key[0]]
        rows, _ = self.session.change(_add(shape, self.session.dialect, unnumbered), values)
        if not rows:
            raise Exists(f"{shape.table.name} has such a row already")
        return replace(record, **{shape.key[0]: rows[0][0]}) if unnumbered else record  # type: ignore[type-var]

    def save(self, record: Any) -> None:
        """Inserts or replaces by key; a record without a number is added. Raises Exists when another unique value is taken."""
        kind = type(record)
        shape = _writable(kind)
        values = {name: getattr(record, name) for name in shape.names}
        if shape.numbered and values[shape.key[0]] is None:
            self.add(record)
            return
        try:
            self.session.change(_save(shape, self.session.dialect), values)
        except IntegrityError as error:
            raise Exists(f"{shape.table.name} has such a row already") from error

    def remove(self, kind: type[Any], /, **equals: object) -> int:
        """Returns how many rows went. Wants at least one condition: nobody empties a table by a forgotten argument."""
        shape = _writable(kind)
        if not equals:
            raise ValueError("remove wants a condition")
        return self.session.change(_delete(shape, _wording(equals)), _values(equals))[1]

    def next_number(self, series: str) -> int:
        rows, _ = self.session.change(_next(self.session.dialect), {"series": series})
        return int(rows[0][0])

    def audit(self, entry: Entry, at: datetime) -> Sealed:
        last = next(iter(self.session.rows(_LAST)), None)
        seq, previous = (1, GENESIS) if last is None else (last.seq + 1, last.hash)
        sealed = seal(entry, at, seq, previous)
        self.session.change(_APPEND, {name: getattr(sealed, name) for name in _APPENDED})
        return sealed


_APPENDED = tuple(field.name for field in fields(Sealed))
_APPEND = schema.audit.insert().values({name: bindparam(name) for name in _APPENDED})


def _writable(kind: type[Any]) -> _Shape:
    if kind is Sealed:
        raise TypeError("the audit log is written by `audit` alone")
    return _shape(kind)

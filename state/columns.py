"""How values are kept: text, JSON and times alike on SQLite and on PostgreSQL.

JSON only, never pickle. A time without a zone is refused: a guess here would falsify the record.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

REPLACEMENT = "\ufffd"


def clean_text(value: str) -> str:
    """The text as both databases can keep it: PostgreSQL has no NUL, UTF-8 has no lone surrogates; both become U+FFFD."""
    if type(value) is not str:
        if not isinstance(value, str):
            raise TypeError(f"text is wanted here, not {type(value).__name__}")
        value = str(value)
    if "\x00" in value:
        value = value.replace("\x00", REPLACEMENT)
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        # Pairs that were escaped one by one are joined, single halves replaced.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def canonical_json(value: Any) -> str:
    """The one text of a JSON value: sorted keys, no spaces, no escapes beyond JSON's own. Raises ValueError for NaN and infinities."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return clean_text(text)


def iso_time(value: datetime) -> str:
    """`2026-01-02T03:04:05.000006+00:00`: always UTC and of one width, so that the text sorts as the time does."""
    if value.tzinfo is None:
        raise ValueError("a time without a zone can't be stored")
    return value.astimezone(UTC).isoformat(timespec="microseconds")


class CleanText(TypeDecorator[str]):
    """Text that both databases keep unchanged."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_text(value)


class JsonText(TypeDecorator[Any]):
    """Canonical JSON as text; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


JSON_COLUMN: TypeEngine[Any] = JsonText().with_variant(JSON(none_as_null=True), "postgresql")
"""On PostgreSQL `json`, not `jsonb`: it keeps the very bytes, which the audit log's hashes cover."""


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC times: sortable ISO text on SQLite, `timestamptz` on PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        text = iso_time(value)
        return value if dialect.name == "postgresql" else text

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)

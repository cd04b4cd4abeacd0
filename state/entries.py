"""The audit log's rows as they lie in the database, in portions: no types, no records, the very texts that were hashed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text

from state.ledger import SqlLedger

CHUNK: Final = 5000
"""Entries read at once: between two portions the writer gets its turn."""

BEFORE_ALL: Final = -(2**62)
"""Also before what was given an impossible number."""

_FIELDS: Final = "actor, role, action, subject, what, why"
_RAW: Final = {
    "sqlite": f"SELECT seq, at, {_FIELDS}, evidence, previous, hash FROM audit",  # noqa: S608  (constants of ours)
    "postgresql": (
        "SELECT seq, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24\\:MI\\:SS.US\"+00\\:00\"') AS at, "  # noqa: S608
        f"{_FIELDS}, CAST(evidence AS TEXT) AS evidence, previous, hash FROM audit"
    ),
}
_AFTER: Final = {dialect: text(f"{raw} WHERE seq > :after ORDER BY seq LIMIT {CHUNK}") for dialect, raw in _RAW.items()}
_SIZE: Final = text(
    "SELECT count(*) AS entries, coalesce(max(seq), 0) AS last FROM audit WHERE seq > :above AND seq <= :upto"
)


def raw_rows(ledger: SqlLedger, after: int) -> Sequence[Any]:
    """The next portion after an entry's number: tuples in the order of `audit.COLUMNS`; empty at the end."""
    return ledger.session.rows(_AFTER[ledger.session.dialect], {"after": after})


def size(ledger: SqlLedger, above: int = BEFORE_ALL, upto: int = 2**62) -> tuple[int, int]:
    """How many entries have a number in this range, the upper end included, and the highest of these numbers."""
    row = next(iter(ledger.session.rows(_SIZE, {"above": above, "upto": upto})))
    return int(row.entries), int(row.last)

"""The audit log as a file that people can take away: a SQLite database with full-text search, CSV, or JSON lines.

It must never overwrite a file, and nobody but its owner may read it.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import select

from runbook.errors import Permanent
from state.audit import COLUMNS
from state.checkpointer import instance_of
from state.columns import canonical_json
from state.entries import BEFORE_ALL, CHUNK, raw_rows
from state.ledger import SqlLedger
from state.schema import checkpoints
from state.store import SqlStore

Format = Literal["sqlite", "csv", "jsonl"]
Row = dict[str, Any]
SEARCHED: Final = ("actor", "role", "action", "subject", "what", "why", "evidence")


def export_audit(store: SqlStore, path: Path, form: Format = "sqlite") -> int:
    """Writes all entries to a new file of mode 0600 and returns how many. Blocks. `at` and `evidence` are the very texts that are hashed.

    In CSV a text that a spreadsheet would take for a formula gets an apostrophe before it; JSON lines and SQLite hold the exact text.
    Raises Permanent (`audit.file_exists`, `audit.file`) and StoreUnavailable.
    """
    write: Callable[[SqlStore, Path], int] = {"sqlite": _to_sqlite, "csv": _to_csv, "jsonl": _to_lines}[form]
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise Permanent("audit", "file_exists", f"{path} exists already", "Name a file that doesn't exist") from None
    except OSError as error:
        raise Permanent("audit", "file", f"{path} can't be written: {error.strerror}") from error
    try:
        return write(store, path)
    except BaseException:
        path.unlink(missing_ok=True)  # half an export would pass for a whole one
        raise


def _entries(store: SqlStore) -> Iterator[Row]:
    after = BEFORE_ALL
    while rows := store.read_now(lambda ledger, after=after: raw_rows(ledger, after)):  # type: ignore[misc]
        for row in rows:
            yield dict(zip(COLUMNS, row, strict=True))
        after = rows[-1][0]


def _to_sqlite(store: SqlStore, path: Path) -> int:
    from sqlite_utils import Database  # 100 ms: only here

    with closing(Database(path)) as database:
        entries = database.table("audit")
        entries.insert_all(_entries(store), pk="seq", columns={"evidence": str}, batch_size=CHUNK)
        if not entries.exists():
            entries.create({name: int if name == "seq" else str for name in COLUMNS}, pk="seq")
        entries.enable_fts(SEARCHED, tokenize="unicode61")
        database.table("about").insert({"instance": store.read_now(instance_of), "entries": entries.count})
        database.table("checkpoints").insert_all(store.read_now(_checkpoints), pk="seq")
        return int(entries.count)


def _checkpoints(ledger: SqlLedger) -> list[Row]:
    rows = ledger.session.rows(select(checkpoints).order_by(checkpoints.c.seq))
    return [
        {
            **row._mapping,
            "places": canonical_json(row.places),
            "at": row.at.isoformat(),
            "stored_at": row.stored_at.isoformat(),
        }
        for row in rows
    ]


def _to_csv(store: SqlStore, path: Path) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for entry in _entries(store):
            count += 1
            writer.writerow([_harmless(value) for value in entry.values()])
    return count


def _harmless(value: Any) -> Any:
    """People write the reasons: `=HYPERLINK(…)` must stay text when a spreadsheet opens the file."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _to_lines(store: SqlStore, path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for entry in _entries(store):
            count += 1
            if entry["evidence"] is not None:
                entry["evidence"] = json.loads(entry["evidence"])
            file.write(canonical_json(entry) + "\n")
    return count

"""What people do with the log: search it, take it away as a file."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from engine.records import Entry
from runbook.errors import Permanent
from state.export import Format, export_audit
from state.search import AuditQuery, find_entries
from state.store import SqlStore

NOW = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
ENTRIES = [
    Entry(
        actor="slack:T/U1",
        action="run.created",
        subject="prod-7",
        what="asked for v1.4.0",
        why="=1+1",
        evidence={"tag": "v1.4.0"},
    ),
    Entry(
        actor="slack:T/U2",
        role="service_owner",
        action="approval.approved",
        subject="approval:prod-7:3",
        why="Änderung gut",
    ),
    Entry(actor="forge", action="run.ended", subject="prod-7", what="50% done_", evidence=[1.0, None]),
    Entry(actor="slack:T/U1", action="lock.taken", subject="prod-70", why="migration"),
    Entry(actor="os:root", action="runs.read", subject="lock:prod", why="\x00NUL"),
]


@pytest.fixture
def full(store: SqlStore) -> SqlStore:
    store.write_now(lambda ledger: [ledger.audit(entry, NOW + timedelta(hours=n)) for n, entry in enumerate(ENTRIES)])
    return store


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (AuditQuery(), [1, 2, 3, 4, 5]),
        (AuditQuery(limit=2), [4, 5]),
        (AuditQuery(subject="prod-7"), [1, 2, 3]),
        (AuditQuery(subject="prod-7", limit=1), [3]),
        (AuditQuery(subject="prod%"), []),
        (AuditQuery(actor="slack:T/U1"), [1, 4]),
        (AuditQuery(action="run"), [1, 3]),
        (AuditQuery(action="run.ended"), [3]),
        (AuditQuery(since=NOW + timedelta(hours=2)), [3, 4, 5]),
        (AuditQuery(since=NOW + timedelta(hours=1), until=NOW + timedelta(hours=2)), [2, 3]),
        (AuditQuery(text="V1.4"), [1]),
        (AuditQuery(text="MIGRATION"), [4]),
        (AuditQuery(text="%"), [3]),
        (AuditQuery(text="done_"), [3]),
        (AuditQuery(text="nowhere"), []),
    ],
)
def test_the_log_is_searched(full: SqlStore, query: AuditQuery, found: list[int]) -> None:
    assert [entry.seq for entry in full.read_now(lambda ledger: find_entries(ledger, query))] == found


def test_the_sqlite_file_has_every_entry_exactly_and_can_be_searched(full: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    assert export_audit(full, path) == 5
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("audit.db")] == ["audit.db"]
    with closing(sqlite3.connect(path)) as file:
        file.row_factory = sqlite3.Row
        previous = "0" * 64
        for row in file.execute("SELECT * FROM audit ORDER BY seq"):
            fields = {**row, "evidence": json.loads(row["evidence"] or "null")}
            stored = fields.pop("hash")
            assert fields["previous"] == previous
            text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            previous = sha256(text.encode()).hexdigest()
            assert stored == previous
        hits = file.execute("SELECT rowid FROM audit_fts WHERE audit_fts MATCH 'anderung OR migration'").fetchall()
        assert sorted(hit[0] for hit in hits) == [2, 4]
        assert file.execute("SELECT entries, length(instance) FROM about").fetchone()[:] == (5, 16)


def test_json_lines_hold_every_entry_exactly(full: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    assert export_audit(full, path, "jsonl") == 5
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert (lines[0]["why"], lines[0]["evidence"], lines[1]["evidence"]) == ("=1+1", {"tag": "v1.4.0"}, None)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_formula_stays_text_in_csv(full: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    assert export_audit(full, path, "csv") == 5
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seq"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0]["why"] == "'=1+1"
    assert rows[1]["why"] == "Änderung gut"


@pytest.mark.parametrize("form", ["sqlite", "csv", "jsonl"])
def test_an_export_never_overwrites_a_file(full: SqlStore, tmp_path: Path, form: Format) -> None:
    path = tmp_path / "there"
    path.write_text("mine")
    with pytest.raises(Permanent) as caught:
        export_audit(full, path, form)
    assert caught.value.code == "audit.file_exists"
    assert path.read_text() == "mine"
    with pytest.raises(Permanent):
        export_audit(full, tmp_path / "no" / "folder", form)


@pytest.mark.parametrize("form", ["sqlite", "csv", "jsonl"])
def test_an_empty_log_can_be_exported(store: SqlStore, tmp_path: Path, form: Format) -> None:
    assert export_audit(store, tmp_path / "audit", form) == 0

"""The tables, defined once for SQLite and PostgreSQL.

A record of `engine.records` is a row of its table, its fields the columns. What a new table or column means for databases that exist
already is told in `state.migrations`; a test compares the two.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Table

from engine import records
from state.schema.asking import buttons, clicks, overrides, prompts, ticks
from state.schema.chain import audit, checkpoints, counters, meta, schema_versions
from state.schema.databases import backups, drills, wal_segments
from state.schema.fields import Whole, metadata
from state.schema.letters import ci_results, deliveries, outgoing, posted, received, scan_reports
from state.schema.runs import decisions, run_changes, runs, segments, steps
from state.schema.standing import freezes, incidents, locks, marks, seen_tags

__all__ = ["TABLES", "Whole", "audit", "checkpoints", "counters", "meta", "metadata", "schema_versions"]

TABLES: Final[dict[type[Any], Table]] = {
    records.Run: runs,
    records.Segment: segments,
    records.StepRow: steps,
    records.Click: clicks,
    records.Button: buttons,
    records.Received: received,
    records.Outgoing: outgoing,
    records.Posted: posted,
    records.Lock: locks,
    records.SeenTag: seen_tags,
    records.Mark: marks,
    records.Decision: decisions,
    records.ScanRow: scan_reports,
    records.IncidentRow: incidents,
    records.FreezeRow: freezes,
    records.Prompt: prompts,
    records.Tick: ticks,
    records.Override: overrides,
    records.BackupRow: backups,
    records.DrillRow: drills,
    records.WalRow: wal_segments,
    records.Delivery: deliveries,
    records.CiResult: ci_results,
    records.RunChanges: run_changes,
    records.Sealed: audit,
}
"""Which table holds which record."""

"""Backups, drills and archived WAL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from engine.records.json_values import Json


@dataclass(frozen=True, kw_only=True)
class BackupRow:
    """A backup on record: see `runbook.backups.BackupRecord` for the fields. held_by: an `Actor.id`."""

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    kind: str
    service: str
    environment: str
    state: str
    run: str
    operator: str
    started_at: datetime
    finished_at: datetime | None = None
    proven_at: datetime | None = None
    plain_bytes: int = 0
    stored_bytes: int = 0
    sha256: str = ""
    server_version_num: int = 0
    system_identifier: str = ""
    timeline: int = 0
    lsn_start: str = ""
    lsn_end: str = ""
    manifest: str = ""
    held_by: str = ""
    held_by_name: str = ""
    held_reason: str = ""
    busy: str = ""
    failure: str = ""
    deleted_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class DrillRow:
    """One restore drill: see `runbook.backups.DrillRecord`. milliseconds: from its beginning to its last check. until: recovered to.
    compared: what of it was held against its source."""

    key: ClassVar[tuple[str, ...]] = ("run",)
    run: str
    service: str
    environment: str
    backup: str
    kind: str
    started_at: datetime
    finished_at: datetime
    passed: bool
    milliseconds: int
    major: int
    reason: str = ""
    until: datetime | None = None
    signed_off_by: str = ""
    signed_off_at: datetime | None = None
    compared: str = ""


@dataclass(frozen=True, kw_only=True)
class WalRow:
    """One archived WAL segment. file: JSON of `runbook.backups.StoredFile`. ended_at: when its last byte was received."""

    key: ClassVar[tuple[str, ...]] = ("service", "environment", "system_identifier", "name")
    service: str
    environment: str
    system_identifier: str
    name: str
    timeline: int
    file: Json
    ended_at: datetime

"""Which local folder is the repository of backups, as forge remembers it over restarts: see `runbook.database_ports.RepositoryMemory`."""

from __future__ import annotations

from datetime import datetime

from engine.ports import Ledger
from engine.records import BackupRow, Entry, Mark
from runbook.backups import RESTORABLE
from runbook.database_ports import KnownPlace
from runbook.values import FORGE


def known_place(ledger: Ledger, destination: str) -> KnownPlace:
    mark = ledger.get(Mark, _name(destination))
    rows = [row for row in ledger.find(BackupRow, deleted_at=None) if row.manifest and row.state in RESTORABLE]
    newest = max(rows, key=lambda row: (row.finished_at or row.started_at, row.id), default=None)
    return KnownPlace(mark.at if mark is not None else None, newest.id if newest is not None else "")


def see_place(ledger: Ledger, destination: str, made_at: datetime, now: datetime) -> None:
    """A repeat changes nothing."""
    before = ledger.get(Mark, _name(destination))
    if before is not None and before.at == made_at:
        return
    ledger.save(Mark(name=_name(destination), at=made_at))
    evidence = {"made_at": made_at.isoformat(), "before": before.at.isoformat() if before is not None else None}
    entry = Entry(actor=FORGE.id, action="backup.destination", subject=destination,
                  what="the repository of backups in this folder is the one from now on", evidence=evidence)  # fmt: skip
    ledger.audit(entry, now)


def _name(destination: str) -> str:
    return f"repository:{destination}"

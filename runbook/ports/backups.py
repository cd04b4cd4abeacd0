"""The newest backup, as a gate asks for it; `runbook.database_ports` makes and restores them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runbook.values import Environment


@dataclass(frozen=True, slots=True)
class Backup:
    """A PostgreSQL backup. state: `created`, `stored`, `decoded`, `restored`, `verified`: the last three are called restorable.

    drilled_at: when a restore drill of the same major version last succeeded. recoverable_until: newest moment of point-in-time recovery.
    drill_failed_at, drill_failure: of the newest drill, where it failed.
    """

    id: str
    database: str
    finished_at: datetime
    state: str
    drilled_at: datetime | None = None
    recoverable_until: datetime | None = None
    drill_failed_at: datetime | None = None
    drill_failure: str = ""


class Backups(Protocol):
    async def newest(self, service: str, environment: Environment) -> Backup | None:
        """None when none is on record."""


class NoBackups:
    """Where nothing keeps a record of backups: unknown is not yes."""

    async def newest(self, service: str, environment: Environment) -> Backup | None:
        return None

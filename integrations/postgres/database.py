"""One service's database in one environment. It is looked at and copied, never written to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from integrations.backups import Repository
from integrations.postgres.base import base_backup
from integrations.postgres.connection import PostgresConnection
from integrations.postgres.dump import dump
from integrations.postgres.look import look
from integrations.postgres.programs import ProgramFinder
from runbook.backups import BackupOrder, Made, ServerFacts
from runbook.database_ports import Tell


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """Fulfils `runbook.database_ports.Database`. scratch: a folder for connection files and the like, 0700."""

    connection: PostgresConnection
    programs: ProgramFinder
    repository: Repository
    scratch: Path

    async def look(self) -> ServerFacts:
        return await look(self.connection)

    async def dump(self, order: BackupOrder, tell: Tell) -> Made:
        return await dump(self.connection, self.programs, self.repository, self.scratch, order, tell)

    async def base_backup(self, order: BackupOrder, tell: Tell) -> Made:
        return await base_backup(self.connection, self.programs, self.repository, self.scratch, order, tell)

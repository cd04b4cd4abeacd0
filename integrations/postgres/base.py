"""A physical copy of a whole server: `pg_basebackup`, checked by `pg_verifybackup`."""

from __future__ import annotations

from pathlib import Path

from integrations.backups import Repository
from integrations.postgres.connection import PostgresConnection
from integrations.postgres.programs import ProgramFinder
from runbook.backups import BackupOrder, Made
from runbook.database_ports import Tell


async def base_backup(
    connection: PostgresConnection,
    programs: ProgramFinder,
    repository: Repository,
    scratch: Path,
    order: BackupOrder,
    tell: Tell,
) -> Made:
    raise NotImplementedError

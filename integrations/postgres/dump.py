"""A logical backup of one database: `pg_dump -Fc`, encrypted on its way into the repository and decoded beside it."""

from __future__ import annotations

from pathlib import Path

from integrations.backups import Repository
from integrations.postgres.connection import PostgresConnection
from integrations.postgres.programs import ProgramFinder
from runbook.backups import BackupOrder, Made
from runbook.database_ports import Tell


async def dump(
    connection: PostgresConnection,
    programs: ProgramFinder,
    repository: Repository,
    scratch: Path,
    order: BackupOrder,
    tell: Tell,
) -> Made:
    raise NotImplementedError

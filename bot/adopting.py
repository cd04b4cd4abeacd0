"""At start: what the repository has and the record doesn't know is taken on record. It never keeps the bot from starting, nor from stopping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from engine.backup_adoption import Adopted, Place, adopt_published
from runbook.database_ports import BackupLedger, BackupRepository
from runbook.errors import ForgeError, Permanent

log = structlog.get_logger("forge")

FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0


async def adopt_at_start(
    repository: BackupRepository,
    ledger: BackupLedger,
    places: Collection[Place],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Adopted | None:
    """Again and again while the repository can't be read now; None where it can't be read at all, which doctor tells of."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            found = await adopt_published(repository, ledger, places)
        except Permanent as error:
            log.warning("backups.not_looked_at", code=error.code, why=error.cause, remedy=error.remedy)
            return None
        except ForgeError as error:
            log.warning("backups.not_looked_at", code=error.code, why=error.cause, again_in_s=wait_s)
            await sleep(wait_s)
            wait_s = min(LONGEST_WAIT_S, 2 * wait_s)
            continue
        for name, why in found.left:
            log.warning("backups.left_alone", backup=name, why=why)
        if found.taken:
            log.warning("backups.adopted", backups=list(found.taken), more=found.more)
        return found

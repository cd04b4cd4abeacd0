"""Makes one backup in a process of its own and says how much memory that took; see `tests.bench.backups`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import psutil

from integrations.backups import Repository, RepositoryAddress, Signer
from integrations.postgres import PostgresConnection, PostgresDatabase, ProgramFinder
from runbook.backups import BackupKind, BackupOrder
from tests.integrations.postgres.servers import finder


async def main(about: dict[str, str]) -> None:
    folder = Path(about["folder"])
    repository = Repository(
        RepositoryAddress(str(folder / "repository"), (about["recipient"],), folder / "scratch"),
        Signer("SHA256:bench", lambda text: b"", lambda text, signature: False),
    )
    connection = PostgresConnection(
        about["host"], "shop", about["user"], about["password"], int(about["port"]), sslmode="disable"
    )
    programs: ProgramFinder = finder()
    database = PostgresDatabase(connection, programs, repository, folder / "scratch")
    await database.look()  # as an idle bot has done: what is imported and connected is there
    await repository.destination()
    before = psutil.Process().memory_info().rss / 1e6
    order = BackupOrder("shop-prod-20260302T020000Z-beef", BackupKind.LOGICAL, "shop", "prod", "run-1", "forge")
    await database.dump(order, lambda progress: None)
    sys.stdout.write(json.dumps({"before": before, "peak": max(_peak_mb(), before)}) + "\n")


def _peak_mb() -> float:
    """Of this very program: `getrusage` would tell of the process that started it, too."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))

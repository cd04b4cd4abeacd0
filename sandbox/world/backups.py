"""What the bot needs to back the shop's databases up: a place, keys, and a scratch folder. It makes and reads no backup itself.

What a restore left standing there is ended with the world: nobody would look after it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pyrage import x25519  # type: ignore[import-untyped]

from sandbox.world.database import BACKUP_USER, SECRET, ShopDatabase

ENVIRONMENTS: Final = ("staging", "prod")
PASSWORD: Final = "SHOP_BACKUP_PASSWORD"  # noqa: S105 - the variable's name
END_WITHIN_S: Final = 20.0
ORDERS_AT_FIRST: Final = 300


class Backups:
    """folder: of the world. identity: the age private key. environments: those of the world."""

    def __init__(self, folder: Path, identity: str, environments: Sequence[str]) -> None:
        self.environments = tuple(env for env in environments if env in ENVIRONMENTS)
        self.destination = folder / "backups"
        self._identity = identity
        self._scratch: Path | None = None

    @property
    def scratch(self) -> Path:
        """Made when it is first asked for: a short path, which the user that PostgreSQL's servers run as can get to."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="forge-r-"))
        return self._scratch

    def environment(self, database: ShopDatabase) -> dict[str, str]:
        """The bot's secrets."""
        recipient = str(x25519.Identity.from_str(self._identity).to_public())
        return {
            "FORGE_BACKUP_RECIPIENTS": recipient,
            "FORGE_BACKUP_IDENTITY": self._identity,
            PASSWORD: database.backup_password,
        }

    def integration(self, database: ShopDatabase) -> dict[str, Any]:
        """`integrations.postgres` of forge.yaml. The database has to run."""
        self.destination.mkdir(mode=0o700, exist_ok=True)
        return {
            "programs": [str(database.programs)],
            "databases": {env: {"shop": self._database(database, env)} for env in self.environments},
            "backups": {"destination": str(self.destination), "scratch": str(self.scratch)},
        }

    def _database(self, database: ShopDatabase, env: str) -> dict[str, Any]:
        """A slot of its own for each: they are one server's."""
        return {
            "host": "127.0.0.1",
            "port": database.port,
            "name": env,
            "user": BACKUP_USER,
            "password": {"env": PASSWORD},
            "wal": True,
            "slot": f"forge_shop_{env}",
        }

    def service(self) -> dict[str, Any]:
        """What stands in `services.shop` for restores. The Job runs where forge's scratch folder is."""
        return {
            "restore_checks": {
                "schema_version": "SELECT coalesce(max(name), 'as v1.3.0 made it') FROM schema_versions",
                "tables": ["public.products", "public.orders"],
                "minimum_rows": {"public.products": 2, "public.orders": ORDERS_AT_FIRST},
                "smoke": ["SELECT NOT EXISTS (SELECT FROM orders o WHERE o.product NOT IN (SELECT id FROM products))"],
            },
            "restore_switch": {
                "workload": "web",
                "args": ["restore"],
                "env": {"SHOP_RESTORES": str(self.scratch / "restores")},
                "env_from_secrets": [SECRET],
                "timeout": "2m",
                "start_within": "30s",
            },
        }

    def close(self) -> None:
        """Ends the servers that restores left, and removes the scratch folder. Blocks. The bot must have ended before."""
        if self._scratch is None:
            return
        for data in self._scratch.glob("restores/*/data"):
            _end_server(data)
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch = None


def _end_server(data: Path) -> None:
    """The process that says so in its file, and really works in that folder; its number alone could be anybody's."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        deadline = time.monotonic() + END_WITHIN_S
        while (pid := _server_of(data)) is not None and time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
            time.sleep(0.05)


def _server_of(data: Path) -> int | None:
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        return pid if Path(f"/proc/{pid}/cwd").readlink() == data.resolve() else None
    except (OSError, ValueError, IndexError):
        return None

"""What the steps on databases share: their ports, the words of their progress, and how an error ends.

A backup by night waits for nobody: what still can't be asked after its retries has failed, and holds up no later run.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from runbook.backups import Progress
from runbook.database_ports import BackupLedger, BackupRepository, Database, RestoreHost, Tell
from runbook.errors import Permanent, Temporary
from runbook.plan import Result, Scene, Work
from runbook.ports import Ports
from runbook.values import Environment
from runbook.verdicts import Evidence, Verdict
from runbook.wording import shortened, size

_CONFIGURE = "Configure integrations.postgres in forge.yaml"


@dataclass(frozen=True, kw_only=True)
class DatabaseWork(Work):
    """One step on a service's database. Its errors are an ERROR while tries are left, then a FAIL: `on_fail` decides, and nothing is held."""

    service: str

    async def perform(self, scene: Scene) -> Result:
        try:
            return await self.work(scene)
        except (Temporary, Permanent) as error:
            return Result((self.error(scene, error),))

    @abstractmethod
    async def work(self, scene: Scene) -> Result:
        """Raises `Temporary` and `Permanent`; whatever it has begun is done once more by a repeat, or taken back by the way back."""

    def error(self, scene: Scene, error: Temporary | Permanent) -> Verdict:
        """Of an error that a repeat might not meet (ERROR), or of the last try (FAIL)."""
        reason = shortened(error.cause, 400)
        evidence = Evidence(name="attempt", value=scene.attempt, limit=self.retries + 1, source=error.system)
        if isinstance(error, Temporary) and scene.attempt <= self.retries:
            return Verdict.error(self.title, error.code, reason, evidence, remedy=error.remedy)
        return Verdict.failed(self.title, error.code, reason, evidence, remedy=error.remedy)


def database_of(ports: Ports, service: str, environment: Environment) -> Database:
    """Raises `Permanent` where none is configured."""
    found = ports.databases.get((service, environment))
    if found is None:
        raise Permanent(
            "backups", "no_database", f"no database of {service} on {environment} is configured", _CONFIGURE
        )
    return found


def repository_of(ports: Ports) -> BackupRepository:
    """Raises `Permanent` where none is configured."""
    if ports.repository is None:
        raise Permanent("backups", "no_repository", "nowhere is configured to keep backups", _CONFIGURE)
    return ports.repository


def ledger_of(ports: Ports) -> BackupLedger:
    """Raises `Permanent` where none is wired."""
    if ports.backup_ledger is None:
        raise Permanent("backups", "no_ledger", "nothing keeps a record of backups", _CONFIGURE)
    return ports.backup_ledger


def host_of(ports: Ports) -> RestoreHost:
    """Raises `Permanent` where none is configured."""
    if ports.restore_host is None:
        remedy = "Configure integrations.postgres.backups.identity and scratch where restores and drills run"
        raise Permanent("backups", "no_host", "nowhere is configured to restore to", remedy)
    return ports.restore_host


def telling(scene: Scene) -> Tell:
    """Says how far a long copy is, for the headline and the terminal."""

    def tell(progress: Progress) -> None:
        scene.doing(progress_words(progress))

    return tell


def progress_words(progress: Progress) -> str:
    """`dumping: 40 MB of about 80 MB (50 %), 2.7 MB/s, 40.1 MB stored`."""
    whole = ""
    if progress.of > 0:
        part = min(99, 100 * progress.done // progress.of)
        whole = f" of about {size(progress.of)} ({part} %)"
    rate = f", {size(progress.rate)}/s" if progress.seconds > 0 and progress.done > 0 else ""
    stored = f", {size(progress.stored)} stored" if progress.stored > 0 else ""
    return f"{progress.phase}: {size(progress.done)}{whole}{rate}{stored}"

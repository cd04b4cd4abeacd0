"""What the backup and restore procedures ask of the outside world. Runbook: PostgreSQL Backup and Restore Procedures.

As of every port: each call is bounded in time and raises `runbook.errors` alone. Whatever makes or drops something does nothing more when
it is asked again: names come from the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runbook.backups import (
    BackupOrder,
    BackupRecord,
    DrillRecord,
    Instance,
    Made,
    Manifest,
    Progress,
    RecoveryWindow,
    RestoreChecks,
    RestoredFacts,
    ServerFacts,
    WalSegment,
)
from runbook.values import Environment

Tell = Callable[[Progress], None]
"""Called about once a second by whatever takes long; quick, and never raises."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The repository as it answered. where: its address for people, without secrets. encrypted: recipients are configured, so that nothing is
    stored in the clear. free_bytes: None where that can't be known (object storage)."""

    where: str
    writable: bool
    encrypted: bool
    in_transit: bool
    free_bytes: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class WalFile:
    """A stored object of archived WAL, whether it is on record or not. key: `<segment>-<random>.age`. stored_at: by the storage's clock."""

    system_identifier: str
    key: str
    bytes: int
    stored_at: datetime


class Database(Protocol):
    """One service's database in one environment, as a subject: looked at and copied, never written to."""

    async def look(self) -> ServerFacts: ...

    async def dump(self, order: BackupOrder, tell: Tell) -> Made:
        """`pg_dump -Fc`, encrypted on its way into the repository and decoded by `pg_restore` beside it. A repeat of the same order begins
        anew. Raises Permanent for what no repeat would change (no client program of that version, a refused connection)."""

    async def base_backup(self, order: BackupOrder, tell: Tell) -> Made:
        """`pg_basebackup` with its manifest, checked by `pg_verifybackup`, then encrypted into the repository."""


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """What forge remembers of a local folder. made_at: when the repository that it saw there last was begun, by which one is told from
    another; None: it has never seen one there. newest: the id of the newest published backup on record, wherever it is; empty: there is none."""

    made_at: datetime | None = None
    newest: str = ""


class RepositoryMemory(Protocol):
    """forge's own record of where its repository is: what is stored there can't say that it is missing. Raises StoreUnavailable."""

    async def known_place(self, destination: str) -> KnownPlace: ...

    async def place_seen(self, destination: str, made_at: datetime) -> None:
        """That one is there. A repeat changes nothing."""


class BackupRepository(Protocol):
    """Where backups are kept: encrypted, each under a name of its own, with a signed manifest that is published last."""

    async def destination(self) -> Destination:
        """Writes, reads and removes a small object."""

    async def confirm(self, order: BackupOrder, made: Made) -> bool:
        """Reads every stored byte again and compares its hash."""

    async def publish(self, manifest: Manifest) -> None:
        """Signs and creates; never overwrites. Raises Conflict where another manifest has this id; the same one is fine."""

    async def manifest(self, backup_id: str) -> Manifest | None:
        """With a good signature of forge's own key, about this very id. Raises Permanent("backups.forged") otherwise; None: there is none."""

    async def remove(self, backup_id: str) -> None:
        """Its manifest first, then its files; what is not there any more is fine."""

    async def published(self) -> tuple[str, ...]:
        """Ids of what has a manifest, whatever it says."""

    async def complete(self, manifest: Manifest) -> bool:
        """Whether every file is there in the size that the manifest says; no byte is read."""

    async def remove_segments(self, segments: Sequence[WalSegment]) -> None:
        """The stored bytes of archived WAL that no kept base backup needs; what is not there any more is fine."""

    async def wal_files(self, service: str, environment: Environment) -> tuple[WalFile, ...]:
        """All that is stored, of every server that there was."""

    async def remove_wal_files(self, service: str, environment: Environment, files: Sequence[WalFile]) -> None:
        """What is not there any more is fine. Uploads to a folder of this machine that ended in the middle a day ago go, too."""


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """name: of the instance, from the run. until: recover to this moment; None: all that the backup has. target: the environment that is to
    go on with it, at the place that is configured for that; None: it serves nobody (a drill), and stands on forge's own machine."""

    name: str
    manifest: Manifest
    until: datetime | None = None
    target: Environment | None = None


class RestoreHost(Protocol):
    """Where restored databases stand: apart from everything else, and gone afterwards."""

    async def fetch(self, order: RestoreOrder, tell: Tell) -> None:
        """Everything that is needed, into scratch space: hashes of the stored bytes checked, then decrypted whole, then hashes of the plain
        bytes checked. Only after that may a PostgreSQL program read any of it. Raises Permanent("backups.tampered") otherwise, and
        Permanent("backups.gap") where WAL up to `until` isn't whole."""

    async def provision(self, order: RestoreOrder) -> Instance:
        """A server of the same major version that accepts connections of forge alone; the one of this name, where there is one already."""

    async def restore(self, order: RestoreOrder, instance: Instance, tell: Tell) -> datetime | None:
        """Fills it: `pg_restore` of a dump, or replay of WAL onto a base backup. Returns the moment that was recovered to, of the latter.
        What was half restored under this name is dropped first."""

    async def check(self, instance: Instance, checks: RestoreChecks) -> RestoredFacts: ...

    async def admit(self, name: str, target: Environment) -> None:
        """Lets others than forge in, where they get there at all: after the sign-off. Nobody is let in before."""

    async def drop(self, name: str, target: Environment | None = None) -> None:
        """Ends it and wipes its files and scratch space; what is not there is fine. target: of its order."""

    async def standing(self) -> tuple[str, ...]:
        """Names of everything that stands or left files."""


class BackupLedger(Protocol):
    """forge's own record, with its audit entries. Every call may be repeated; what names a backup that is not on record changes nothing."""

    async def began(self, order: BackupOrder) -> None: ...

    async def made(self, order: BackupOrder, made: Made) -> None:
        """STORED, or DECODED where it was."""

    async def published(self, manifest: Manifest) -> None: ...

    async def adopted(self, manifest: Manifest, operator: str) -> None:
        """On record as DECODED: it is published with a good signature, and wasn't on record. What is, stays as it is. operator: who asked."""

    async def failed(self, backup_id: str, reason: str) -> None: ...

    async def proven(self, backup_id: str, *, checked: bool) -> None:
        """RESTORED, and VERIFIED where the post-restore checks passed. Never backwards."""

    async def busy(self, backup_id: str, run: str) -> None:
        """Which runs are reading it, see `BackupRecord.busy`; empty: none."""

    async def deleted(self, backup_id: str, why: str) -> None:
        """Its bytes are gone: DELETED, with the moment. A failed one stays FAILED and gets the moment alone."""

    async def planned(self, environment: Environment, service: str, run: str, plan: Mapping[str, object]) -> None:
        """The retention's dry run, into the audit log, before anything is deleted."""

    async def drilled(self, drill: DrillRecord) -> None: ...

    async def records(self, service: str, environment: Environment) -> tuple[BackupRecord, ...]:
        """All that are on record, the newest first, failed and deleted ones too."""

    async def record(self, backup_id: str) -> BackupRecord | None: ...

    async def drills(self, service: str, environment: Environment) -> tuple[DrillRecord, ...]:
        """The newest first."""

    async def segment(self, segment: WalSegment) -> None: ...

    async def segments(self, service: str, environment: Environment) -> tuple[WalSegment, ...]:
        """In order of timeline and name."""

    async def forget_segments(self, segments: Sequence[WalSegment]) -> None:
        """Those whose stored bytes are gone, and no others: one that was stored anew meanwhile stays on record."""

    async def window(self, service: str, environment: Environment) -> RecoveryWindow | None:
        """Of point-in-time recovery; None where there is no base backup with unbroken WAL after it."""


Databases = Mapping[tuple[str, Environment], Database]
"""(service, environment) -> the database that is configured there."""

"""Backups as data: what was made, what it says of itself, and how far it has been proven. Runbook: PostgreSQL Backup and Restore Procedures.

A **manifest** lies beside every backup. It is canonical JSON with an Ed25519 signature; nothing of a backup is read by a PostgreSQL
program before its manifest's signature and the hash of the stored bytes have been checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache

from pydantic import TypeAdapter

from runbook.source_facts import CHECKSUM_ROWS, Catalogue, SequenceFacts, SourceFacts


class BackupKind(StrEnum):
    """LOGICAL: `pg_dump -Fc` of one database. BASE: `pg_basebackup` of the whole server, onto which WAL can be replayed."""

    LOGICAL = "logical"
    BASE = "base"


class BackupState(StrEnum):
    """How far a backup is proven, each state including the ones before; FAILED and DELETED end it.

    CREATED: begun. STORED: every byte is in the repository, hashed again there. DECODED: a PostgreSQL program read all of it
    (`pg_restore -f /dev/null`, `pg_verifybackup`). RESTORED: a restore of it came up. VERIFIED: and its post-restore checks passed.
    """

    CREATED = "created"
    STORED = "stored"
    DECODED = "decoded"
    RESTORED = "restored"
    VERIFIED = "verified"
    FAILED = "failed"
    DELETED = "deleted"


RESTORABLE = (BackupState.DECODED, BackupState.RESTORED, BackupState.VERIFIED)
"""States in which a backup was read back whole, at least; `created` and `stored` prove nothing."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A PostgreSQL server as it answered. version_num: `server_version_num`. system_identifier: of `pg_control_system()`, as text.
    database: the name of the one database.

    database_bytes: size of the one database. lsn: current position, `16/B374D848`; of a standby the replayed one. keep_bytes:
    `max_slot_wal_keep_size`, None for unlimited (-1). encrypted: the connection that asked is.
    """

    version_num: int
    version: str
    system_identifier: str
    database_bytes: int
    in_recovery: bool
    timeline: int
    lsn: str
    wal_level: str
    keep_bytes: int | None
    encrypted: bool
    at: datetime
    database: str = ""

    @property
    def major(self) -> int:
        return self.version_num // 10_000


@dataclass(frozen=True, slots=True)
class RestoreChecks:
    """Post-restore checks of a service's database. Runbook: Restore Procedure 5.

    schema_version: SQL that gives one value. tables: critical tables, `schema.table`. smoke: SQL statements that must each give a row whose
    first value is true. minimum_rows: table -> fewest rows. checksum_rows: of tables with at most so many rows a checksum is taken, too.
    """

    schema_version: str = ""
    tables: tuple[str, ...] = ()
    smoke: tuple[str, ...] = ()
    minimum_rows: Mapping[str, int] = field(default_factory=dict)
    checksum_rows: int = CHECKSUM_ROWS

    @property
    def critical(self) -> tuple[str, ...]:
        """Those with a minimum too."""
        return tuple(dict.fromkeys((*self.tables, *self.minimum_rows)))


@dataclass(frozen=True, slots=True)
class BackupOrder:
    """One backup that is to be made. id: `shop-prod-20260302T020000Z-1f3a`, never used twice; names everything of it in the repository.

    operator: `Actor.id` of who asked, or forge. run: the run that makes it. checks: what a restored one is looked at for, so that the source
    is looked at for it as well.
    """

    id: str
    kind: BackupKind
    service: str
    environment: str
    run: str
    operator: str
    checks: RestoreChecks = field(default_factory=RestoreChecks)


@dataclass(frozen=True, slots=True)
class Digest:
    """sha256: hex."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long copy is. done, stored: plain bytes read and encrypted bytes stored. of: about how many there will be, 0: unknown."""

    phase: str
    done: int
    stored: int
    of: int
    seconds: float

    @property
    def rate(self) -> float:
        """Plain bytes per second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One object of a backup. key: below the backup's own folder. plain, cipher: before and after encryption."""

    key: str
    plain: Digest
    cipher: Digest


@dataclass(frozen=True, slots=True)
class Made:
    """What making a backup gave: nothing of it is published yet. entries: lines of `pg_restore --list`, or files of a base backup.

    decoded: a PostgreSQL program read all of it without an error. lsn_start, lsn_end: of a base backup its WAL range; of a dump the
    position before and after. source: what the source had; None: nobody looked.
    """

    server: ServerFacts
    client: str
    files: tuple[StoredFile, ...]
    started_at: datetime
    finished_at: datetime
    entries: int
    decoded: bool
    lsn_start: str
    lsn_end: str
    timeline: int
    recipients: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    source: SourceFacts | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself: the runbook's metadata (timestamp, size, checksum, operator) and more.

    recipients: age public keys that can decrypt it. settings: what a server needs to start on a base backup (`max_connections`, …).
    source: what the source had; None in manifests from before that was recorded, whose text has no word of it.
    """

    id: str
    kind: BackupKind
    service: str
    environment: str
    database: str
    operator: str
    run: str
    system_identifier: str
    server_version_num: int
    server_version: str
    client_version: str
    timeline: int
    lsn_start: str
    lsn_end: str
    started_at: datetime
    finished_at: datetime
    entries: int
    files: tuple[StoredFile, ...]
    recipients: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    format: int = 1
    source: SourceFacts | None = None

    @property
    def major(self) -> int:
        return self.server_version_num // 10_000

    @property
    def plain_bytes(self) -> int:
        return sum(file.plain.bytes for file in self.files)

    @property
    def stored_bytes(self) -> int:
        return sum(file.cipher.bytes for file in self.files)


def manifest_of(order: BackupOrder, database: str, made: Made) -> Manifest:
    """What is published of a backup that was made."""
    return Manifest(
        id=order.id, kind=order.kind, service=order.service, environment=order.environment, database=database,
        operator=order.operator, run=order.run, system_identifier=made.server.system_identifier,
        server_version_num=made.server.version_num, server_version=made.server.version, client_version=made.client,
        timeline=made.timeline, lsn_start=made.lsn_start, lsn_end=made.lsn_end, started_at=made.started_at,
        finished_at=made.finished_at, entries=made.entries, files=made.files, recipients=made.recipients,
        settings=dict(made.settings), source=made.source,
    )  # fmt: skip


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def manifest_text(manifest: Manifest) -> str:
    """Canonical JSON: sorted keys, no spaces. What is signed."""
    words = _adapter().dump_python(manifest, mode="json")
    if manifest.source is None:
        del words["source"]  # older manifests have their old text still
    return json.dumps(words, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def manifest_from(text: str) -> Manifest:
    """Back again. Raises ValueError (`pydantic.ValidationError`) for what is none."""
    return _adapter().validate_json(text)


# --- the record -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """A backup in forge's own ledger. manifest: the published text, empty before. proven_at: when it reached its state.

    held_by: who keeps it from being deleted, with held_reason; empty: nobody. busy: the runs that are reading it now, with `, ` between
    them, or empty. failure: why it failed. deleted_at: when its bytes were removed.
    """

    id: str
    kind: BackupKind
    service: str
    environment: str
    state: BackupState
    run: str
    operator: str
    started_at: datetime
    finished_at: datetime | None = None
    proven_at: datetime | None = None
    plain_bytes: int = 0
    stored_bytes: int = 0
    sha256: str = ""
    server_version_num: int = 0
    system_identifier: str = ""
    timeline: int = 0
    lsn_start: str = ""
    lsn_end: str = ""
    manifest: str = ""
    held_by: str = ""
    held_reason: str = ""
    busy: str = ""
    failure: str = ""
    deleted_at: datetime | None = None

    @property
    def restorable(self) -> bool:
        """Read back whole, and published: what has no manifest yet is nobody's backup."""
        return self.state in RESTORABLE and bool(self.manifest)


@dataclass(frozen=True, slots=True)
class DrillRecord:
    """One restore drill. backup: what was restored. until: the moment that was recovered to, of a point-in-time drill.

    passed: every post-restore check did. seconds: from the beginning to the last check (the recovery time, RTO). major: of the server.
    signed_off_by: the Database Owner who looked at it, or empty. compared: what of it was held against its source, in words.
    """

    run: str
    service: str
    environment: str
    backup: str
    kind: BackupKind
    started_at: datetime
    finished_at: datetime
    passed: bool
    seconds: float
    major: int
    reason: str = ""
    until: datetime | None = None
    signed_off_by: str = ""
    signed_off_at: datetime | None = None
    compared: str = ""


@dataclass(frozen=True, slots=True)
class WalSegment:
    """One archived WAL segment. name: 24 hex digits, or a `.history` file. ended_at: everything that was committed up to this moment, by the
    server's clock, is in it and those before it; it goes on for the newest one while nothing is written."""

    service: str
    environment: str
    system_identifier: str
    timeline: int
    name: str
    file: StoredFile
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class RecoveryWindow:
    """Within which moments a database can be recovered. base: the backup it begins with. gap: the first segment that is missing after `until`,
    or empty. idle: no WAL was written since, so that `until` counts to `seen_at`."""

    since: datetime
    until: datetime
    base: str
    gap: str = ""
    seen_at: datetime | None = None


# --- restoring ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RestoredFacts:
    """What was found in a restored database. rows: critical table -> rows; None: it isn't there. invalid: constraints and indexes that are
    not valid. behind: sequences whose next value is taken already. smoke: statement -> whether it gave true; errors are told as text.
    checksums: critical table -> checksum, where one was taken. sequences, catalogue: as of `SourceFacts`.
    """

    schema_version: str
    rows: Mapping[str, int | None]
    invalid: tuple[str, ...]
    behind: tuple[str, ...]
    smoke: Mapping[str, bool | str]
    database_bytes: int
    version_num: int
    checksums: Mapping[str, str] = field(default_factory=dict)
    sequences: Mapping[str, SequenceFacts] = field(default_factory=dict)
    catalogue: Catalogue | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """A PostgreSQL server that was provisioned for a restore. name: made of the run. where: for people, without any secret.

    service_file: libpq's, which only forge's user can read; secrets are in it and nowhere else. host, port: where others reach it too;
    empty, 0: forge alone does.
    """

    name: str
    major: int
    where: str
    service_file: str
    database: str
    host: str = ""
    port: int = 0

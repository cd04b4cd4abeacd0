"""Databases, a repository, a place for restores and a ledger in memory, on simulated time: they fulfil `runbook.database_ports`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from runbook.backups import (
    BackupKind,
    BackupOrder,
    BackupRecord,
    BackupState,
    Digest,
    DrillRecord,
    Instance,
    Made,
    Manifest,
    Progress,
    RecoveryWindow,
    RestoreChecks,
    RestoredFacts,
    ServerFacts,
    StoredFile,
    WalSegment,
    manifest_from,
    manifest_text,
)
from runbook.database_ports import Destination, RestoreOrder, Tell, WalFile
from runbook.errors import Conflict, ForgeError, Permanent
from runbook.values import Environment
from tests.fakes.clock import NOON, SimulatedClock

SYSTEM = "7412345678901234567"
STATES = tuple(BackupState)


def server(**changes: Any) -> ServerFacts:
    facts = ServerFacts(
        version_num=160004, version="16.4", system_identifier=SYSTEM, database_bytes=400_000_000, in_recovery=False, timeline=1,
        lsn="0/5000148", wal_level="replica", keep_bytes=1 << 30, encrypted=True, at=NOON, database="shop",
    )  # fmt: skip
    return replace(facts, **changes)


def made(**changes: Any) -> Made:
    text = sha256(b"dump").hexdigest()
    stored = StoredFile("data.age", Digest(80_000_000, text), Digest(80_020_000, text[::-1]))
    given = Made(
        server=server(), client="pg_dump 16.4", files=(stored,), started_at=NOON, finished_at=NOON + timedelta(seconds=30), entries=42,
        decoded=True, lsn_start="0/5000028", lsn_end="0/5000148", timeline=1, recipients=("age1x",),
    )  # fmt: skip
    return replace(given, **changes)


def facts_found(**changes: Any) -> RestoredFacts:
    """What a good restore is found to have."""
    found = RestoredFacts(
        schema_version="0008", rows={"public.orders": 1200}, invalid=(), behind=(), smoke={}, database_bytes=400_000_000, version_num=160004
    )  # fmt: skip
    return replace(found, **changes)


def record(id: str = "shop-prod-20260302T020000Z-1f3a", **changes: Any) -> BackupRecord:
    """A verified and published logical backup that was finished at NOON."""
    given = BackupRecord(
        id=id, kind=BackupKind.LOGICAL, service="shop", environment="prod", state=BackupState.VERIFIED, run="prod-1", operator="forge",
        started_at=NOON - timedelta(minutes=5), finished_at=NOON, proven_at=NOON, plain_bytes=80_000_000, stored_bytes=80_020_000,
        server_version_num=160004, system_identifier=SYSTEM, timeline=1, lsn_start="0/5000028", lsn_end="0/5000148", manifest="{}",
    )  # fmt: skip
    return replace(given, **changes)


@dataclass
class Faulty:
    """errors: by method, raised by its calls in turn."""

    errors: dict[str, list[ForgeError]] = field(default_factory=dict, kw_only=True)
    calls: list[str] = field(default_factory=list, kw_only=True)

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if waiting := self.errors.get(method):
            raise waiting.pop(0)


@dataclass
class FakeRepository(Faulty):
    """stored: id -> what lies there; segments: names of WAL that lies there. spoilt: ids whose bytes are not what was written."""

    stored: dict[str, Made] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    answer: Destination = field(default_factory=lambda: Destination("/var/backups/forge", True, True, True, 10**12))
    spoilt: set[str] = field(default_factory=set)
    segments_removed: list[str] = field(default_factory=list)
    wal: list[WalFile] = field(default_factory=list)

    async def destination(self) -> Destination:
        self._called("destination")
        return self.answer

    async def confirm(self, order: BackupOrder, made: Made) -> bool:
        self._called("confirm")
        return order.id not in self.spoilt and self.stored.get(order.id) == made

    async def publish(self, manifest: Manifest) -> None:
        self._called("publish")
        if self.manifests.setdefault(manifest.id, manifest) != manifest:
            raise Conflict("backups", "published", f"{manifest.id} is published already")

    async def manifest(self, backup_id: str) -> Manifest | None:
        self._called("manifest")
        return self.manifests.get(backup_id)

    async def remove(self, backup_id: str) -> None:
        self._called("remove")
        self.manifests.pop(backup_id, None)
        self.stored.pop(backup_id, None)

    async def published(self) -> tuple[str, ...]:
        self._called("published")
        return tuple(self.manifests)

    async def complete(self, manifest: Manifest) -> bool:
        self._called("complete")
        return manifest.id not in self.spoilt

    async def remove_segments(self, segments: Sequence[WalSegment]) -> None:
        self._called("remove_segments")
        self.segments_removed += [segment.name for segment in segments]

    async def wal_files(self, service: str, environment: Environment) -> tuple[WalFile, ...]:
        self._called("wal_files")
        return tuple(self.wal)

    async def remove_wal_files(self, service: str, environment: Environment, files: Sequence[WalFile]) -> None:
        self._called("remove_wal_files")
        self.wal = [file for file in self.wal if file not in files]


@dataclass
class FakeDatabase(Faulty):
    """takes_s: how long a copy takes; it tells about itself once a second. gives: what a copy gives."""

    clock: SimulatedClock
    repository: FakeRepository
    facts: ServerFacts = field(default_factory=server)
    gives: Made = field(default_factory=made)
    takes_s: float = 30.0
    orders: list[BackupOrder] = field(default_factory=list)

    async def look(self) -> ServerFacts:
        self._called("look")
        return self.facts

    async def dump(self, order: BackupOrder, tell: Tell) -> Made:
        self._called("dump")
        return await self._copy(order, tell)

    async def base_backup(self, order: BackupOrder, tell: Tell) -> Made:
        self._called("base_backup")
        return await self._copy(order, tell)

    async def _copy(self, order: BackupOrder, tell: Tell) -> Made:
        self.orders.append(order)
        begun = self.clock.now()
        half = replace(self.gives, started_at=begun, finished_at=begun, decoded=False)
        self.repository.stored[order.id] = half
        whole = self.gives.files[0].plain.bytes
        passed = 0.0
        while passed < self.takes_s:
            part = passed / self.takes_s
            tell(Progress("dumping", int(whole * part), int(whole * part), whole, passed))
            passed = min(self.takes_s, passed + 1)
            await self.clock.sleep_until(begun + timedelta(seconds=passed))
        if waiting := self.errors.get("half-way"):
            raise waiting.pop(0)
        given = replace(self.gives, started_at=begun, finished_at=self.clock.now())
        self.repository.stored[order.id] = given
        return given


@dataclass
class FakeRestoreHost(Faulty):
    """there: what stands, by name. tampered: ids whose bytes fail their check. found: what the checks see. servers: of a
    target, which others reach. targets: of what was dropped."""

    clock: SimulatedClock
    there: dict[str, Instance] = field(default_factory=dict)
    fetched: set[str] = field(default_factory=set)
    filled: dict[str, str] = field(default_factory=dict)
    tampered: set[str] = field(default_factory=set)
    found: RestoredFacts = field(default_factory=facts_found)
    takes_s: float = 20.0
    dropped: list[str] = field(default_factory=list)
    orders: list[RestoreOrder] = field(default_factory=list)
    servers: dict[Environment | None, tuple[str, int]] = field(default_factory=dict)
    targets: list[Environment | None] = field(default_factory=list)
    admitted: list[tuple[str, Environment]] = field(default_factory=list)

    async def fetch(self, order: RestoreOrder, tell: Tell) -> None:
        self._called("fetch")
        self.orders.append(order)
        await self._takes(tell, "fetching", order.manifest.plain_bytes)
        if order.manifest.id in self.tampered:
            raise Permanent("backups", "tampered", f"{order.manifest.id} is not what was stored")
        self.fetched.add(order.name)

    async def provision(self, order: RestoreOrder) -> Instance:
        self._called("provision")
        where = f"unix socket of {order.name}"
        service_file = f"/scratch/{order.name}/service"
        given = Instance(order.name, order.manifest.major, where, service_file, order.manifest.database)
        if (address := self.servers.get(order.target)) is not None:
            given = replace(given, host=address[0], port=address[1])
        return self.there.setdefault(order.name, given)

    async def restore(self, order: RestoreOrder, instance: Instance, tell: Tell) -> datetime | None:
        self._called("restore")
        if order.name not in self.fetched:
            raise Permanent("backups", "not_fetched", f"nothing was fetched for {order.name}")
        await self._takes(tell, "restoring", order.manifest.plain_bytes)
        self.filled[instance.name] = order.manifest.id
        return order.until

    async def check(self, instance: Instance, checks: RestoreChecks) -> RestoredFacts:
        self._called("check")
        if instance.name not in self.there:
            raise Permanent("postgres", "unreachable", f"{instance.name} doesn't answer")
        return self.found

    async def admit(self, name: str, target: Environment) -> None:
        self._called("admit")
        self.admitted.append((name, target))

    async def drop(self, name: str, target: Environment | None = None) -> None:
        self._called("drop")
        self.there.pop(name, None)
        self.filled.pop(name, None)
        self.fetched.discard(name)
        self.dropped.append(name)
        self.targets.append(target)

    async def standing(self) -> tuple[str, ...]:
        return tuple({*self.there, *self.fetched})

    async def _takes(self, tell: Tell, phase: str, whole: int) -> None:
        begun = self.clock.now()
        tell(Progress(phase, whole // 2, 0, whole, self.takes_s / 2))
        await self.clock.sleep_until(begun + timedelta(seconds=self.takes_s))


@dataclass
class FakeLedger(Faulty):
    """by_id: in the order in which they were begun. plans: of the retention. recovery: the window of point-in-time recovery."""

    clock: SimulatedClock
    by_id: dict[str, BackupRecord] = field(default_factory=dict)
    made_drills: list[DrillRecord] = field(default_factory=list)
    archived: list[WalSegment] = field(default_factory=list)
    plans: list[Mapping[str, object]] = field(default_factory=list)
    recovery: RecoveryWindow | None = None

    def add(self, *records: BackupRecord) -> None:
        self.by_id.update({each.id: each for each in records})

    async def began(self, order: BackupOrder) -> None:
        self._called("began")
        now = self.clock.now()
        given = BackupRecord(
            order.id,
            order.kind,
            order.service,
            order.environment,
            BackupState.CREATED,
            order.run,
            order.operator,
            started_at=now,
        )
        self.by_id.setdefault(order.id, given)

    async def made(self, order: BackupOrder, made: Made) -> None:
        self._called("made")
        state = BackupState.DECODED if made.decoded else BackupState.STORED
        self._change(order.id, state=state, finished_at=made.finished_at)

    async def published(self, manifest: Manifest) -> None:
        self._called("published")
        self._change(
            manifest.id, manifest=manifest_text(manifest), plain_bytes=manifest.plain_bytes, stored_bytes=manifest.stored_bytes,
            server_version_num=manifest.server_version_num, system_identifier=manifest.system_identifier,
            timeline=manifest.timeline, lsn_start=manifest.lsn_start, lsn_end=manifest.lsn_end, sha256=manifest.files[0].cipher.sha256,
        )  # fmt: skip

    async def adopted(self, manifest: Manifest, operator: str) -> None:
        self._called("adopted")
        if manifest.id not in self.by_id:
            self.add(record(manifest.id, manifest=manifest_text(manifest), state=BackupState.DECODED))

    async def failed(self, backup_id: str, reason: str) -> None:
        self._called("failed")
        if backup_id in self.by_id and self.by_id[backup_id].state is not BackupState.FAILED:
            self._change(backup_id, state=BackupState.FAILED, failure=reason)

    async def proven(self, backup_id: str, *, checked: bool) -> None:
        self._called("proven")
        state = BackupState.VERIFIED if checked else BackupState.RESTORED
        if STATES.index(self.by_id[backup_id].state) < STATES.index(state):
            self._change(backup_id, state=state, proven_at=self.clock.now())

    async def busy(self, backup_id: str, run: str) -> None:
        self._called("busy")
        self._change(backup_id, busy=run)

    async def deleted(self, backup_id: str, why: str) -> None:
        self._called("deleted")
        was = self.by_id.get(backup_id)
        state = BackupState.FAILED if was is not None and was.state is BackupState.FAILED else BackupState.DELETED
        self._change(backup_id, state=state, deleted_at=self.clock.now())

    async def planned(self, environment: Environment, service: str, run: str, plan: Mapping[str, object]) -> None:
        self._called("planned")
        self.plans.append(plan)

    async def drilled(self, drill: DrillRecord) -> None:
        self._called("drilled")
        self.made_drills = [*(each for each in self.made_drills if each.run != drill.run), drill]

    async def records(self, service: str, environment: Environment) -> tuple[BackupRecord, ...]:
        self._called("records")
        mine = [r for r in self.by_id.values() if (r.service, r.environment) == (service, environment.value)]
        return tuple(sorted(mine, key=lambda r: r.started_at, reverse=True))

    async def record(self, backup_id: str) -> BackupRecord | None:
        self._called("record")
        return self.by_id.get(backup_id)

    async def drills(self, service: str, environment: Environment) -> tuple[DrillRecord, ...]:
        mine = [d for d in self.made_drills if (d.service, d.environment) == (service, environment.value)]
        return tuple(reversed(mine))

    async def segment(self, segment: WalSegment) -> None:
        self.archived.append(segment)

    async def segments(self, service: str, environment: Environment) -> tuple[WalSegment, ...]:
        self._called("segments")
        return tuple(sorted(self.archived, key=lambda s: s.name))

    async def forget_segments(self, segments: Sequence[WalSegment]) -> None:
        self._called("forget_segments")
        self.archived = [segment for segment in self.archived if segment not in segments]

    async def window(self, service: str, environment: Environment) -> RecoveryWindow | None:
        self._called("window")
        return self.recovery

    def _change(self, backup_id: str, **changes: Any) -> None:
        if backup_id in self.by_id:
            self.by_id[backup_id] = replace(self.by_id[backup_id], **changes)


def published(ledger: FakeLedger, repository: FakeRepository, manifest: Manifest, **changes: Any) -> BackupRecord:
    """A backup that is on record and in the repository. changes: of the record."""
    given = record(
        manifest.id, kind=manifest.kind, service=manifest.service, environment=manifest.environment, manifest=manifest_text(manifest),
        started_at=manifest.started_at, finished_at=manifest.finished_at, proven_at=manifest.finished_at, **changes,
    )  # fmt: skip
    ledger.add(given)
    repository.manifests[manifest.id] = manifest_from(manifest_text(manifest))
    return given

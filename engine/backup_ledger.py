"""Backups on record: each change with its audit entry in the same transaction, and every call may be repeated.

A state never goes backwards, but where a backup that was never published is begun anew; what was deleted stays deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.backup_places import known_place, see_place
from engine.backup_rows import (
    backup_rows,
    drill_of,
    drill_row,
    drill_rows,
    record_of,
    segment_row,
    segments_of,
    window_of,
)
from engine.ports import Ledger, Store
from engine.records import BackupRow, DrillRow, Entry, Sealed, WalRow
from runbook.backups import (
    RESTORABLE,
    BackupOrder,
    BackupRecord,
    BackupState,
    DrillRecord,
    Made,
    Manifest,
    RecoveryWindow,
    WalSegment,
    manifest_text,
)
from runbook.database_ports import KnownPlace
from runbook.plan import to_json
from runbook.ports import Backup, Clock
from runbook.values import FORGE, Environment

_ORDER = (
    BackupState.CREATED,
    BackupState.STORED,
    BackupState.DECODED,
    BackupState.RESTORED,
    BackupState.VERIFIED,
)
_OVER = (BackupState.FAILED, BackupState.DELETED)
_LONGEST_REASON = 1_000


class LedgerBackups:
    """Fulfils `runbook.database_ports.BackupLedger` and `RepositoryMemory`, and `runbook.ports.Backups`. Raises StoreUnavailable."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    # --- where they are -----------------------------------------------------------------------------------------------

    async def known_place(self, destination: str) -> KnownPlace:
        return await self._store.read(lambda ledger: known_place(ledger, destination))

    async def place_seen(self, destination: str, made_at: datetime) -> None:
        now = self._clock.now()
        await self._store.write(lambda ledger: see_place(ledger, destination, made_at, now))

    # --- making -----------------------------------------------------------------------------------------------------

    async def began(self, order: BackupOrder) -> None:
        now = self._clock.now()

        def begin(ledger: Ledger) -> None:
            row = ledger.get(BackupRow, order.id)
            if row is not None and (row.state != BackupState.FAILED or row.manifest or row.deleted_at is not None):
                return
            made = BackupRow(
                id=order.id, kind=order.kind.value, service=order.service, environment=order.environment,
                state=BackupState.CREATED.value, run=order.run, operator=order.operator, started_at=now,
            )  # fmt: skip
            ledger.save(made)
            evidence = {"kind": order.kind.value, "run": order.run, "again": row is not None}
            self._audit(ledger, "backup.begun", made, evidence=evidence, actor=order.operator)

        await self._store.write(begin)

    async def made(self, order: BackupOrder, made: Made) -> None:
        state = BackupState.DECODED if made.decoded else BackupState.STORED
        files = [{"key": file.key, "bytes": file.cipher.bytes, "sha256": file.cipher.sha256} for file in made.files]
        evidence = {"files": files[:20], "of": len(files), "entries": made.entries, "client": made.client}

        def store(row: BackupRow) -> BackupRow | None:
            if row.manifest or not _is_before(row, state):
                return None
            return replace(
                row, state=state.value, finished_at=made.finished_at, proven_at=made.finished_at,
                plain_bytes=sum(file.plain.bytes for file in made.files),
                stored_bytes=sum(file.cipher.bytes for file in made.files),
                sha256=made.files[0].cipher.sha256 if made.files else "",
                server_version_num=made.server.version_num, system_identifier=made.server.system_identifier,
                timeline=made.timeline, lsn_start=made.lsn_start, lsn_end=made.lsn_end,
            )  # fmt: skip

        await self._change(order.id, f"backup.{state.value}", store, evidence=evidence)

    async def published(self, manifest: Manifest) -> None:
        text = manifest_text(manifest)

        def publish(row: BackupRow) -> BackupRow | None:
            if row.manifest or row.state in _OVER:
                return None
            return replace(
                row, manifest=text, finished_at=manifest.finished_at, plain_bytes=manifest.plain_bytes,
                stored_bytes=manifest.stored_bytes, sha256=manifest.files[0].cipher.sha256 if manifest.files else "",
                server_version_num=manifest.server_version_num, system_identifier=manifest.system_identifier,
                timeline=manifest.timeline, lsn_start=manifest.lsn_start, lsn_end=manifest.lsn_end,
            )  # fmt: skip

        evidence = {"bytes": manifest.stored_bytes, "server": manifest.server_version, "database": manifest.database}
        await self._change(manifest.id, "backup.published", publish, evidence=evidence)

    async def adopted(self, manifest: Manifest, operator: str) -> None:
        """See the port. Its run may be of another installation, where another one has this name: that is told in the audit log alone."""
        text = manifest_text(manifest)
        row = BackupRow(
            id=manifest.id, kind=manifest.kind.value, service=manifest.service, environment=manifest.environment,
            state=BackupState.DECODED.value, run="", operator=manifest.operator, started_at=manifest.started_at,
            finished_at=manifest.finished_at, proven_at=manifest.finished_at, plain_bytes=manifest.plain_bytes,
            stored_bytes=manifest.stored_bytes, sha256=manifest.files[0].cipher.sha256 if manifest.files else "",
            server_version_num=manifest.server_version_num, system_identifier=manifest.system_identifier,
            timeline=manifest.timeline, lsn_start=manifest.lsn_start, lsn_end=manifest.lsn_end, manifest=text,
        )  # fmt: skip

        def adopt(ledger: Ledger) -> None:
            if ledger.get(BackupRow, row.id) is None:
                ledger.save(row)
                evidence = {"made_by": manifest.run, "bytes": row.stored_bytes, "sha256": row.sha256}
                self._audit(ledger, "backup.adopted", row, evidence=evidence, actor=operator)

        await self._store.write(adopt)

    async def failed(self, backup_id: str, reason: str) -> None:
        def fail(row: BackupRow) -> BackupRow | None:
            if row.state in _OVER:
                return None
            return replace(row, state=BackupState.FAILED.value, failure=reason[:_LONGEST_REASON])

        await self._change(backup_id, "backup.failed", fail, why=reason)

    async def proven(self, backup_id: str, *, checked: bool) -> None:
        state, now = BackupState.VERIFIED if checked else BackupState.RESTORED, self._clock.now()

        def prove(row: BackupRow) -> BackupRow | None:
            return replace(row, state=state.value, proven_at=now) if _is_before(row, state) else None

        await self._change(backup_id, f"backup.{state.value}", prove)

    # --- keeping ----------------------------------------------------------------------------------------------------

    async def busy(self, backup_id: str, run: str) -> None:
        action = "backup.in_use" if run else "backup.not_in_use"
        await self._change(backup_id, action, lambda row: replace(row, busy=run) if row.busy != run else None, what=run)

    async def deleted(self, backup_id: str, why: str) -> None:
        now = self._clock.now()

        def delete(row: BackupRow) -> BackupRow | None:
            if row.deleted_at is not None:
                return None
            state = row.state if row.state == BackupState.FAILED else BackupState.DELETED.value
            return replace(row, state=state, deleted_at=now)

        await self._change(backup_id, "backup.deleted", delete, why=why)

    async def planned(self, environment: Environment, service: str, run: str, plan: Mapping[str, object]) -> None:
        """Told again with the same plan, nothing is added."""
        evidence = to_json(dict(plan))
        place = f"{service} on {environment.value}"
        entry = Entry(
            actor=FORGE.id, action="retention.planned", subject=run, what=f"dry run: {place}", evidence=evidence
        )

        def tell(ledger: Ledger) -> None:
            told = ledger.find(Sealed, subject=run, action=entry.action)
            if not any((each.what, each.evidence) == (entry.what, evidence) for each in told):
                ledger.audit(entry, self._clock.now())

        await self._store.write(tell)

    async def drilled(self, drill: DrillRecord) -> None:
        """What was signed off stays signed off when it is told again without it."""

        def keep(ledger: Ledger) -> None:
            row, made = ledger.get(DrillRow, drill.run), drill_row(drill)
            if row is not None and not made.signed_off_by:
                made = replace(made, signed_off_by=row.signed_off_by, signed_off_at=row.signed_off_at)
            if row == made:
                return
            ledger.save(made)
            for entry in _drill_entries(row, made):
                ledger.audit(entry, self._clock.now())

        await self._store.write(keep)

    # --- reading ----------------------------------------------------------------------------------------------------

    async def records(self, service: str, environment: Environment) -> tuple[BackupRecord, ...]:
        rows = await self._store.read(lambda ledger: backup_rows(ledger, service, environment))
        return tuple(record_of(row) for row in rows)

    async def record(self, backup_id: str) -> BackupRecord | None:
        row = await self._store.read(lambda ledger: ledger.get(BackupRow, backup_id))
        return None if row is None else record_of(row)

    async def drills(self, service: str, environment: Environment) -> tuple[DrillRecord, ...]:
        rows = await self._store.read(lambda ledger: drill_rows(ledger, service, environment))
        return tuple(drill_of(row) for row in rows)

    async def newest(self, service: str, environment: Environment) -> Backup | None:
        """The newest that can be restored; where there is none, the newest that isn't proven so far. See `runbook.ports.Backups`."""
        return await self._store.read(lambda ledger: newest_backup(ledger, service, environment))

    # --- archived WAL -----------------------------------------------------------------------------------------------

    async def segment(self, segment: WalSegment) -> None:
        """Told again with another `ended_at` alone it moves that: nothing was written since, which is no entry of the audit log."""
        row = segment_row(segment)

        def keep(ledger: Ledger) -> None:
            found = ledger.get(WalRow, row.service, row.environment, row.system_identifier, row.name)
            if found == row:
                return
            ledger.save(row)
            if found is not None and replace(found, ended_at=row.ended_at) == row:
                return
            evidence = {"name": row.name, "sha256": segment.file.cipher.sha256, "again": found is not None}
            entry = Entry(
                actor=FORGE.id, action="wal.archived", subject=f"{row.environment}/{row.service}", evidence=evidence
            )
            ledger.audit(entry, self._clock.now())

        await self._store.write(keep)

    async def segments(self, service: str, environment: Environment) -> tuple[WalSegment, ...]:
        return await self._store.read(lambda ledger: segments_of(ledger, service, environment))

    async def forget_segments(self, segments: Sequence[WalSegment]) -> None:
        """See the port: two servers' segments have the same names, and the same one may have been stored anew."""
        by_place: dict[tuple[str, str, str], list[WalSegment]] = {}
        for segment in segments:
            place = (segment.service, segment.environment, segment.system_identifier)
            by_place.setdefault(place, []).append(segment)

        def forget(ledger: Ledger) -> None:
            for (service, environment, system), several in sorted(by_place.items()):
                where: dict[str, Any] = {"service": service, "environment": environment, "system_identifier": system}
                files = {segment.name: to_json(segment.file) for segment in several}
                gone = sorted(row.name for row in ledger.find(WalRow, **where) if files.get(row.name) == row.file)
                if not gone:
                    continue
                ledger.remove(WalRow, **where, name=gone)
                evidence = {"server": system, "segments": len(gone), "first": gone[0], "last": gone[-1]}
                place = f"{environment}/{service}"
                entry = Entry(actor=FORGE.id, action="wal.forgotten", subject=place, evidence=evidence)
                ledger.audit(entry, self._clock.now())

        await self._store.write(forget)

    async def window(self, service: str, environment: Environment) -> RecoveryWindow | None:
        return await self._store.read(lambda ledger: window_of(ledger, service, environment))

    # --- parts ------------------------------------------------------------------------------------------------------

    async def _change(
        self,
        backup_id: str,
        action: str,
        change: Callable[[BackupRow], BackupRow | None],
        *,
        what: str = "",
        why: str = "",
        evidence: Any = None,
    ) -> None:
        """change: None where nothing is to be done, such as when it was done before."""

        def whole(ledger: Ledger) -> None:
            row = ledger.get(BackupRow, backup_id)
            changed = change(row) if row is not None else None
            if changed is not None:
                ledger.save(changed)
                self._audit(ledger, action, changed, what=what, why=why, evidence=evidence)

        await self._store.write(whole)

    def _audit(
        self,
        ledger: Ledger,
        action: str,
        row: BackupRow,
        *,
        what: str = "",
        why: str = "",
        evidence: Any = None,
        actor: str = FORGE.id,
    ) -> None:
        told = what or f"{row.kind} backup of {_place(row)}"
        entry = Entry(
            actor=actor, action=action, subject=row.id, what=told, why=why[:_LONGEST_REASON], evidence=evidence
        )
        ledger.audit(entry, self._clock.now())


def newest_backup(ledger: Ledger, service: str, environment: Environment) -> Backup | None:
    """See `LedgerBackups.newest`."""
    rows = [row for row in backup_rows(ledger, service, environment) if row.state not in _OVER and row.finished_at]
    restorable = [row for row in rows if row.state in RESTORABLE and row.manifest]
    row = max(restorable or rows, key=lambda each: (each.finished_at or each.started_at, each.id), default=None)
    if row is None:
        return None
    major = row.server_version_num // 10_000
    drills = [drill for drill in drill_rows(ledger, service, environment) if drill.major == major]
    passed = next((drill.finished_at for drill in drills if drill.passed), None)
    bad = drills[0] if drills and not drills[0].passed else None
    window = window_of(ledger, service, environment)
    return Backup(
        id=row.id, database=row.service, finished_at=row.finished_at or row.started_at, state=row.state,
        drilled_at=passed, recoverable_until=window.until if window is not None else None,
        drill_failed_at=bad.finished_at if bad is not None else None, drill_failure=bad.reason if bad is not None else "",
    )  # fmt: skip


def _is_before(row: BackupRow, state: BackupState) -> bool:
    return row.state not in _OVER and _ORDER.index(BackupState(row.state)) < _ORDER.index(state)


def _drill_entries(before: DrillRow | None, drill: DrillRow) -> list[Entry]:
    found = []
    if before is None or before.passed != drill.passed or before.reason != drill.reason:
        evidence = {
            "backup": drill.backup,
            "milliseconds": drill.milliseconds,
            "major": drill.major,
            "compared": drill.compared,
        }
        action = "drill.passed" if drill.passed else "drill.failed"
        found.append(
            Entry(
                actor=FORGE.id,
                action=action,
                subject=drill.run,
                what=_place(drill),
                why=drill.reason,
                evidence=evidence,
            )
        )
    if drill.signed_off_by and (before is None or before.signed_off_by != drill.signed_off_by):
        found.append(Entry(actor=drill.signed_off_by, action="drill.signed_off", subject=drill.run, what=_place(drill)))
    return found


def _place(row: BackupRow | DrillRow) -> str:
    return f"{row.service} on {row.environment}"

"""The steps of a backup. Runbook: Backup Procedure, in its order; Backup Policy, "Retention".

A backup has a name of its own from its beginning and is published last: what was interrupted is discarded, and never called a backup.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, ClassVar

from runbook.backups import BackupKind, BackupOrder, BackupRecord, BackupState, Made, RestoreChecks, manifest_of
from runbook.database_ports import BackupLedger, BackupRepository
from runbook.errors import Permanent, Temporary
from runbook.plan import Result, Scene, from_json, to_json
from runbook.rules.backups import judge_destination, judge_made, judge_source, needed_room, previous_of
from runbook.rules.retention import Due, Retention, may_go, plan_retention
from runbook.steps.databases import DatabaseWork, database_of, ledger_of, repository_of, telling
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, listing, size

NO_CHECKS = RestoreChecks()

BACKUP = "backup"
"""The fact that `MakeBackup` leaves: {order, made}."""


@dataclass(frozen=True, kw_only=True)
class CheckDestination(DatabaseWork):
    """Writes, reads and removes a small object, and asks the server how much there will be. Backup Procedure 1."""

    kind: ClassVar[str] = "check_destination"
    backup: BackupKind

    async def work(self, scene: Scene) -> Result:
        database = database_of(scene.ports, self.service, scene.environment)
        repository, ledger = repository_of(scene.ports), ledger_of(scene.ports)
        scene.doing("asking the database and the backups' destination")
        server = await database.look()
        destination = await repository.destination()
        records = await ledger.records(self.service, scene.environment)
        return Result(judge_destination(destination, needed_room(records, self.backup, server)))


@dataclass(frozen=True, slots=True)
class _Kept:
    """The progress. made: None until everything is stored."""

    order: BackupOrder
    made: Made | None = None


@dataclass(frozen=True, kw_only=True)
class MakeBackup(DatabaseWork):
    """Copies the database, encrypted, into the repository, and has it decoded on the way. Backup Procedure 2.

    Repeated after a crash it discards the half-made one and begins under a new name. Records the fact `backup`. checks: what a restored one
    is looked at for: the source is looked at for it, too.
    """

    kind: ClassVar[str] = "make_backup"
    effect: ClassVar[bool] = True
    backup: BackupKind
    checks: RestoreChecks = NO_CHECKS

    async def work(self, scene: Scene) -> Result:
        database = database_of(scene.ports, self.service, scene.environment)
        repository, ledger = repository_of(scene.ports), ledger_of(scene.ports)
        kept: _Kept | None = None if scene.progress is None else from_json(_Kept, scene.progress)
        if kept is None or kept.made is None:
            if kept is not None:
                await discard(
                    repository, ledger, kept.order.id, "it was interrupted, and begun anew under another name"
                )
            order = await self._ordered(scene, ledger)
            await ledger.began(order)
            copy = database.base_backup if self.backup is BackupKind.BASE else database.dump
            scene.doing(f"making {order.id}")
            made = await self._made(ledger, repository, order, copy(order, telling(scene)))
            kept = _Kept(order, made)
            await scene.save(to_json(kept))
        assert kept.made is not None  # noqa: S101 - just made, or before the restart
        await ledger.made(kept.order, kept.made)
        records = [r for r in await ledger.records(self.service, scene.environment) if r.id != kept.order.id]
        verdicts = (*judge_made(kept.made, self.backup, previous_of(records, self.backup)), *judge_source(kept.made))
        return Result(verdicts, {BACKUP: to_json(kept)})

    async def _ordered(self, scene: Scene, ledger: BackupLedger) -> BackupOrder:
        """A name that was never used; it is kept before anything bears it."""
        at = scene.ports.clock.now().astimezone(UTC)
        while True:
            name = f"{self.service}-{scene.environment.value}-{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
            if await ledger.record(name) is None:
                break
        order = BackupOrder(
            name,
            self.backup,
            self.service,
            scene.environment.value,
            scene.run,
            scene.requester or "forge",
            self.checks,
        )
        await scene.save(to_json(_Kept(order)))
        return order

    async def _made(self, ledger: BackupLedger, repository: BackupRepository, order: BackupOrder, copying: Any) -> Made:
        try:
            made: Made = await copying
        except (Temporary, Permanent) as error:
            await ledger.failed(order.id, error.cause)
            raise
        return made


@dataclass(frozen=True, kw_only=True)
class ConfirmBackup(DatabaseWork):
    """Reads every stored byte again and compares its hash. Backup Procedure 4."""

    kind: ClassVar[str] = "confirm_backup"

    async def work(self, scene: Scene) -> Result:
        kept = _kept(scene.facts)
        if kept is None or kept.made is None:
            return _nothing_made(self.title)
        stored = sum(file.cipher.bytes for file in kept.made.files)
        scene.doing(f"reading {size(stored)} again")
        evidence = tuple(
            Evidence(name=file.key, value=file.cipher.sha256, source=kept.order.id) for file in kept.made.files[:8]
        )
        if not await repository_of(scene.ports).confirm(kept.order, kept.made):
            reason = f"what is stored of {kept.order.id} is not what was written"
            remedy = "Look at the storage: it has lost or changed bytes"
            return Result((Verdict.failed(self.title, "backups.not_stored", reason, *evidence, remedy=remedy),))
        reason = f"all {size(stored)} of {kept.order.id} were read again and have the right hash"
        return Result((Verdict.passed(self.title, reason, *evidence),))


@dataclass(frozen=True, kw_only=True)
class PublishBackup(DatabaseWork):
    """Signs and publishes the manifest (timestamps, size, checksum, operator), then records it. Backup Procedure 5."""

    kind: ClassVar[str] = "publish_backup"
    effect: ClassVar[bool] = True

    async def work(self, scene: Scene) -> Result:
        kept = _kept(scene.facts)
        if kept is None or kept.made is None:
            return _nothing_made(self.title)
        manifest = manifest_of(kept.order, kept.made.server.database or self.service, kept.made)
        await repository_of(scene.ports).publish(manifest)
        await ledger_of(scene.ports).published(manifest)
        took_s = (manifest.finished_at - manifest.started_at).total_seconds()
        reason = f"{manifest.id} is published: {size(manifest.plain_bytes)}, made in {duration(took_s)} by {manifest.operator}"
        verdict = Verdict.passed(
            self.title, reason,
            Evidence(name="size", value=manifest.stored_bytes, unit="bytes", source=manifest.id, at=manifest.finished_at),
            Evidence(name="server", value=manifest.server_version, source=manifest.client_version),
        )  # fmt: skip
        return Result((verdict,), {"published": manifest.id})


@dataclass(frozen=True, kw_only=True)
class ApplyRetention(DatabaseWork):
    """Deletes what is older than the policy keeps; what it will do is in the audit log before anything goes. Backup Policy, "Retention".

    keep_s: seconds since a backup's completion.
    """

    kind: ClassVar[str] = "apply_retention"
    effect: ClassVar[bool] = True
    keep_s: float

    async def work(self, scene: Scene) -> Result:
        repository, ledger = repository_of(scene.ports), ledger_of(scene.ports)
        scene.doing("planning what the retention removes")
        records = await ledger.records(self.service, scene.environment)
        stored = await repository.wal_files(self.service, scene.environment)
        segments = await ledger.segments(self.service, scene.environment)  # later: what is on record by now is no stray
        plan = plan_retention(records, segments, scene.ports.clock.now(), self.keep_s, stored)
        await ledger.planned(scene.environment, self.service, scene.run, plan.told())
        spared = [due.id for due in plan.dropped if not await self._delete(scene, repository, ledger, due)]
        for due in plan.leftovers:
            await self._delete(scene, repository, ledger, due)
        if plan.segments:
            scene.doing(f"removing {len(plan.segments)} WAL segments")
            await repository.remove_segments(plan.segments)
            await ledger.forget_segments(plan.segments)
        await repository.remove_wal_files(self.service, scene.environment, plan.strays)
        return Result((self._verdict(plan, spared),), {"retention": dict(plan.told())})

    async def _delete(self, scene: Scene, repository: BackupRepository, ledger: BackupLedger, due: Due) -> bool:
        """False where somebody has come to need it since the plan was made."""
        if not may_go(await ledger.record(due.id)):
            return False
        scene.doing(f"removing {due.id}: {due.why}")
        await repository.remove(due.id)
        await ledger.deleted(due.id, due.why)
        return True

    def _verdict(self, plan: Retention, spared: list[str]) -> Verdict:
        gone = [due for due in plan.dropped if due.id not in spared]
        evidence = tuple(Evidence(name=due.id, value=due.why) for due in (*gone, *plan.leftovers)[:20])
        words = [f"{len(plan.kept)} {'is' if len(plan.kept) == 1 else 'are'} kept"]
        if gone:
            words.append(f"{listing(due.id for due in gone[:5])}{' and more' if len(gone) > 5 else ''} deleted")
        if plan.leftovers:
            words.append(f"the leftovers of {len(plan.leftovers)} failed removed")
        if plan.segments:
            words.append(f"{len(plan.segments)} WAL segments that no kept base backup needs removed")
        if plan.strays:
            words.append(f"stored WAL on no record removed: {len(plan.strays)}")
        if spared:
            words.append(f"{listing(spared)} spared: needed meanwhile")
        return Verdict.passed(self.title, f"{duration(self.keep_s)} are kept; {'; '.join(words)}", *evidence)


@dataclass(frozen=True, kw_only=True)
class DiscardBackup(DatabaseWork):
    """Removes everything that this run has stored and not published, and records why. The way back of a backup."""

    kind: ClassVar[str] = "discard_backup"
    effect: ClassVar[bool] = True

    async def work(self, scene: Scene) -> Result:
        repository, ledger = repository_of(scene.ports), ledger_of(scene.ports)
        mine = [r for r in await ledger.records(self.service, scene.environment) if r.run == scene.run]
        left = [record for record in mine if _is_unpublished(record)]
        why = _left_because(scene.facts)
        for record in left:
            scene.doing(f"discarding {record.id}")
            await discard(repository, ledger, record.id, why)
        if not left:
            return Result((Verdict.passed(self.title, "nothing unpublished was left of this run"),))
        names = listing(record.id for record in left)
        return Result((Verdict.passed(self.title, f"discarded, and on record as failed: {names}"),))


async def discard(repository: BackupRepository, ledger: BackupLedger, backup_id: str, why: str) -> None:
    """On record as failed first, so that nobody takes it for one if the removal doesn't come to its end."""
    await ledger.failed(backup_id, why)
    await repository.remove(backup_id)
    await ledger.deleted(backup_id, why)


def _is_unpublished(record: BackupRecord) -> bool:
    if record.deleted_at is not None or record.state is BackupState.DELETED:
        return False
    return record.state is BackupState.FAILED or not record.manifest


def _left_because(facts: Mapping[str, Any]) -> str:
    """Why the run left its plan, as the engine records it."""
    because = facts.get("left_because")
    reason = because.get("reason") if isinstance(because, Mapping) else None
    return str(reason or "its run was left")


def _kept(facts: Mapping[str, Any]) -> _Kept | None:
    found = facts.get(BACKUP)
    return None if found is None else from_json(_Kept, found)


def _nothing_made(title: str) -> Result:
    return Result((Verdict.failed(title, "backups.nothing_made", "no backup was made in this run"),))

"""The steps of a restore and of a drill. Runbook: Restore Procedure, in its order; Backup Policy, "Weekly restore drill".

Everything happens in an instance of its own, never in the database that runs; whatever ends a run early drops it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from runbook.backups import BackupKind, BackupRecord, DrillRecord, Instance, RestoreChecks
from runbook.database_ports import RestoreOrder
from runbook.errors import Permanent
from runbook.moments import told
from runbook.plan import Result, Scene, from_json, to_json
from runbook.rules.comparing import compared_words, looking_for, not_in_it
from runbook.rules.restores import Chosen, choose_backup, judge_manifest, judge_restored, recoverable
from runbook.steps.databases import DatabaseWork, host_of, ledger_of, repository_of, telling
from runbook.values import Environment
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, size

RESTORE = "restore"
"""The fact that `CheckRecoverable` leaves: {backup, kind, environment, until, major}. until: ISO time or empty."""

BEGAN, INSTANCE, RESTORED, CHECKED = "restore_began_at", "instance", "restored", "restore_checks"
SANITISED = "sanitised"
"""Facts: when fetching began (ISO); the `Instance`; {at, recovered_to}; {outcome, at, seconds, found, compared}; the outcome of `Sanitise`."""

SIGN_OFF = "signoff"
"""The purpose of the `Approval` by which the Database Owner signs off what was restored."""

SIGNED_OFF = "signed_off"
"""The fact that the engine leaves when an approval of that purpose was granted: {by, name, at}; absent: nobody did."""


def instance_name(run: str) -> str:
    """Of everything that a run's restore makes: a repeat finds it again."""
    return f"forge-{run}"


@dataclass(frozen=True, kw_only=True)
class CheckRecoverable(DatabaseWork):
    """The backup is on record as restorable, and the WAL reaches the moment that is asked for.

    source: the environment whose backup it is. backup: its id; empty: chosen now. until: ISO time; empty: all that the backup has. drill: a
    failure is on record as a failed drill.
    """

    kind: ClassVar[str] = "check_recoverable"
    source: Environment
    backup: str = ""
    until: str = ""
    drill: bool = False

    async def work(self, scene: Scene) -> Result:
        host_of(scene.ports)
        repository_of(scene.ports)
        ledger = ledger_of(scene.ports)
        now = scene.ports.clock.now()
        records = await ledger.records(self.service, self.source)
        chosen = choose_backup(
            records,
            await ledger.segments(self.service, self.source),
            await ledger.window(self.service, self.source),
            now,
            wanted=self.backup,
            at=datetime.fromisoformat(self.until) if self.until else None,
        )
        if isinstance(chosen, Verdict):
            if self.drill:
                await ledger.drilled(self._failed(scene, records, chosen.reason))
            return Result((chosen,))
        return Result((recoverable(chosen),), {RESTORE: self._fact(chosen)})

    def _fact(self, chosen: Chosen) -> dict[str, Any]:
        record = chosen.record
        return {
            "backup": record.id,
            "kind": record.kind.value,
            "environment": self.source.value,
            "until": chosen.until.isoformat() if chosen.until is not None else "",
            "major": record.server_version_num // 10_000,
        }

    def _failed(self, scene: Scene, records: Sequence[BackupRecord], reason: str) -> DrillRecord:
        """On record for the server that runs now: as of the newest backup, where the one that is asked for isn't known."""
        now = scene.ports.clock.now()
        named = next((record for record in records if record.id == self.backup), None)
        like = named or next((record for record in records if record.server_version_num), None)
        return DrillRecord(
            run=scene.run,
            service=self.service,
            environment=self.source.value,
            backup=self.backup,
            kind=like.kind if like is not None else BackupKind.LOGICAL,
            started_at=scene.begun_at,
            finished_at=now,
            passed=False,
            seconds=0.0,
            major=like.server_version_num // 10_000 if like is not None else 0,
            reason=reason,
        )


@dataclass(frozen=True, kw_only=True)
class _Restoring(DatabaseWork):
    """A step on what `CheckRecoverable` has found. serving: the environment is to go on with it, so that it stands where that is configured."""

    serving: bool = False

    async def order(self, scene: Scene) -> tuple[RestoreOrder, BackupRecord] | Verdict:
        """The order with a manifest whose signature was just checked, and the ledger's record; the refusal otherwise."""
        what = scene.facts.get(RESTORE)
        if not isinstance(what, Mapping):
            return Verdict.failed(self.title, "restore.not_chosen", "no backup was chosen in this run")
        record = await ledger_of(scene.ports).record(what["backup"])
        if record is None or record.deleted_at is not None:
            return Verdict.failed(self.title, "restore.gone", f"{what['backup']} was deleted meanwhile")
        manifest = await repository_of(scene.ports).manifest(record.id)
        bad = next((v for v in judge_manifest(manifest, record) if v.outcome is not Outcome.PASS), None)
        if bad is not None or manifest is None:
            return bad or Verdict.failed(self.title, "backups.no_manifest", f"{record.id} has no manifest")
        until = datetime.fromisoformat(what["until"]) if what["until"] else None
        target = scene.environment if self.serving else None
        return RestoreOrder(instance_name(scene.run), manifest, until, target), record


@dataclass(frozen=True, kw_only=True)
class FetchBackup(_Restoring):
    """Fetches everything and checks it, before any PostgreSQL program reads a byte. From here on the retention leaves the backup alone."""

    kind: ClassVar[str] = "fetch_backup"
    effect: ClassVar[bool] = True

    async def work(self, scene: Scene) -> Result:
        host, ledger = host_of(scene.ports), ledger_of(scene.ports)
        given = await self.order(scene)
        if isinstance(given, Verdict):
            return Result((given,))
        order, record = given
        await ledger.busy(record.id, _readers({*_reading(record), scene.run}))
        scene.doing(f"fetching {record.id}")
        await host.fetch(order, telling(scene))
        verdicts = judge_manifest(order.manifest, record)
        reason = f"{size(order.manifest.stored_bytes)} of {record.id} are fetched, decrypted, and have the right hashes"
        fetched = Verdict.passed(self.title, reason, Evidence(name="backup", value=record.id, source=self.service))
        return Result((*verdicts, fetched), {BEGAN: scene.begun_at.isoformat()})


@dataclass(frozen=True, kw_only=True)
class ProvisionInstance(_Restoring):
    """Provisions a PostgreSQL of the backup's major version, apart from everything else. Restore Procedure 1 and 2."""

    kind: ClassVar[str] = "provision_instance"
    effect: ClassVar[bool] = True

    async def work(self, scene: Scene) -> Result:
        if BEGAN not in scene.facts:
            return _not_yet(self.title, "nothing was fetched in this run")
        given = await self.order(scene)
        if isinstance(given, Verdict):
            return Result((given,))
        order, _ = given
        scene.doing(f"provisioning PostgreSQL {order.manifest.major}")
        instance = await host_of(scene.ports).provision(order)
        evidence = Evidence(
            name="major version", value=instance.major, limit=order.manifest.major, source=instance.where
        )
        if instance.major != order.manifest.major:
            reason = f"{instance.where} is PostgreSQL {instance.major}; the backup comes from {order.manifest.major}"
            return Result((Verdict.failed(self.title, "restore.wrong_major", reason, evidence),))
        reason = f"provisioned: {instance.where}"
        return Result((Verdict.passed(self.title, reason, evidence),), {INSTANCE: to_json(instance)})


@dataclass(frozen=True, kw_only=True)
class RestoreBackup(_Restoring):
    """Restores into the new instance, and replays WAL to the moment that is asked for. Restore Procedure 3 and 4.

    Repeated, it drops what was half restored and begins anew.
    """

    kind: ClassVar[str] = "restore_backup"
    effect: ClassVar[bool] = True

    async def work(self, scene: Scene) -> Result:
        if INSTANCE not in scene.facts:
            return _not_yet(self.title, "no instance was provisioned in this run")
        given = await self.order(scene)
        if isinstance(given, Verdict):
            return Result((given,))
        order, record = given
        host = host_of(scene.ports)
        instance = await host.provision(
            order
        )  # the one that stands; a server of ours that died with us is started again
        scene.doing(f"restoring {record.id}")
        reached = await host.restore(order, instance, telling(scene))
        if order.until is not None and (reached is None or reached > order.until):
            where = "nobody knows where" if reached is None else told(reached)
            reason = f"recovery was to end {told(order.until)} and ended {where}"
            return Result((Verdict.failed(self.title, "restore.missed_moment", reason),))
        await ledger_of(scene.ports).proven(record.id, checked=False)
        now = scene.ports.clock.now()
        to = "" if reached is None else f", recovered to {told(reached)}"
        fact = {"at": now.isoformat(), "recovered_to": reached.isoformat() if reached is not None else ""}
        verdict = Verdict.passed(
            self.title, f"{record.id} is restored{to}", Evidence(name="backup", value=record.id, at=reached)
        )
        lost = (not_in_it(order.manifest, reached, order.until, now),) if self.serving else ()
        return Result((verdict, *lost), {RESTORED: fact})


@dataclass(frozen=True, kw_only=True)
class PostRestoreChecks(_Restoring):
    """Schema version, row counts, constraints, sequences and the smoke test on what was restored, and that it has what its source had.
    Restore Procedure 5.

    expected_schema: the schema version that it must have; empty: nobody knows it.
    """

    kind: ClassVar[str] = "post_restore_checks"
    effect: ClassVar[bool] = True
    checks: RestoreChecks
    expected_schema: str = ""

    async def work(self, scene: Scene) -> Result:
        if RESTORED not in scene.facts:
            return _not_yet(self.title, "nothing was restored in this run")
        given = await self.order(scene)
        if isinstance(given, Verdict):
            return Result((given,))
        order, record = given
        host = host_of(scene.ports)
        instance = await host.provision(order)
        scene.doing("looking at the restored database")
        source = order.manifest.source
        found = await host.check(instance, looking_for(self.checks, source))
        verdicts = judge_restored(
            found, self.checks, major=order.manifest.major, expected_schema=self.expected_schema, source=source
        )
        result = Result(verdicts)
        if result.outcome is Outcome.PASS:
            await ledger_of(scene.ports).proven(record.id, checked=True)
        now = scene.ports.clock.now()
        fact = {
            "outcome": result.outcome.value,
            "at": now.isoformat(),
            "seconds": (now - datetime.fromisoformat(scene.facts[BEGAN])).total_seconds(),
            "found": to_json(found),
            "compared": compared_words(found, source),
        }
        return Result(verdicts, {CHECKED: fact})


@dataclass(frozen=True, kw_only=True)
class DropInstance(DatabaseWork):
    """Ends the instance, wipes its files and the scratch space, and gives the backup back to the retention. What is not there is fine.

    serving: as of the steps that made it.
    """

    kind: ClassVar[str] = "drop_instance"
    effect: ClassVar[bool] = True
    serving: bool = False

    async def work(self, scene: Scene) -> Result:
        name = instance_name(scene.run)
        if scene.ports.restore_host is None and instance_of(scene.facts) is None:
            return Result((Verdict.passed(self.title, "nothing was restored, for there is nowhere to restore to"),))
        scene.doing(f"dropping {name}")
        await host_of(scene.ports).drop(name, scene.environment if self.serving else None)
        await _let_go(scene)
        return Result((Verdict.passed(self.title, f"{name} is gone, and its scratch space is wiped"),))


@dataclass(frozen=True, kw_only=True)
class ReleaseBackup(DatabaseWork):
    """Gives the backup back to the retention; the instance stays, since it is the database now."""

    kind: ClassVar[str] = "release_backup"

    async def work(self, scene: Scene) -> Result:
        await _let_go(scene)
        return Result((Verdict.passed(self.title, "the backup is the retention's again; the instance stays"),))


async def _let_go(scene: Scene) -> None:
    what = scene.facts.get(RESTORE)
    if not isinstance(what, Mapping):
        return
    ledger = ledger_of(scene.ports)
    record = await ledger.record(what["backup"])
    if record is not None and scene.run in _reading(record):
        await ledger.busy(record.id, _readers(_reading(record) - {scene.run}))


def _reading(record: BackupRecord) -> set[str]:
    """Runs that read it: a drill and a restore may at once."""
    return {run for run in record.busy.split(", ") if run}


def _readers(runs: set[str]) -> str:
    return ", ".join(sorted(runs))


# --- drills ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RecordDrill(DatabaseWork):
    """Records the drill with its recovery time (RTO): from the beginning of the fetching to the last check.

    Passed when every check did; else with why the run left its plan. Once it is on record a repeat changes nothing.
    """

    kind: ClassVar[str] = "record_drill"
    source: Environment

    async def work(self, scene: Scene) -> Result:
        ledger = ledger_of(scene.ports)
        known = await self._known(scene)
        if known is not None and known.passed:
            return Result((self._verdict(known),), {"drill": to_json(known)})
        drill = self._drill(scene)
        await ledger.drilled(drill)
        return Result((self._verdict(drill),), {"drill": to_json(drill)})

    async def _known(self, scene: Scene) -> DrillRecord | None:
        drills = await ledger_of(scene.ports).drills(self.service, self.source)
        return next((each for each in drills if each.run == scene.run), None)

    def _drill(self, scene: Scene) -> DrillRecord:
        what: Mapping[str, Any] = scene.facts.get(RESTORE) or {}
        checked: Mapping[str, Any] = scene.facts.get(CHECKED) or {}
        began = datetime.fromisoformat(scene.facts[BEGAN]) if BEGAN in scene.facts else scene.begun_at
        ended = datetime.fromisoformat(checked["at"]) if checked else scene.ports.clock.now()
        because = scene.facts.get("left_because")
        reason = str(because.get("reason") or "") if isinstance(because, Mapping) else ""
        passed = checked.get("outcome") == Outcome.PASS.value and not reason
        return DrillRecord(
            run=scene.run,
            service=self.service,
            environment=self.source.value,
            backup=str(what.get("backup") or ""),
            kind=BackupKind(what.get("kind") or BackupKind.LOGICAL),
            started_at=began,
            finished_at=ended,
            passed=passed,
            seconds=max(0.0, (ended - began).total_seconds()),
            major=int(what.get("major") or 0),
            reason="" if passed else reason or "the post-restore checks have not passed",
            until=datetime.fromisoformat(what["until"]) if what.get("until") else None,
            compared=str(checked.get("compared") or ""),
        )

    def _verdict(self, drill: DrillRecord) -> Verdict:
        rto = Evidence(name="recovery time", value=drill.seconds, unit="s", source=drill.backup, at=drill.finished_at)
        how = "passed" if drill.passed else f"failed: {drill.reason}"
        reason = f"the drill of {drill.backup or 'no backup'} has {how}; it took {duration(drill.seconds)}"
        if drill.passed:
            reason += (
                f"; as the source had it: {drill.compared}"
                if drill.compared
                else "; nothing was held against its source"
            )
        return Verdict.passed(self.title, reason, rto)


@dataclass(frozen=True, kw_only=True)
class RecordSignOff(RecordDrill):
    """Adds who signed the drill off, where the ledger doesn't have it yet. Nobody did until the expiry: the drill stands, not signed off."""

    kind: ClassVar[str] = "record_sign_off"

    async def work(self, scene: Scene) -> Result:
        drill = await self._known(scene)
        if drill is None:
            raise Permanent("backups", "no_drill", f"the drill of {scene.run} is not on record")
        if drill.signed_off_by:
            verdict = Verdict.passed(self.title, f"signed off by {drill.signed_off_by}")
            return Result((verdict,), {"drill": to_json(drill)})
        signed = scene.facts.get(SIGNED_OFF)
        if not isinstance(signed, Mapping):
            reason = "nobody signed the drill off in time: it stands, recorded as not signed off"
            verdict = Verdict(self.title, Outcome.NO_DATA, "drill.not_signed_off", reason, binding=False)
            return Result((verdict,))
        drill = replace(drill, signed_off_by=str(signed["by"]), signed_off_at=datetime.fromisoformat(signed["at"]))
        await ledger_of(scene.ports).drilled(drill)
        verdict = Verdict.passed(self.title, f"signed off by {signed.get('name') or signed['by']}")
        return Result((verdict,), {"drill": to_json(drill)})


def instance_of(facts: Mapping[str, Any]) -> Instance | None:
    """The instance that this run has provisioned."""
    found = facts.get(INSTANCE)
    return None if found is None else from_json(Instance, found)


def _not_yet(title: str, reason: str) -> Result:
    """On a way back every step is attempted whatever became of the one before: what it needs isn't there."""
    return Result((Verdict.failed(title, "restore.not_yet", reason),))

"""What must be there before production's traffic moves: people, notes, a way back, a backup. Runbook: Production Deployment 1 to 3."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from runbook.errors import Permanent
from runbook.jobs import Migration
from runbook.plan import Scene
from runbook.policy import Workload
from runbook.rules.backups import BACKUP_GATE, backup_warnings, check_backup, no_database, recoverable_minutes
from runbook.rules.people import APPROVERS_GATE, ON_CALL_GATE, check_approvers, check_on_call
from runbook.rules.release_notes import CHANGELOG, NOTES_GATE, found_notes, judge_notes
from runbook.rules.rollback_plan import PLAN_GATE, changes_of, judge_rollback_plan
from runbook.steps.asking import Verdicts, all_asked
from runbook.values import Role

NO_TEXT = ("no_file", "no_text", "large_file")
"""Codes of `CodeHost.file`."""


@dataclass(frozen=True)
class OnCallAvailable:
    """Somebody is on call and can be reached. Runbook: Production Deployment 1."""

    kind: Literal["on_call_available"] = "on_call_available"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((ON_CALL_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        holders = await scene.ports.people.holders(Role.ON_CALL)
        return (check_on_call(holders, scene.ports.clock.now()),)


@dataclass(frozen=True)
class ApproversReachable:
    """Every slot of the approval has a reachable person of its own who didn't ask for the release. Fields: as of `Approval`."""

    roles: tuple[Role, ...]
    any_of: tuple[tuple[Role, ...], ...] = ()
    kind: Literal["approvers_reachable"] = "approvers_reachable"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((APPROVERS_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        slots = (*((role,) for role in self.roles), *self.any_of)
        roles = tuple(dict.fromkeys(role for slot in slots for role in slot))
        found = await asyncio.gather(*(scene.ports.people.holders(role) for role in roles))
        return check_approvers(slots, dict(zip(roles, found, strict=True)), scene.requester)


@dataclass(frozen=True)
class ReleaseNotes:
    """The version has notes: in its GitHub release, in its tag's message, or in the changelog at its commit."""

    repository: str
    version: str
    commit: str
    kind: Literal["release_notes"] = "release_notes"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((NOTES_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        """One place after the other: the first that says something is enough."""
        code = scene.ports.code
        notes = found_notes(self.version, await code.release_notes(self.repository, self.version), "", None)
        if notes is None:
            tag = await code.tag(self.repository, self.version)
            notes = found_notes(self.version, None, tag.payload if tag is not None else "", None)
        if notes is None:
            notes = found_notes(self.version, None, "", await self._changelog(scene))
        return (judge_notes(notes, self.version),)

    async def _changelog(self, scene: Scene) -> str | None:
        try:
            return await scene.ports.code.file(self.repository, CHANGELOG, self.commit)
        except Permanent as error:
            if error.code.rpartition(".")[2] not in NO_TEXT:
                raise
            return None  # a folder or a picture of that name: no notes, and no failure to ask


@dataclass(frozen=True)
class RollbackPlan:
    """What a rollback would do is known: the images that run now, and a way back of every migration.

    migrations: those that the release would run. Runbook: Rollback Procedure 3 and 4.
    """

    service: str
    workloads: tuple[Workload, ...]
    migrations: tuple[Migration, ...] = ()
    kind: Literal["rollback_plan"] = "rollback_plan"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((PLAN_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        cluster = scene.ports.clusters[scene.environment]
        names = tuple(dict.fromkeys(workload.name for workload in self.workloads))
        found = await asyncio.gather(*(cluster.deployment(name) for name in names))
        changes = changes_of(self.migrations)
        lost = None
        if any(not change.backward_compatible for change in changes):
            newest = await scene.ports.backups.newest(self.service, scene.environment)
            lost = recoverable_minutes(newest, scene.ports.clock.now())
        return judge_rollback_plan(self.workloads, dict(zip(names, found, strict=True)), changes, lost)


@dataclass(frozen=True)
class RecentBackup:
    """The newest backup is young enough and restorable, and a restore was drilled lately. Both ages in seconds.

    database: False for a service without one, which has nothing to back up.
    """

    service: str
    max_age_s: float
    drill_max_age_s: float
    database: bool = True
    kind: Literal["recent_backup"] = "recent_backup"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((BACKUP_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        if not self.database:
            return (no_database(self.service),)
        newest = await scene.ports.backups.newest(self.service, scene.environment)
        now = scene.ports.clock.now()
        verdict = check_backup(newest, now, self.max_age_s, self.drill_max_age_s)
        return (verdict, *backup_warnings(newest, now, self.drill_max_age_s))

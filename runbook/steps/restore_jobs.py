"""The Jobs of a restore: customers' data are taken out, and the traffic is led to the restored database. Runbook: Restore Procedure 6.

They are told where the instance stands (`FORGE_RESTORE_WHERE`, `FORGE_RESTORE_NAME`, `FORGE_RESTORE_DATABASE`; `FORGE_RESTORE_HOST` and
`FORGE_RESTORE_PORT` where others than forge reach it) and no password: those are their own secrets' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from runbook.plan import Result, Scene
from runbook.rules.job_ends import judge_end
from runbook.rules.jobs import End
from runbook.steps.databases import host_of
from runbook.steps.job_running import JobWork
from runbook.steps.restores import CHECKED, SANITISED, instance_of
from runbook.verdicts import Outcome, Verdict


@dataclass(frozen=True, kw_only=True)
class RestoreJob(JobWork):
    """A Job on a restored instance: it runs only after the post-restore checks have passed in this run."""

    async def perform(self, scene: Scene) -> Result:
        instance = instance_of(scene.facts)
        checked = scene.facts.get(CHECKED) or {}
        if instance is None or checked.get("outcome") != Outcome.PASS.value:
            reason = "nothing was restored in this run that has passed its checks"
            return Result((Verdict.failed(self.title, "restore.not_checked", reason),))
        where = {
            "FORGE_RESTORE_WHERE": instance.where,
            "FORGE_RESTORE_NAME": instance.name,
            "FORGE_RESTORE_DATABASE": instance.database,
        }
        if instance.host:
            where |= {"FORGE_RESTORE_HOST": instance.host, "FORGE_RESTORE_PORT": str(instance.port)}
        told = replace(self, template=replace(self.template, env={**self.template.env, **where}))
        return await JobWork.perform(told, scene)

    async def judge(self, scene: Scene, end: End) -> Result:
        return Result((judge_end(self.title, end),))


@dataclass(frozen=True, kw_only=True)
class Sanitise(RestoreJob):
    """Takes customers' data out of what was restored from another environment; nothing goes on before it has passed."""

    kind: ClassVar[str] = "sanitise"

    async def judge(self, scene: Scene, end: End) -> Result:
        verdict = judge_end(self.title, end)
        return Result((verdict,), {SANITISED: verdict.outcome.value})


@dataclass(frozen=True, kw_only=True)
class SwitchTraffic(RestoreJob):
    """Leads the traffic to the restored database, after the owner's sign-off: from here on others may connect to it.

    sanitised: only what was sanitised in this run.
    """

    kind: ClassVar[str] = "switch_traffic"
    sanitised: bool = False

    async def perform(self, scene: Scene) -> Result:
        if self.sanitised and scene.facts.get(SANITISED) != Outcome.PASS.value:
            reason = "what was restored from another environment has not been sanitised in this run"
            return Result((Verdict.failed(self.title, "restore.not_sanitised", reason),))
        instance = instance_of(scene.facts)
        if instance is not None and instance.host:
            await host_of(scene.ports).admit(instance.name, scene.environment)
        return await super().perform(scene)

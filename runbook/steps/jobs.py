"""Steps that are Kubernetes Jobs: migrations, their verification, test suites, load; and the one that stops what still runs."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from runbook.charts import Chart
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.jobs import JobTemplate, PerformanceTarget, Stage, SuiteKind
from runbook.plan import Result, Scene, Work
from runbook.ports import JobState
from runbook.reports.load_summary import LoadSummary, Unreadable, read_load_summary
from runbook.rules.job_ends import judge_end, judge_migration
from runbook.rules.jobs import End
from runbook.rules.performance import judge_load, performance_chart, performance_fact
from runbook.rules.readings import read_error
from runbook.rules.suites import judge_suite, suite_fact
from runbook.steps.job_running import ERRORS_TOLERATED_S, POLL_S, JobWork, patiently
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, listing

if TYPE_CHECKING:
    from runbook.reports.junit import TestReport

T = TypeVar("T")

_READ_AT_ONCE = 64 * 1024
"""Characters. Megabytes take seconds, and other runs must go on meanwhile: they are read in a thread."""


async def _read(read: Callable[[str], T], text: str) -> T:
    return read(text) if len(text) <= _READ_AT_ONCE else await asyncio.to_thread(read, text)


@dataclass(frozen=True, kw_only=True)
class Migrate(JobWork):
    """Runs one migration, up or down. Runbook: Staging Deployment 3, Rollback Procedure 4. down, down_image: of an
    `up`, the Job that takes it back and what it runs; a way back makes its step of them.

    Records the fact `migration:<name>`: `state` is `up`, `down` or `failed`; `started` is False when its container never ran.
    """

    kind: ClassVar[str] = "migrate"
    migration: str
    stage: Stage
    backward_compatible: bool
    direction: Literal["up", "down"] = "up"
    down: JobTemplate | None = None
    down_image: str = ""

    def more_env(self) -> Mapping[str, str]:
        return {"FORGE_MIGRATION": self.migration, "FORGE_DIRECTION": self.direction}

    async def judge(self, scene: Scene, end: End) -> Result:
        verdict = judge_migration(self.title, end, self.direction, self.backward_compatible, self.down)
        fact = {
            "state": self.direction if verdict.outcome is Outcome.PASS else "failed",
            "direction": self.direction,
            "stage": self.stage.value,
            "backward_compatible": self.backward_compatible,
            "started": end.started,
            "finished_at": end.at.isoformat(),
        }
        return Result((verdict,), {f"migration:{self.migration}": fact})


@dataclass(frozen=True, kw_only=True)
class VerifyMigrations(JobWork):
    """Checks the data's integrity after migrations; the fact `verification` keeps the outcome. Runbook: Staging Deployment 3."""

    kind: ClassVar[str] = "verify_migrations"

    async def judge(self, scene: Scene, end: End) -> Result:
        verdict = judge_end(self.title, end)
        fact = {"outcome": verdict.outcome.value, "duration_s": end.duration_s, "finished_at": end.at.isoformat()}
        return Result((verdict,), {"verification": fact})


@dataclass(frozen=True, kw_only=True)
class RunSuite(JobWork):
    """Runs one test suite; the fact `suite:<name>` keeps its counts (see `suite_fact`). Runbook: Staging Deployment 4."""

    kind: ClassVar[str] = "run_suite"
    suite: str
    suite_kind: SuiteKind

    def more_env(self) -> Mapping[str, str]:
        return {"FORGE_SUITE": self.suite}

    async def judge(self, scene: Scene, end: End) -> Result:
        from runbook.reports.junit import read_junit  # its XML parsers are loaded only where a suite has ended

        report: TestReport | None = None
        if end.log is not None:
            report = await _read(read_junit, end.log.text)
        if report is not None and end.log is not None and not end.log.complete:
            report = replace(report, whole=False)
        verdict = judge_suite(self.title, end, report)
        fact = suite_fact(self.suite, self.suite_kind.value, verdict.outcome, end, report)
        return Result((verdict,), {f"suite:{self.suite}": fact})


@dataclass(frozen=True, kw_only=True)
class MeasurePerformance(JobWork):
    """Loads the service and holds what was measured against the target. Runbook: Staging Deployment 5.

    rate: requests per second; with duration_s (seconds) the load's profile, as `FORGE_LOAD_RATE` and `FORGE_LOAD_DURATION`. tolerance,
    max_failed_ratio: see `PerformancePolicy`. The fact `performance` keeps what was measured, with `outcome` and `reason`.
    """

    kind: ClassVar[str] = "measure_performance"
    target: PerformanceTarget
    rate: float
    duration_s: float
    tolerance: float
    max_failed_ratio: float

    def more_env(self) -> Mapping[str, str]:
        return {"FORGE_LOAD_RATE": f"{self.rate:g}", "FORGE_LOAD_DURATION": f"{self.duration_s:g}"}

    async def judge(self, scene: Scene, end: End) -> Result:
        summary = await self._summary(end)
        verdict = judge_load(
            self.title, end, summary, self.target, self.tolerance, self.max_failed_ratio, self.rate, self.duration_s
        )
        fact: dict[str, Any] = {
            "outcome": verdict.outcome.value,
            "reason": verdict.reason,
            "rate": self.rate,
            "duration_s": self.duration_s,
            "finished_at": end.at.isoformat(),
        }
        if isinstance(summary, Unreadable):
            return Result((verdict,), {"performance": fact})
        return Result(
            (verdict,), {"performance": {**fact, **performance_fact(summary)}}, await self._charts(scene, summary)
        )

    async def _summary(self, end: End) -> LoadSummary | Unreadable:
        if end.log is None:
            return Unreadable(f"its log can't be read: {end.log_error}" if end.log_error else "it has no log")
        if not end.log.complete:
            return Unreadable(f"reading its log broke off after {end.log.size_bytes} bytes, before its end")
        return await _read(read_load_summary, end.log.text)

    async def _charts(self, scene: Scene, summary: LoadSummary) -> tuple[Chart, ...]:
        """What the last go measured is only shown: not knowing it changes nothing."""
        previous: Mapping[str, float] | None = None
        try:
            previous = await scene.ports.memory.last_performance(self.service, scene.environment)
        except ForgeError:
            scene.doing("the last go's performance can't be read")
        chart = performance_chart(self.title, summary, self.target, previous)
        return (chart,) if chart.panels else ()


@dataclass(frozen=True, kw_only=True)
class StopJobs(Work):
    """Deletes every Job of the run and waits until they are gone. On a way back it comes first: `down` Jobs follow it."""

    kind: ClassVar[str] = "stop_jobs"
    effect: ClassVar[bool] = True
    within_s: float = 90.0

    async def perform(self, scene: Scene) -> Result:
        """What could not be stopped is a verdict that carries the command for a person's hand."""
        stopped: dict[str, str] = {}
        try:
            left = await self._stop(scene, stopped)
        except (Temporary, Permanent) as error:
            verdict = read_error(self.title, error)
            remedy = ". ".join(part for part in (error.remedy.rstrip("."), self._by_hand(scene)) if part)
            return Result((replace(verdict, remedy=remedy),))
        source = f"jobs of {scene.run}"
        evidence = tuple(Evidence(name=name, value=phase, source=source) for name, phase in sorted(stopped.items()))
        if left:
            reason = f"{listing(left)} still {'ends' if len(left) == 1 else 'end'} {duration(self.within_s)} after being told to"
            verdict = Verdict.failed(self.title, "jobs.not_gone", reason, *evidence, remedy=self._by_hand(scene))
        elif stopped:
            verdict = Verdict.passed(self.title, f"stopped and cleared away: {listing(sorted(stopped))}", *evidence)
        else:
            verdict = Verdict.passed(self.title, "no Job of this run was left")
        return Result((verdict,))

    async def _stop(self, scene: Scene, stopped: dict[str, str]) -> tuple[str, ...]:
        """Names of what is still there in the end. stopped: what was found, name to phase."""
        cluster, clock = scene.ports.clusters[scene.environment], scene.ports.clock
        until = clock.now() + timedelta(seconds=self.within_s)
        quiet = False
        while True:
            found = await self._found(scene)
            if not found:
                # A creation that was under way when its step was cancelled may still arrive: nothing twice is nothing.
                if quiet:
                    return ()
                quiet = True
            else:
                quiet = False
                scene.doing(f"stopping {listing(job.name for job in found)}")
            for job in found:
                stopped.setdefault(job.name, job.phase)
                if job.phase != "stopping":
                    delete = partial(cluster.delete_job, job.name)
                    await patiently(scene, f"stopping {job.name}", delete, ERRORS_TOLERATED_S)
            if found and clock.now() >= until:
                return tuple(job.name for job in found)
            await clock.sleep_until(clock.now() + timedelta(seconds=POLL_S))

    async def _found(self, scene: Scene) -> tuple[JobState, ...]:
        cluster = scene.ports.clusters[scene.environment]
        return await patiently(
            scene, "looking for Jobs", lambda: cluster.jobs_of(scene.run, scene.annotation_prefix), ERRORS_TOLERATED_S
        )

    def _by_hand(self, scene: Scene) -> str:
        cluster = scene.ports.clusters[scene.environment]
        selector = shlex.quote(f"{scene.annotation_prefix}/run={scene.run}")
        return f"By hand: {cluster.kubectl} delete jobs -l {selector} --cascade=foreground"

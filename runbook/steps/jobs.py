"""Steps that are Kubernetes Jobs: migrations, their verification, test suites, load; and the one that stops what still runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from runbook.jobs import JobTemplate, PerformanceTarget, Stage, SuiteKind
from runbook.plan import Result, Scene, Work
from runbook.steps.job_running import End, run_job, stop_jobs


@dataclass(frozen=True, kw_only=True)
class JobWork(Work):
    """One Job from its order to its judged end. Exactly one of image and previous_of is set.

    image: `repository@digest`. previous_of: `workload/container`; the image that is remembered for it (fact `previous`). service, version,
    base_url: become `FORGE_SERVICE`, `FORGE_VERSION` and `FORGE_TARGET_URL` where set. log_tail_bytes, shown_lines: see `JobsPolicy`.
    """

    effect: ClassVar[bool] = True
    template: JobTemplate
    service: str
    version: str
    image: str = ""
    previous_of: str = ""
    base_url: str = ""
    log_tail_bytes: int = 4 * 1024 * 1024
    shown_lines: int = 20

    async def perform(self, scene: Scene) -> Result:
        return await run_job(self, scene)

    def more_env(self) -> Mapping[str, str]:
        """Variables of this kind of step; they win over the template's."""
        return {}

    @abstractmethod
    async def judge(self, scene: Scene, end: End) -> Result:
        """What the Job's end says. Asks nothing that decides."""


@dataclass(frozen=True, kw_only=True)
class Migrate(JobWork):
    """Runs one migration, up or down. Runbook: Staging Deployment 3, Rollback Procedure 4. down, down_image: of
    an `up`, the Job that takes it back and what it runs; a way back makes its step of them."""

    kind: ClassVar[str] = "migrate"
    migration: str
    stage: Stage
    backward_compatible: bool
    direction: Literal["up", "down"] = "up"
    down: JobTemplate | None = None
    down_image: str = ""

    async def judge(self, scene: Scene, end: End) -> Result:
        return Result()


@dataclass(frozen=True, kw_only=True)
class VerifyMigrations(JobWork):
    """Checks the data's integrity after migrations. Runbook: Staging Deployment 3."""

    kind: ClassVar[str] = "verify_migrations"

    async def judge(self, scene: Scene, end: End) -> Result:
        return Result()


@dataclass(frozen=True, kw_only=True)
class RunSuite(JobWork):
    """Runs one test suite. Runbook: Staging Deployment 4."""

    kind: ClassVar[str] = "run_suite"
    suite: str
    suite_kind: SuiteKind

    async def judge(self, scene: Scene, end: End) -> Result:
        return Result()


@dataclass(frozen=True, kw_only=True)
class MeasurePerformance(JobWork):
    """Loads the service and holds what was measured against the target. Runbook: Staging Deployment 5.

    rate: requests per second. tolerance, max_failed_ratio: see `PerformancePolicy`.
    """

    kind: ClassVar[str] = "measure_performance"
    target: PerformanceTarget
    rate: float
    duration_s: float
    tolerance: float
    max_failed_ratio: float

    async def judge(self, scene: Scene, end: End) -> Result:
        return Result()


@dataclass(frozen=True, kw_only=True)
class StopJobs(Work):
    """Deletes every Job of the run and waits until they are gone. On a way back it comes first: `down` Jobs follow it."""

    kind: ClassVar[str] = "stop_jobs"
    effect: ClassVar[bool] = True
    within_s: float = 90.0

    async def perform(self, scene: Scene) -> Result:
        return await stop_jobs(self.title, scene, self.within_s)

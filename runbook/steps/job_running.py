"""One Job from its order to its end, and the end of all Jobs of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.plan import Result, Scene

if TYPE_CHECKING:
    from runbook.steps.jobs import JobWork


@dataclass(frozen=True)
class End:
    """How a Job ended."""


async def run_job(step: JobWork, scene: Scene) -> Result:
    return await step.judge(scene, End())


async def stop_jobs(title: str, scene: Scene, within_s: float) -> Result:
    return Result()

"""Checks of the promotion gate on what this run has recorded itself: smoke tests, suites, migrations, performance.

They ask nobody: what isn't on record is NO_DATA, and there is no error that could pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.criteria import Weight, weighed
from runbook.jobs import PerformanceTarget
from runbook.plan import Scene
from runbook.rules.promotion import judge_migrated, judge_performance_kept, judge_smoke, judge_suites
from runbook.steps.asking import Verdicts


@dataclass(frozen=True)
class AutomatedTests:
    """Smoke tests and every suite have passed in this very run. Promotion Criteria: Smoke tests, Integration/E2E."""

    suites: tuple[str, ...]
    weight: Weight = Weight.REQUIRED
    kind: Literal["automated_tests"] = "automated_tests"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        suites = weighed((judge_suites(self.suites, scene.facts),), self.weight)
        return (judge_smoke(scene.facts.get("smoke")), *suites), True


@dataclass(frozen=True)
class Migrated:
    """The expand migrations are done, and the data verified."""

    migrations: tuple[str, ...]
    verified: bool
    kind: Literal["migrated"] = "migrated"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return (judge_migrated(self.migrations, self.verified, scene.facts),), True


@dataclass(frozen=True)
class PerformanceKept:
    """What the load measured in this run is within the tolerance of the target. Promotion Criteria: Performance baseline."""

    target: PerformanceTarget
    weight: Weight = Weight.REQUIRED
    kind: Literal["performance_kept"] = "performance_kept"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        verdict = judge_performance_kept(scene.facts.get("performance"), self.target)
        return weighed((verdict,), self.weight), True

"""Whether a release is what really runs in an environment, and all that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.plan import Scene
from runbook.rules.workloads import judge_running
from runbook.steps.asking import Verdicts, all_asked
from runbook.values import FrozenImage


@dataclass(frozen=True)
class RunsHere:
    """Every workload runs exactly these images, and no pod of another version is left: only then may be taken away what older code needs."""

    images: tuple[FrozenImage, ...]
    kind: Literal["runs_here"] = "runs_here"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked(*((f"running: {image.workload}", self._workload(scene, image)) for image in self.images))

    async def _workload(self, scene: Scene, image: FrozenImage) -> Verdicts:
        cluster = scene.ports.clusters[scene.environment]
        deployment = await cluster.deployment(image.workload)
        rollout = None if deployment is None else await cluster.rollout(image.workload)
        return (judge_running(image, deployment, rollout),)

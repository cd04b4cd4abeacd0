"""How each workload's traffic is divided, as a plan holds it, and the gate's check that it can be. Runbook: Production Deployment 4."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runbook.plan import Scene
from runbook.policy import Workload
from runbook.ports import TrafficTarget
from runbook.rules.traffic import REPLICAS, Beginning, check_canary_ready_to_begin, share_gate
from runbook.steps.asking import Verdicts, all_asked

SIZES = "sizes"
"""The fact of `RememberSizes`: {workload: replicas}."""


@dataclass(frozen=True)
class Divided:
    """A workload whose traffic moves between its stable and its canary Deployment. See `runbook.ports.TrafficTarget`, whose size is known
    only when the run has begun."""

    workload: str
    canary: str
    driver: str
    route: str = ""
    stable_backend: str = ""
    canary_backend: str = ""

    def target(self, size: int) -> TrafficTarget:
        return TrafficTarget(
            workload=self.workload,
            canary=self.canary,
            driver=self.driver,
            size=size,
            route=self.route,
            stable_backend=self.stable_backend,
            canary_backend=self.canary_backend,
        )


def divided(workload: Workload) -> Divided:
    """With the defaults of `policy.Workload`."""
    canary = workload.canary or f"{workload.name}-canary"
    if workload.traffic == REPLICAS:
        return Divided(workload.name, canary, REPLICAS)
    return Divided(
        workload=workload.name,
        canary=canary,
        driver=workload.traffic,
        route=workload.route or workload.name,
        stable_backend=workload.stable_service or workload.name,
        canary_backend=workload.canary_service or canary,
    )


def remembered_size(facts: Mapping[str, Any], workload: str) -> int:
    """Replicas of stable when the run began; 0 where nobody remembered them."""
    sizes = facts.get(SIZES)
    return int(sizes.get(workload) or 0) if isinstance(sizes, Mapping) else 0


@dataclass(frozen=True)
class TrafficDividable:
    """Before the first effect: stable is told by its track, the canary's place is free, and the route has both backends, the canary's at 0."""

    workloads: tuple[Workload, ...]
    kind: Literal["traffic_dividable"] = "traffic_dividable"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked(*((share_gate(w.name), self._workload(scene, divided(w))) for w in self.workloads))

    async def _workload(self, scene: Scene, one: Divided) -> Verdicts:
        cluster = scene.ports.clusters[scene.environment]
        stable, canary, share, selectors = await asyncio.gather(
            cluster.deployment(one.workload),
            cluster.deployment(one.canary),
            cluster.share(one.target(1)),
            cluster.selectors(one.target(1)),
        )
        target = one.target(0 if stable is None else stable.replicas)
        prefix, kubectl = scene.annotation_prefix, cluster.kubectl
        return check_canary_ready_to_begin(
            Beginning(target, stable, canary, share, prefix, scene.run, kubectl, selectors)
        )

"""The steps of a roll-out and of its way back, as a production plan has them, on a world of three pods of web and three of worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from runbook.plan import Result, Scene, Work
from runbook.ports import PodTrouble, TrafficTarget
from runbook.rules.traffic import ROUTE
from runbook.steps import RemoveCanary, ReturnTraffic, ShiftTraffic, StartCanary, TakeOver
from runbook.steps.dividing import Divided, divided
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fakes import RELEASE, SERVICE, World, deployment

OLD = "registry.example/acme/old@sha256:0"
NEW = {image.workload: image.reference for image in RELEASE.images}
WEB = divided(SERVICE.workloads[0])
WORKER = divided(replace(SERVICE.workloads[1], traffic="replicas"))
BOTH = (WEB, WORKER)
FACTS: Mapping[str, Any] = {
    "sizes": {"web": 3, "worker": 3},
    "previous": {"web": {"app": OLD}, "worker": {"app": OLD}},
}
CRASH = PodTrouble("web-canary-1", "app", "crash_loop", "Error", "exit code 1: no such table: orders", restarts=3)


def start(*targets: Divided) -> StartCanary:
    return StartCanary(
        title="Start", targets=targets or BOTH, images=RELEASE.images, weight=5, timeout_s=600, trouble_within_s=60
    )


def shift(weight: int, *targets: Divided) -> ShiftTraffic:
    return ShiftTraffic(
        title=f"Shift {weight} %", targets=targets or BOTH, weight=weight, timeout_s=600, trouble_within_s=60, route_timeout_s=120
    )  # fmt: skip


def back(*targets: Divided) -> ReturnTraffic:
    return ReturnTraffic(title="Shift back", targets=targets or BOTH[::-1], timeout_s=600)


def remove(*targets: Divided) -> RemoveCanary:
    return RemoveCanary(title="Remove", targets=targets or BOTH[::-1])


def take_over(*targets: Divided) -> TakeOver:
    return TakeOver(
        title="Take over", targets=targets or BOTH, images=RELEASE.images, timeout_s=600, trouble_within_s=60
    )


class Rollout:
    """A run on a world: performs step after step, and keeps the facts as the engine does."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.facts: dict[str, Any] = dict(FACTS)
        if world is None:
            self.cluster.deployments = {name: deployment(name, replicas=3) for name in ("web", "worker")}
        self.index = 3

    @property
    def cluster(self) -> Any:
        return self.world.cluster

    def scene(self, *, progress: Any = None, attempt: int = 1, begun_at: datetime | None = None) -> Scene:
        scene = self.world.scene(facts=dict(self.facts), progress=progress, attempt=attempt, begun_at=begun_at)
        return replace(scene, index=self.index)

    async def perform(self, step: Work) -> Result:
        self.index += 1
        result: Result = await self.world.finish(step.perform(self.scene()))
        self.facts.update(result.facts)
        return result

    async def passes(self, *steps: Work) -> Result:
        for step in steps:
            result = await self.perform(step)
            assert result.outcome is Outcome.PASS, result.verdicts
        return result

    @property
    def elapsed(self) -> float:
        return float((self.world.clock.now() - NOON).total_seconds())

    def replicas(self) -> dict[str, int]:
        return {name: found.replicas for name, found in self.cluster.deployments.items()}

    def moved(self, what: str) -> list[int]:
        return [write.number for write in self.cluster.moved if write.what == what]

    def web_target(self) -> TrafficTarget:
        return TrafficTarget("web", "web-canary", ROUTE, 3, "web", "web", "web-canary")

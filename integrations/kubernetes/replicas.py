"""Traffic by the number of pods: for workers, and for services without a router. Each call goes as far as is safe now.

It must never take pods away before the other Deployment's are Available.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from integrations.kubernetes.calls import Json
from integrations.kubernetes.canary import KubernetesCanaries, is_going
from integrations.kubernetes.deployments import Deployments, shaped
from integrations.kubernetes.reading import rollout_of
from runbook.errors import Conflict
from runbook.ports import Rollout, Share, TrafficTarget
from runbook.rules.traffic import Numbers, Pods, next_replicas, pods_ratio, replicas_for, usable

_ATTEMPTS = 5
NONE = Rollout(generation=0, observed=True, desired=0, updated=0, available=0, total=0)
"""A Deployment that isn't there."""


class ReplicaTraffic:
    """Fulfils `runbook.ports.Traffic` for targets whose driver is `replicas`."""

    def __init__(self, deployments: Deployments, canaries: KubernetesCanaries) -> None:
        self._deployments = deployments
        self._canaries = canaries

    async def share(self, target: TrafficTarget) -> Share | None:
        """weight: 0 or 100 where one of them has no pods, else None: numbers of pods don't tell which percentage was meant."""
        found = await self._both(target)
        if found is None:
            return None
        stable, canary = found
        weight = 0 if canary.desired == 0 else 100 if stable.desired == 0 else None
        return _share(weight, stable, canary, settled=True)

    async def set_weight(self, target: TrafficTarget, weight: int) -> Share:
        """See the port. Raises Permanent("not_found") without stable, and without a canary where it is to get something."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._step(target, weight)
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt raises or returns")

    async def _step(self, target: TrafficTarget, weight: int) -> Share:
        found = await self._both(target)
        if found is None:
            raise self._deployments.missing(target.workload)
        stable, canary = found
        if canary is NONE and weight:
            raise self._deployments.missing(target.canary)
        goal = next_replicas(
            weight, target.size, Pods(stable.desired, usable(stable)), Pods(canary.desired, usable(canary))
        )
        changes = [
            (name, have, wanted)
            for name, have, wanted in (
                (target.workload, stable.desired, goal.stable),
                (target.canary, canary.desired, goal.canary),
            )
            if have != wanted
        ]
        for name, _, wanted in sorted(changes, key=lambda change: change[1] > change[2]):
            # Who grows comes first: a process that dies between the two has taken nothing away.
            await self._canaries.scale(name, wanted)
        reached = _is_end(goal, replicas_for(weight, target.size), target.size)
        return _share(weight if reached else None, stable, canary, settled=reached and not changes)

    async def _both(self, target: TrafficTarget) -> tuple[Rollout, Rollout] | None:
        stable, canary = await asyncio.gather(
            self._deployments.read(target.workload), self._deployments.read(target.canary)
        )
        if stable is None:
            return None
        return _counts(stable), NONE if canary is None else _counts(canary)


def _counts(found: Json) -> Rollout:
    """Pods of a Deployment that is being deleted are going: none of them is counted on."""
    rollout = shaped(lambda: rollout_of(found, ()))
    if shaped(lambda: is_going(found)):
        return replace(NONE, total=rollout.total)
    return rollout


def _is_end(now: Numbers, end: Numbers, size: int) -> bool:
    """A stable that an autoscaler has made larger than its full strength is at its end too."""
    return now.canary == end.canary and (now.stable == end.stable or now.stable > end.stable >= size)


def _share(weight: int | None, stable: Rollout, canary: Rollout, *, settled: bool) -> Share:
    """settled: the wanted numbers are set. Accepted: what is to run is Available, and what is to go is gone."""
    gone = stable.observed and stable.total == stable.desired
    there = canary.observed and canary.total == canary.desired and canary.available >= canary.desired
    reason = (
        f"{stable.available} of {stable.desired} pods of stable and {canary.available} of {canary.desired} of the canary "
        f"are Available"
    )
    accepted = settled and gone and there
    return Share(weight, pods_ratio(stable.available, canary.available), accepted, "" if accepted else reason)

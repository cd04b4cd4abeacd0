"""Steps that move production's traffic: a canary is started, gets its shares, and becomes stable; or the traffic goes back.

Runbook: Production Deployment 4 and 7, Rollback Procedure 2. Each is performed again harmlessly: effects set, they never add.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from runbook.plan import Result, Scene, Work
from runbook.policy import Workload
from runbook.ports import CanaryOrder
from runbook.rules.traffic import REPLICAS, canary_replicas, share_gate
from runbook.steps.dividing import SIZES, Divided, remembered_size
from runbook.steps.full_size import HELD_SIZES, held, let_go
from runbook.steps.homecoming import Home, Homecoming
from runbook.steps.moments import Moments
from runbook.steps.moving import CANARY_IMAGES, Bounds, Move, entry_of, persistent, traffic_fact
from runbook.steps.removing import removed
from runbook.steps.rolling_out import await_rollout, still_ours
from runbook.steps.taking_over import TakingOver
from runbook.values import FrozenImage
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration

DECIDED_AT = "decided_at"
WEIGHT_ZERO = "weight_zero"
LEFT = "traffic_left"


def images_of(images: tuple[FrozenImage, ...], workload: str) -> dict[str, str]:
    """container -> `repository@digest`."""
    return {image.container: image.reference for image in images if image.workload == workload}


@dataclass(frozen=True, kw_only=True)
class RememberSizes(Work):
    """Records how many replicas stable has now as the fact `sizes`: {workload: replicas}: full strength, whatever an autoscaler does later.

    Nothing outside changes. A repeat keeps the first record.
    """

    kind: ClassVar[str] = "remember_sizes"
    workloads: tuple[Workload, ...]

    async def perform(self, scene: Scene) -> Result:
        if (known := scene.facts.get(SIZES)) is not None:
            return Result((Verdict.passed(self.title, "the sizes were remembered before"),), {SIZES: known})
        cluster = scene.ports.clusters[scene.environment]
        found = await asyncio.gather(*(cluster.deployment(workload.name) for workload in self.workloads))
        verdicts, sizes = [], {}
        for workload, deployment in zip(self.workloads, found, strict=True):
            replicas = None if deployment is None else deployment.replicas
            source = f"deployment/{workload.name}"
            evidence = Evidence(name="replicas", value=replicas, limit=1, unit="count", source=source)
            if not replicas:
                what = "doesn't exist" if replicas is None else "is scaled to 0 replicas"
                code = "workload.missing" if replicas is None else "workload.no_replicas"
                reason = f"the Deployment {workload.name} {what}: there is no strength to come back to"
                verdicts.append(Verdict.failed(self.title, code, reason, evidence))
                continue
            sizes[workload.name] = replicas
            verdicts.append(Verdict.passed(self.title, f"{workload.name} has {replicas} replicas", evidence))
        complete = len(sizes) == len(self.workloads)
        return Result(tuple(verdicts), {SIZES: sizes} if complete else {})


@dataclass(frozen=True, kw_only=True)
class StartCanary(Work):
    """Makes the canary Deployments, with the pods that the first weight needs, and waits until they are Available. No traffic moves.

    weight: the first. Where traffic moves by the number of pods the canary has none yet: they take work as soon as they run.
    """

    kind: ClassVar[str] = "start_canary"
    effect: ClassVar[bool] = True
    targets: tuple[Divided, ...]
    images: tuple[FrozenImage, ...]
    weight: int
    timeout_s: float
    trouble_within_s: float

    async def perform(self, scene: Scene) -> Result:
        """Records the fact `canary_images`: {canary: {container: image}}."""
        moments, verdicts = Moments(scene), []
        images = {one.canary: images_of(self.images, one.workload) for one in self.targets}
        for one in self.targets:
            verdicts.append(await self._started(scene, one, images[one.canary], moments))
            if verdicts[-1].outcome is not Outcome.PASS:
                break
        return Result(tuple(verdicts), {CANARY_IMAGES: images})

    async def _started(self, scene: Scene, one: Divided, images: Mapping[str, str], moments: Moments) -> Verdict:
        cluster = scene.ports.clusters[scene.environment]
        order = self._order(scene, one, images)
        scene.doing(f"starting {one.canary}")
        await persistent(scene, lambda: cluster.start_canary(order))
        since = await moments.first(f"started:{one.workload}")
        if not order.replicas:
            return Verdict.passed(share_gate(one.workload), f"{one.canary} is there; its pods come with its share")
        verdict = await await_rollout(scene, one.canary, 0, since, self.timeout_s, self.trouble_within_s)
        if verdict.outcome is not Outcome.PASS:
            return verdict
        return await still_ours(scene, one.canary, images) or verdict

    def _order(self, scene: Scene, one: Divided, images: Mapping[str, str]) -> CanaryOrder:
        prefix = scene.annotation_prefix
        size = max(1, remembered_size(scene.facts, one.workload))
        return CanaryOrder(
            workload=one.workload,
            canary=one.canary,
            images=images,
            replicas=0 if one.driver == REPLICAS else canary_replicas(one.driver, self.weight, size),
            run=scene.run,
            annotations={f"{prefix}/run": scene.run, f"{prefix}/step": f"{scene.run}/{scene.index}"},
            prefix=prefix,
        )


@dataclass(frozen=True, kw_only=True)
class ShiftTraffic(Work):
    """Gives the canary this percentage of the traffic, one workload after the other: pods first, then the weight, then the router's word.

    Before it, stable's autoscalers are kept from shrinking it; what can't be held is told and decides nothing. Records the facts `shifted`:
    {weight: ISO time when the last workload was accepted}, `traffic`: see `moving.TRAFFIC`, and `held_sizes`: see `full_size.HELD_SIZES`.
    """

    kind: ClassVar[str] = "shift_traffic"
    effect: ClassVar[bool] = True
    targets: tuple[Divided, ...]
    weight: int
    timeout_s: float
    trouble_within_s: float
    route_timeout_s: float = 120.0

    async def perform(self, scene: Scene) -> Result:
        moments, verdicts = Moments(scene), []
        entries: list[Mapping[str, Any]] = []
        bounds = Bounds(self.timeout_s, self.trouble_within_s, self.route_timeout_s)
        sizes, held_sizes = await held(scene, self.targets, self.weight)
        for one in self.targets:
            moved = await Move(scene, one, self.weight, bounds, moments).whole()
            verdicts.append(moved.verdict)
            if moved.entry is None:
                break
            entries.append(moved.entry)
        facts: dict[str, Any] = {HELD_SIZES: held_sizes} if held_sizes else {}
        if entries:
            facts["traffic"] = traffic_fact(scene.facts, entries)
        if len(entries) == len(self.targets):
            known = scene.facts.get("shifted")
            last = max(str(entry["at"]) for entry in entries)
            facts["shifted"] = {**(known if isinstance(known, Mapping) else {}), str(self.weight): last}
        return Result((*verdicts, *sizes), facts)


@dataclass(frozen=True, kw_only=True)
class ReturnTraffic(Work):
    """Brings the traffic back to stable: weight 0 at once as far as stable's Available capacity goes, the rest as it becomes Available.

    Runbook: Rollback Procedure 2. Every workload is attempted, whatever becomes of the others. Stable must run what ran before the
    release (the fact `previous`); one that doesn't is left to a later step, and is named in the fact `traffic_left`.
    Records `weight_zero`: {workload: {at, seconds}}, in seconds from the decision (the fact `decided_at`, else the step's begin).
    """

    kind: ClassVar[str] = "return_traffic"
    effect: ClassVar[bool] = True
    targets: tuple[Divided, ...]
    timeout_s: float
    route_timeout_s: float = 120.0

    async def perform(self, scene: Scene) -> Result:
        """All at the same time, begun in their order: one that waits for its pods keeps no other from its weight 0."""
        scene.doing("shifting the traffic back")
        moments = Moments(scene)
        homes = await asyncio.gather(*(self._homecoming(scene, one, moments).whole() for one in self.targets))
        decided = _decided_at(scene)
        verdicts = tuple(_timed(home, decided) for home in homes)
        return Result(verdicts, self._facts(scene, homes, decided))

    def _homecoming(self, scene: Scene, one: Divided, moments: Moments) -> Homecoming:
        previous = scene.facts.get("previous")
        images = previous.get(one.workload) if isinstance(previous, Mapping) else None
        left = _left_before(scene).get(one.workload)
        return Homecoming(
            scene,
            one,
            images if isinstance(images, Mapping) else {},
            moments,
            timeout_s=self.timeout_s,
            route_timeout_s=self.route_timeout_s,
            may_be_later=left is None or left == scene.index,
        )

    def _facts(self, scene: Scene, homes: list[Home], decided: datetime) -> dict[str, Any]:
        known = scene.facts.get(WEIGHT_ZERO)
        zero = dict(known) if isinstance(known, Mapping) else {}
        entries: list[Mapping[str, Any]] = []
        for home in homes:
            if home.at is None:
                continue
            seconds = round((home.at - decided).total_seconds(), 3)
            zero.setdefault(home.workload, {"at": home.at.isoformat(), "seconds": seconds})
            if home.target is not None and home.share is not None:
                entries.append(entry_of(home.target, 0, home.share, home.at))
        left = {home.workload: scene.index for home in homes if home.is_left}
        return {
            DECIDED_AT: decided.isoformat(),
            WEIGHT_ZERO: zero,
            "traffic": traffic_fact(scene.facts, entries),
            LEFT: {**_left_before(scene), **left},
        }


def _decided_at(scene: Scene) -> datetime:
    known = scene.facts.get(DECIDED_AT)
    return datetime.fromisoformat(known) if isinstance(known, str) else scene.begun_at


def _left_before(scene: Scene) -> Mapping[str, int]:
    """workload -> index of the step that left it to a later one."""
    known = scene.facts.get(LEFT)
    return known if isinstance(known, Mapping) else {}


def _timed(home: Home, decided: datetime) -> Verdict:
    if home.at is None:
        return home.verdict
    seconds = round((home.at - decided).total_seconds(), 3)
    evidence = Evidence(name="from the decision to weight 0 accepted", value=seconds, unit="s", at=home.at)
    reason = f"stable has all the traffic of {home.workload}, {duration(seconds)} after the decision"
    return replace(home.verdict, reason=reason, evidence=(*home.verdict.evidence, evidence))


@dataclass(frozen=True, kw_only=True)
class RemoveCanary(Work):
    """Deletes this run's canaries, once they have no traffic any more, and waits until they are gone. One that still has some stays.

    Then stable's autoscalers are as they were before the roll-out; not where a canary still has traffic, which stable may have to take yet.
    """

    kind: ClassVar[str] = "remove_canary"
    effect: ClassVar[bool] = True
    targets: tuple[Divided, ...]
    timeout_s: float = 120.0

    async def perform(self, scene: Scene) -> Result:
        moments = Moments(scene)
        gone = await asyncio.gather(*(removed(scene, one, moments, self.timeout_s) for one in self.targets))
        home = [one for one, verdict in zip(self.targets, gone, strict=True) if verdict.outcome is Outcome.PASS]
        sizes = await asyncio.gather(*(let_go(scene, one) for one in home))
        return Result((*gone, *(verdict for verdict in sizes if verdict is not None)))


@dataclass(frozen=True, kw_only=True)
class TakeOver(Work):
    """Stable takes the new image while the canary carries the traffic, then the traffic, and the canary goes; its autoscalers are as they
    were before the roll-out. Runbook: completion.

    Records the fact `taken_over`: {workload: ISO time}.
    """

    kind: ClassVar[str] = "take_over"
    effect: ClassVar[bool] = True
    targets: tuple[Divided, ...]
    images: tuple[FrozenImage, ...]
    timeout_s: float
    trouble_within_s: float
    route_timeout_s: float = 120.0

    async def perform(self, scene: Scene) -> Result:
        """A canary that can't be removed or an autoscaler that can't be let go doesn't make the release a bad one: it is told, and decides
        nothing."""
        moments, verdicts = Moments(scene), []
        bounds = Bounds(self.timeout_s, self.trouble_within_s, self.route_timeout_s)
        taken, entries = dict(scene.facts.get("taken_over") or {}), []
        for one in self.targets:
            home = await TakingOver(scene, one, images_of(self.images, one.workload), bounds, moments).whole()
            verdicts.append(home.verdict)
            if home.at is None:
                break
            taken[one.workload] = home.at.isoformat()
            if home.target is not None and home.share is not None:
                entries.append(entry_of(home.target, 0, home.share, home.at))
        else:
            gone = await asyncio.gather(*(removed(scene, one, moments, self.timeout_s) for one in self.targets))
            sizes = await asyncio.gather(*(let_go(scene, one) for one in self.targets))
            after = [verdict for verdict in (*gone, *sizes) if verdict is not None]
            verdicts.extend(replace(verdict, binding=verdict.outcome is Outcome.PASS) for verdict in after)
        return Result(tuple(verdicts), {"taken_over": taken, "traffic": traffic_fact(scene.facts, entries)})

"""One workload's stable becomes the new version while the canary carries its traffic, then takes the traffic back.

It must never roll out onto a stable that has traffic of its own, but for one that this very step has begun with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from runbook.plan import Scene
from runbook.ports import Deployment, Rollout, Share, TrafficTarget
from runbook.rules.traffic import REPLICAS, WHOLE, judge_share, share_gate, share_words, strength
from runbook.rules.workloads import judge_rollout
from runbook.steps.dividing import Divided, remembered_size
from runbook.steps.homecoming import Home, Homecoming
from runbook.steps.moments import Looking, Moments
from runbook.steps.moving import Bounds, Patience, persistent
from runbook.steps.rolling_out import POLL_S, await_rollout, set_images, still_ours, with_duration
from runbook.verdicts import Evidence, Outcome, Verdict


class TakingOver:
    """images: container -> the new image. Raises `runbook.errors` when it couldn't ask or write."""

    def __init__(self, scene: Scene, one: Divided, images: Mapping[str, str], bounds: Bounds, moments: Moments) -> None:
        self._scene = scene
        self._one = one
        self._images = images
        self._bounds = bounds
        self._moments = moments
        self._cluster = scene.ports.clusters[scene.environment]
        self._clock = scene.ports.clock

    async def whole(self) -> Home:
        stable = await self._cluster.deployment(self._one.workload)
        canary = await self._cluster.deployment(self._one.canary)
        if stable is None:
            source = f"deployment/{self._one.workload}"
            reason = f"the Deployment {self._one.workload} isn't there any more"
            evidence = Evidence(name="deployment", value=None, source=source)
            return self._home(Verdict.failed(self._gate, "workload.missing", reason, evidence))
        if not self._is_new(stable) and (refused := await self._still_has_traffic(stable)):
            return self._home(refused)
        generation = await set_images(self._scene, self._one.workload, self._images)
        if self._one.driver != REPLICAS:
            verdict = await self._rolled_out(stable, canary, generation)
            if verdict.outcome is not Outcome.PASS:
                return self._home(verdict)
        else:
            trouble = await self._pods_of_stable(strength(self._size, canary.replicas if canary else 0))
            if trouble is not None:
                return self._home(trouble)
        home = await self._homecoming().whole()
        return self._named(home) if home.at is not None else home

    def _is_new(self, stable: Deployment) -> bool:
        return all(stable.image_of(container) == image for container, image in self._images.items())

    async def _still_has_traffic(self, stable: Deployment) -> Verdict | None:
        """Before the first write: the canary must have everything, and the router must say so; that alone is waited for."""
        target, clock, patience = (
            self._one.target(strength(self._size, stable.replicas)),
            self._clock,
            Patience(self._scene),
        )
        since = await self._moments.first(f"whole:{self._one.workload}")
        while True:
            share = await patience.ask(f"reading the traffic of {target.workload}", lambda: self._asked(target))
            if share is not None:
                verdict = judge_share(share, WHOLE, target)
                if verdict.outcome is Outcome.PASS:
                    return None
                if share.code:
                    return verdict
                if share.weight != WHOLE:
                    words = f"the canary gets {share_words(share)}"
                    reason = f"stable of {target.workload} still has traffic ({words}): it isn't changed under it"
                    remedy = "Shift all of the traffic to the canary first"
                    return Verdict.failed(self._gate, "traffic.not_whole", reason, *verdict.evidence, remedy=remedy)
                if (clock.now() - since).total_seconds() >= self._bounds.route_timeout_s:
                    return verdict
                self._scene.doing(verdict.reason)
            await clock.sleep_until(clock.now() + timedelta(seconds=POLL_S))

    async def _asked(self, target: TrafficTarget) -> Share:
        share = await self._cluster.share(target)
        return share or Share(None, 0.0, False, f"there is no HTTPRoute {target.route} any more", "no_route")

    async def _rolled_out(self, stable: Deployment, canary: Deployment | None, generation: int) -> Verdict:
        """An autoscaler may have shrunk an idle stable: it gets what it needs for the traffic that comes."""
        name, bounds = self._one.workload, self._bounds
        wanted = strength(self._size, stable.replicas, canary.replicas if canary is not None else 0)
        if wanted > stable.replicas:
            await persistent(self._scene, lambda: self._cluster.scale(name, wanted))
        since = await self._moments.first(f"taking:{name}")
        verdict = await await_rollout(
            self._scene, name, generation, since, bounds.timeout_s, bounds.trouble_within_s
        )  # fmt: skip
        if verdict.outcome is not Outcome.PASS:
            return verdict
        return await still_ours(self._scene, name, self._images) or verdict

    async def _pods_of_stable(self, size: int) -> Verdict | None:
        """By pods: stable gets its own first, and the canary keeps what isn't Available there yet. None when all of it is."""
        name, clock, looking = self._one.workload, self._clock, Looking(self._scene)
        target = self._one.target(size)
        writing, reading = Patience(self._scene), Patience(self._scene)
        troubled: dict[tuple[str, str], datetime] = {}
        while True:
            share = await writing.ask(f"scaling {name}", lambda: self._cluster.set_weight(target, 0))
            rollout = await reading.ask(f"waiting for {name}", lambda: self._cluster.rollout(name))
            now = clock.now()
            if share is not None and rollout is not None:
                since = await self._moments.first(f"taking:{name}")
                verdict = self._judged(with_duration(rollout, troubled, now), (now - since).total_seconds())
                if verdict is not None and (verdict.outcome is not Outcome.PASS or share.weight == 0):
                    return None if verdict.outcome is Outcome.PASS else verdict
                if looking.is_over(since, self._bounds.timeout_s):
                    return judge_share(share, 0, target)
                self._say(share, rollout)
            await clock.sleep_until(now + timedelta(seconds=POLL_S))

    def _judged(self, rollout: Rollout, elapsed_s: float) -> Verdict | None:
        bounds = self._bounds
        if not rollout.observed or rollout.desired < 1:
            return None
        return judge_rollout(self._one.workload, rollout, elapsed_s, bounds.timeout_s, bounds.trouble_within_s)

    def _say(self, share: Share, rollout: Rollout) -> None:
        counts = f"{rollout.available} of {rollout.desired} Available"
        self._scene.doing(f"{self._one.workload} takes over: {counts}, the canary still has {share_words(share)}")

    def _homecoming(self) -> Homecoming:
        return Homecoming(
            self._scene,
            self._one,
            self._images,
            self._moments,
            timeout_s=self._bounds.timeout_s,
            route_timeout_s=self._bounds.route_timeout_s,
            may_be_later=False,
        )

    def _named(self, home: Home) -> Home:
        reason = f"{self._one.workload} runs the new version and has all of its traffic again"
        return Home(
            home.workload, Verdict.passed(self._gate, reason, *home.verdict.evidence), home.at, home.share, home.target
        )

    @property
    def _gate(self) -> str:
        return share_gate(self._one.workload)

    @property
    def _size(self) -> int:
        return remembered_size(self._scene.facts, self._one.workload)

    def _home(self, verdict: Verdict) -> Home:
        return Home(self._one.workload, verdict)

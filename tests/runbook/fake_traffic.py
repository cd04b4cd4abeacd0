"""Traffic and canaries in memory, on simulated time: pods become Available after a while, a router accepts weights after a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.ports import Autoscaler, CanaryOrder, Deployment, PodTrouble, Rollout, Share, TrafficTarget
from runbook.rules.traffic import REPLICAS, Pods, next_replicas, pods_ratio, replicas_for
from tests.fakes.clock import NOON
from tests.runbook.fake_jobs import FakeJobs

LONG_AGO = NOON - timedelta(hours=1)


@dataclass
class FakeRoute:
    """Two weights of one rule. refusal: the router's words while it doesn't accept. accepts_after_s: from a write to its acceptance."""

    stable: int = 100
    canary: int = 0
    set_at: datetime = LONG_AGO
    accepts_after_s: float = 0.3
    refusal: str = ""

    @property
    def weight(self) -> int | None:
        whole = self.stable + self.canary
        return None if self.canary * 100 % whole else self.canary * 100 // whole


@dataclass(frozen=True)
class Write:
    """What changed the cluster. what: `weight web`, `scale web`, `start web-canary`, `remove web-canary`. available: of stable then."""

    at: datetime
    what: str
    number: int = 0
    available: int = 0


@dataclass
class FakeTraffic(FakeJobs):
    """start_s: from a pod's creation until it is Available. sick: image (or Deployment) -> why its pods never are.

    grace_s: how long a deleted canary stays.
    errors (of FakeJobs): also for `deployment`, `share`, `set_weight`, `start_canary`, `scale`, `remove_canary`, `autoscalers`, `set_least`,
    raised in turn. scalers: workload -> its autoscaler, which leaves it no more pods than it must while it has no traffic.
    """

    deployments: dict[str, Deployment] = field(default_factory=dict)
    routes: dict[str, FakeRoute] = field(default_factory=lambda: {"web": FakeRoute()})
    services: dict[str, Mapping[str, str]] = field(
        default_factory=lambda: {
            name: {
                "app": name.removesuffix("-canary"),
                "forge/track": "canary" if name.endswith("-canary") else "stable",
            }
            for name in ("web", "web-canary", "worker", "worker-canary")
        }
    )
    start_s: float = 5.0
    grace_s: float = 2.0
    sick: dict[str, PodTrouble] = field(default_factory=dict)
    pods: dict[str, list[datetime]] = field(default_factory=dict)
    rolled_at: dict[str, datetime] = field(default_factory=dict)
    going: dict[str, datetime] = field(default_factory=dict)
    moved: list[Write] = field(default_factory=list)
    scalers: dict[str, Autoscaler] = field(default_factory=dict)
    away: tuple[float, float] = (0.0, 0.0)
    """From when to when the API gives no answer, in seconds since the beginning."""

    # --- the ports --------------------------------------------------------------------------------------------------

    async def share(self, target: TrafficTarget) -> Share | None:
        self._fail("share")
        self.pass_time()
        if target.driver == REPLICAS:
            return self._by_pods(target, None)
        route = self.routes.get(target.route)
        return None if route is None else self._by_weights(route)

    async def set_weight(self, target: TrafficTarget, weight: int) -> Share:
        self._fail("set_weight")
        self.pass_time()
        if target.driver == REPLICAS:
            self._step(target, weight)
            share = self._by_pods(target, weight)
            assert share is not None
            return share
        route = self.routes.get(target.route)
        if route is None:
            raise Permanent("kubernetes", "no_route", f"there is no HTTPRoute {target.route}")
        if route.weight != weight:
            route.stable, route.canary, route.set_at = 100 - weight, weight, self.clock.now()
            available = self.live(target.workload).available if target.workload in self.deployments else 0
            self.moved.append(Write(self.clock.now(), f"weight {target.workload}", weight, available))
        return self._by_weights(route)

    async def selectors(self, target: TrafficTarget) -> tuple[Mapping[str, str] | None, Mapping[str, str] | None]:
        self._fail("selectors")
        if target.driver == REPLICAS:
            return None, None
        return self.services.get(target.stable_backend), self.services.get(target.canary_backend)

    async def start_canary(self, order: CanaryOrder) -> None:
        self._fail("start_canary")
        self.pass_time()
        found = self.deployments.get(order.canary)
        if found is None:
            self._create(order)
        elif found.marks.get(f"{order.prefix}/run") != order.run or order.canary in self.going:
            raise Conflict("kubernetes", "canary_exists", f"there is already a Deployment {order.canary}")
        elif found.replicas < order.replicas:
            self.resize(order.canary, order.replicas)

    async def scale(self, name: str, replicas: int) -> None:
        self._fail("scale")
        self.pass_time()
        if self.deployments[name].replicas != replicas:
            self.moved.append(Write(self.clock.now(), f"scale {name}", replicas))
            self.resize(name, replicas)

    async def remove_canary(self, name: str, run: str, prefix: str = "forge") -> None:
        self._fail("remove_canary")
        self.pass_time()
        found = self.deployments.get(name)
        if found is not None and found.marks.get(f"{prefix}/run") == run and name not in self.going:
            self.going[name] = self.clock.now()
            self.moved.append(Write(self.clock.now(), f"remove {name}"))

    async def autoscalers(self, workload: str) -> tuple[Autoscaler, ...]:
        self._fail("autoscalers")
        found = self.scalers.get(workload)
        return () if found is None else (found,)

    async def set_least(self, found: Autoscaler, least: int, marks: Mapping[str, str | None]) -> None:
        self._fail("set_least")
        workload = next(name for name, each in self.scalers.items() if each.name == found.name)
        now = self.scalers[workload]
        if now.version != found.version:
            raise Conflict("kubernetes", "conflict", "the object has been modified")
        kept = {name: value for name, value in {**now.marks, **marks}.items() if value is not None}
        self.moved.append(Write(self.clock.now(), f"least {workload}", least))
        self.scalers[workload] = replace(now, least=least, marks=kept, version=f"{now.version}+")
        self.pass_time()

    # --- what goes on in the cluster ----------------------------------------------------------------------------------

    def resize(self, name: str, replicas: int) -> None:
        """As the spec's replicas are changed, by whom ever. The pods that serve longest stay."""
        found = self.deployments[name]
        pods = sorted(self._pods_of(name))[:replicas]
        ready_at = self.clock.now() + timedelta(seconds=self.start_s)
        self.pods[name] = pods + [ready_at] * (replicas - len(pods))
        self.deployments[name] = replace(found, replicas=replicas, generation=found.generation + 1)

    def roll(self, name: str) -> None:
        """Its template has changed: all pods are replaced, one after the other."""
        if self._pods_of(name):
            self.rolled_at[name] = self.clock.now()

    def live(self, name: str) -> Rollout:
        """The counts now, with the troubles of a sick image."""
        found, now = self.deployments[name], self.clock.now()
        trouble = self._trouble_of(found)
        pods = self._pods_of(name)
        wanted = found.replicas
        rolled_at = self.rolled_at.get(name)
        is_rolling = rolled_at is not None and (trouble is not None or self._since(rolled_at) < self.start_s)
        if is_rolling and wanted:
            troubles = (
                () if trouble is None else (replace(trouble, pod=f"{name}-1", since_s=self._since(rolled_at or now)),)
            )
            return Rollout(found.generation, True, wanted, 1, wanted, wanted + 1, troubles=troubles)
        if trouble is not None and wanted:
            return Rollout(
                found.generation, True, wanted, wanted, 0, wanted, troubles=(replace(trouble, pod=f"{name}-1"),)
            )
        available = sum(1 for ready_at in pods if ready_at <= now)
        return Rollout(found.generation, True, wanted, wanted, available, wanted)

    def pass_time(self) -> None:
        for name, told in list(self.going.items()):
            if self._since(told) >= self.grace_s:
                self.going.pop(name)
                self.deployments.pop(name, None)
                self.pods.pop(name, None)
        for workload, scaler in self.scalers.items():
            self._autoscale(workload, scaler)

    def _autoscale(self, workload: str, scaler: Autoscaler) -> None:
        """As a HorizontalPodAutoscaler does: up to its least number of pods always, down to it where nothing asks for more. One without pods is
        left alone."""
        found, route = self.deployments.get(workload), self.routes.get(workload)
        if found is None or not found.replicas:
            return
        is_idle = route is not None and route.weight == 100
        wanted = scaler.least if is_idle else max(scaler.least, found.replicas)
        if wanted != found.replicas:
            self.resize(workload, wanted)

    def fail(self, method: str, *errors: ForgeError) -> None:
        self.errors.setdefault(method, []).extend(errors)

    def _fail(self, method: str) -> None:
        begins, ends = self.away
        if begins <= self._since(NOON) < ends:
            raise Temporary("kubernetes", "unreachable", "the Kubernetes API can't be reached")
        super()._fail(method)

    def _create(self, order: CanaryOrder) -> None:
        stable = self.deployments[order.workload]
        track = {f"{order.prefix}/track": "canary"}
        containers = tuple(replace(c, image=order.images.get(c.name, c.image)) for c in stable.containers)
        marks = {**track, f"{order.prefix}/run": order.run}
        self.deployments[order.canary] = replace(
            stable, name=order.canary, containers=containers, replicas=0, generation=1, annotations=dict(order.annotations),
            labels=track, selector=track, marks=marks,
        )  # fmt: skip
        self.pods[order.canary] = []
        self.moved.append(Write(self.clock.now(), f"start {order.canary}", order.replicas))
        self.resize(order.canary, order.replicas)

    def _pods_of(self, name: str) -> list[datetime]:
        """What was there at the beginning is Available since long ago."""
        return self.pods.setdefault(name, [LONG_AGO] * self.deployments[name].replicas)

    def _trouble_of(self, found: Deployment) -> PodTrouble | None:
        """sick under a Deployment's own name: its next pods, whatever their image."""
        own = self.sick.get(found.name) if found.name in self.rolled_at or not any(self._ready(found.name)) else None
        return own or next((self.sick[c.image] for c in found.containers if c.image in self.sick), None)

    def _ready(self, name: str) -> list[bool]:
        return [ready_at <= self.clock.now() for ready_at in self._pods_of(name)]

    def _since(self, moment: datetime) -> float:
        return (self.clock.now() - moment).total_seconds()

    def _by_weights(self, route: FakeRoute) -> Share:
        places = (("/spec/rules/0/backendRefs/0/weight", "/spec/rules/0/backendRefs/1/weight"),)
        ratio = route.canary / (route.stable + route.canary)
        late = self._since(route.set_at) < route.accepts_after_s
        reason = route.refusal or ("Accepted is about generation 1, the newest is 2" if late else "")
        return Share(route.weight, ratio, not reason, reason, places=places)

    def _step(self, target: TrafficTarget, weight: int) -> None:
        stable, canary = self.live(target.workload), self._canary(target)
        goal = next_replicas(
            weight, target.size, Pods(stable.desired, stable.available), Pods(canary.desired, canary.available)
        )
        for name, have, wanted in (
            (target.workload, stable.desired, goal.stable),
            (target.canary, canary.desired, goal.canary),
        ):
            if have != wanted:
                self.moved.append(Write(self.clock.now(), f"scale {name}", wanted, stable.available + canary.available))
                self.resize(name, wanted)

    def _canary(self, target: TrafficTarget) -> Rollout:
        is_there = target.canary in self.deployments and target.canary not in self.going
        return self.live(target.canary) if is_there else Rollout(0, True, 0, 0, 0, 0)

    def _by_pods(self, target: TrafficTarget, weight: int | None) -> Share | None:
        if target.workload not in self.deployments:
            return None
        stable, canary = self.live(target.workload), self._canary(target)
        end = None if weight is None else replicas_for(weight, target.size)
        reached = end is None or (
            end.canary == canary.desired and stable.desired >= end.stable and (end.stable or not stable.desired)
        )
        if weight is None:
            weight = 0 if not canary.desired else 100 if not stable.desired else None
        there = canary.available >= canary.desired and canary.total == canary.desired and stable.total == stable.desired
        ratio = pods_ratio(stable.available, canary.available)
        accepted = bool(reached and there)
        return Share(weight if reached else None, ratio, accepted, "" if accepted else "pods are on their way")

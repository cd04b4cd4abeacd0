"""The steps that move traffic on a Kubernetes API over HTTP, with controllers, a kubelet and a Gateway whose time runs twenty times as fast."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import pytest

from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster
from runbook.plan import Result, Scene, Work
from runbook.policy import Workload
from runbook.steps import (
    Gate,
    RememberImages,
    RememberSizes,
    RemoveCanary,
    ReturnTraffic,
    ReturnWorkload,
    ShiftTraffic,
    StartCanary,
    TakeOver,
    TrafficDividable,
    divided,
)
from runbook.values import Environment, FrozenImage
from runbook.verdicts import Outcome
from sandbox.faults import Fault
from sandbox.kubernetes import Behaviour, Crash, LocalKubernetes, ScriptedRuntime
from sandbox.kubernetes.server import Received
from tests.integrations.kubernetes.kubernetes_traffic import BETTER, GOOD, SERVICES, deployment, gateway, route
from tests.runbook.fakes import World
from tests.runbook.swift_clock import TIMES, SwiftClock

WORKLOADS = (
    Workload("web", "app", "registry.local/web"),
    Workload("worker", "app", "registry.local/web", traffic="replicas"),
)
TARGETS = tuple(divided(workload) for workload in WORKLOADS)
IMAGES = tuple(FrozenImage(w.name, "app", w.image, "v1.4.0", BETTER.partition("@")[2]) for w in WORKLOADS)
PATIENT_S = 60.0 * TIMES  # here a slow machine is no bad release
QUICK: Any = {"timeout_s": PATIENT_S, "trouble_within_s": PATIENT_S}
START = StartCanary(title="Start", targets=TARGETS, images=IMAGES, weight=5, **QUICK)
TAKE_OVER = TakeOver(title="Take over", targets=TARGETS, images=IMAGES, **QUICK)
BACK = ReturnTraffic(title="Back", targets=TARGETS[::-1], timeout_s=PATIENT_S)
REMOVE = RemoveCanary(title="Remove", targets=TARGETS[::-1], timeout_s=PATIENT_S)


def shift(weight: int) -> ShiftTraffic:
    return ShiftTraffic(title=f"Shift {weight} %", targets=TARGETS, weight=weight, **QUICK)


@dataclass
class Release:
    """A run's steps with the facts that they record."""

    scene: Scene
    kubernetes: LocalKubernetes
    facts: dict[str, Any] = field(default_factory=dict)

    async def perform(self, step: Work) -> Result:
        self.scene = replace(self.scene, index=self.scene.index + 1)
        now = self.scene.ports.clock.now()
        result = await step.perform(replace(self.scene, facts=dict(self.facts), begun_at=now))
        self.facts.update(result.facts)
        return result

    async def passes(self, *steps: Work) -> None:
        for step in steps:
            result = await self.perform(step)
            assert result.outcome is Outcome.PASS, result.verdicts

    def weights(self) -> list[list[int]]:
        found = self.kubernetes.get("HTTPRoute", "shop", "web")
        assert found is not None
        return [[ref["weight"] for ref in rule["backendRefs"]] for rule in found["spec"]["rules"]]

    def running(self) -> dict[str, tuple[int, str]]:
        return {
            found["metadata"]["name"]: (
                found["spec"]["replicas"],
                found["spec"]["template"]["spec"]["containers"][0]["image"],
            )
            for found in self.kubernetes.list("Deployment", "shop")
        }


@pytest.fixture
def runtime() -> ScriptedRuntime:
    return ScriptedRuntime()


@pytest.fixture
async def kubernetes(runtime: ScriptedRuntime) -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(runtime=runtime, time_scale=0.05)
    await local.start()
    for manifest in (gateway(), *SERVICES, route(), deployment(), deployment("worker")):
        local.apply(manifest)
    yield local
    await local.stop()


@pytest.fixture
async def release(kubernetes: LocalKubernetes) -> AsyncIterator[Release]:
    """Everything before the first effect has passed."""
    cluster = KubernetesCluster(Direct(kubernetes.url), "shop", limits=Limits())
    clock, world = SwiftClock(), World()
    ports = replace(world.ports, clock=clock, clusters={Environment.STAGING: cluster})
    release = Release(replace(world.scene(), ports=ports, run="prod-7"), kubernetes)
    await release.passes(
        Gate(title="Dividable", checks=(TrafficDividable(WORKLOADS),), patience_s=PATIENT_S, every_s=0.5),
        RememberImages(title="Images", workloads=WORKLOADS),
        RememberSizes(title="Sizes", workloads=WORKLOADS),
    )
    yield release
    await cluster.aclose()


async def test_a_version_gets_its_shares_and_becomes_stable(release: Release) -> None:
    await release.passes(START, shift(5), shift(25))
    assert release.weights() == [[7], [75, 25, 3], [25, 75]]
    await release.passes(shift(100))
    assert release.running() == {
        "web": (3, GOOD), "web-canary": (3, BETTER), "worker": (0, GOOD), "worker-canary": (3, BETTER),
    }  # fmt: skip
    await release.passes(TAKE_OVER, REMOVE)
    assert release.running() == {"web": (3, BETTER), "worker": (3, BETTER)}
    assert release.weights() == [[7], [100, 0, 3], [0, 100]]


def check_at_once(asked: Sequence[Received]) -> None:
    """Before the first change of the route nothing else was changed, and nothing was looked at again and again: nothing was waited for.

    That this takes less than a second is for simulated time to say. asked: since the decision.
    """
    before = list(takewhile(lambda each: each.method == "GET", asked))
    changed = asked[len(before)]
    assert (changed.method, "/httproutes/" in changed.path) == ("PATCH", True), changed
    assert max(Counter(each.path for each in before).values(), default=0) <= 2, before


async def test_scenario_16_weight_0_is_the_first_thing_after_the_decision(
    release: Release, kubernetes: LocalKubernetes
) -> None:
    await release.passes(START, shift(5))
    decided = len(kubernetes.requests)
    release.facts["decided_at"] = release.scene.ports.clock.now().isoformat()
    await release.passes(BACK, REMOVE)
    check_at_once(kubernetes.requests[decided:])
    assert release.facts["weight_zero"]["web"]["seconds"] > 0
    assert release.running() == {"web": (3, GOOD), "worker": (3, GOOD)}


async def test_scenario_16_a_shrunk_stable_gets_what_it_can_carry_and_the_rest_later(
    release: Release, kubernetes: LocalKubernetes
) -> None:
    await release.passes(START, shift(100))
    idle = kubernetes.get("Deployment", "shop", "web")
    assert idle is not None
    idle["spec"]["replicas"] = 1
    kubernetes.apply(idle)
    seen: list[int] = []

    def watch(kind: str, obj: dict[str, Any]) -> None:
        if obj["kind"] == "HTTPRoute":
            seen.append(obj["spec"]["rules"][1]["backendRefs"][1]["weight"])

    kubernetes.on_change(watch)
    await release.passes(BACK)
    assert next(weight for weight in seen if weight != 100) == 67
    assert seen[-1] == 0
    assert release.running()["web"] == (3, GOOD)


async def test_scenario_17_foreign_rules_and_a_conflict_leave_everything_else_as_it_was(
    release: Release, kubernetes: LocalKubernetes
) -> None:
    before = kubernetes.get("HTTPRoute", "shop", "web")
    assert before is not None
    kubernetes.faults.add(Fault(method="PATCH", path="/httproutes/", status=409, times=3))
    await release.passes(START, shift(5))
    after = kubernetes.get("HTTPRoute", "shop", "web")
    assert after is not None
    wanted = copy.deepcopy(before["spec"])
    for rule, stable, canary in ((1, 0, 1), (2, 1, 0)):
        wanted["rules"][rule]["backendRefs"][stable]["weight"] = 95
        wanted["rules"][rule]["backendRefs"][canary]["weight"] = 5
    assert after["spec"] == wanted


async def test_scenario_15_a_canary_that_crash_loops_is_told_in_its_own_words(
    release: Release, runtime: ScriptedRuntime
) -> None:
    runtime.set(BETTER, Behaviour(crash=Crash(2, "Error", "no such table: orders", 0.5), ready=False))
    result = await release.perform(replace(START, trouble_within_s=3.0 * TIMES))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.FAIL, "rollout.crash_loop")
    assert "no such table: orders" in result.verdicts[0].reason
    assert release.weights()[1][1] == 0
    await release.passes(REMOVE)
    assert set(release.running()) == {"web", "worker"}


async def test_a_router_that_is_unwilling_holds_the_shift_in_its_words(
    release: Release, kubernetes: LocalKubernetes
) -> None:
    await release.passes(START)
    kubernetes.gateway.refuse("UnsupportedValue", "this weight is not supported")
    result = await release.perform(replace(shift(5), route_timeout_s=3.0 * TIMES))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.NO_DATA, "traffic.not_accepted")
    assert "this weight is not supported" in result.verdicts[0].reason
    kubernetes.gateway.heal()
    await release.passes(BACK, REMOVE)


async def test_a_take_over_that_failed_goes_back_image_first_and_traffic_after_it(
    release: Release, runtime: ScriptedRuntime
) -> None:
    await release.passes(START, shift(100))
    runtime.set(BETTER, Behaviour(ready=False))
    assert (await release.perform(replace(TAKE_OVER, trouble_within_s=3.0 * TIMES))).outcome is Outcome.FAIL
    await release.passes(
        BACK,
        *(
            ReturnWorkload(title=w.name, workload=w.name, images=(("app", GOOD),), timeout_s=PATIENT_S)
            for w in WORKLOADS
        ),
        BACK,
        REMOVE,
    )
    assert release.running() == {"web": (3, GOOD), "worker": (3, GOOD)}
    assert release.weights() == [[7], [100, 0, 3], [0, 100]]


async def test_what_is_not_ready_for_a_canary_is_told_before_anything_changes(
    release: Release, kubernetes: LocalKubernetes
) -> None:
    kubernetes.apply(deployment("web-canary"))
    bare = route({"backendRefs": [{"name": "web", "port": 8080}]})
    kubernetes.apply(bare)
    result = await release.perform(Gate(title="Dividable", checks=(TrafficDividable(WORKLOADS),)))
    assert [v.code for v in result.verdicts] == ["traffic.canary_exists", "traffic.no_backend", "ok"]
    assert "- {name: web-canary, port: 8080, weight: 0}" in result.verdicts[1].remedy


def scaler() -> dict[str, Any]:
    goal = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metadata = {"name": "web", "namespace": "shop"}
    spec = {"scaleTargetRef": goal, "minReplicas": 1, "maxReplicas": 6}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def least(kubernetes: LocalKubernetes) -> tuple[int, dict[str, str]]:
    found = kubernetes.get("HorizontalPodAutoscaler", "shop", "web")
    assert found is not None
    return found["spec"]["minReplicas"], found["metadata"].get("annotations") or {}


async def test_scenario_16_an_autoscaler_can_not_shrink_stable_while_the_canary_has_the_traffic(
    release: Release, kubernetes: LocalKubernetes
) -> None:
    kubernetes.apply(scaler())
    await release.passes(START, shift(5), shift(100))
    assert least(kubernetes)[0] == 3
    assert kubernetes.autoscaling.ask_for("shop", "web", 1) == 3
    decided = len(kubernetes.requests)
    await release.passes(BACK)
    check_at_once(kubernetes.requests[decided:])
    await release.passes(REMOVE)
    assert least(kubernetes) == (1, {})
    assert release.running()["web"] == (3, GOOD)


async def test_after_the_take_over_the_autoscaler_is_as_it_was(release: Release, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(scaler())
    await release.passes(START, shift(25), shift(100), TAKE_OVER)
    assert least(kubernetes) == (1, {})
    assert release.running() == {"web": (3, BETTER), "worker": (3, BETTER)}

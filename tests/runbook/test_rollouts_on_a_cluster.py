"""The workload steps on a Kubernetes API over HTTP, with controllers and a kubelet whose time runs twenty times as fast."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster
from runbook.plan import Scene
from runbook.policy import HealthPaths, Workload
from runbook.steps import Deployable, DeployWorkload, Gate, RememberImages, ReturnWorkload
from runbook.values import Environment, FrozenImage
from runbook.verdicts import Outcome
from sandbox.kubernetes import Behaviour, Crash, LocalKubernetes, ScriptedRuntime
from tests.runbook.fakes import World, digest
from tests.runbook.swift_clock import TIMES, SwiftClock

WEB = Workload("web", "app", "registry.local/web")
OLD, NEW = f"registry.local/web@{digest('a')}", f"registry.local/web@{digest('b')}"
DEPLOY = DeployWorkload(
    title="Deploy web", image=FrozenImage("web", "app", WEB.image, "v1.0.0-rc.1", digest("b")),
    timeout_s=60.0 * TIMES, trouble_within_s=3.0 * TIMES,
)  # fmt: skip


def manifest(**container: Any) -> dict[str, Any]:
    app = {
        "name": "app",
        "image": OLD,
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health/live", "port": 8080}, "periodSeconds": 2},
        **container,
    }
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [app]}},
        },
    }


@pytest.fixture
def runtime() -> ScriptedRuntime:
    return ScriptedRuntime()


@pytest.fixture
async def kubernetes(runtime: ScriptedRuntime) -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(runtime=runtime, time_scale=0.05)
    await local.start()
    local.apply(manifest())
    yield local
    await local.stop()


@pytest.fixture
async def scene(kubernetes: LocalKubernetes) -> AsyncIterator[Scene]:
    cluster = KubernetesCluster(Direct(kubernetes.url), "shop", limits=Limits())
    clock, world = SwiftClock(), World()
    ports = replace(world.ports, clock=clock, clusters={Environment.STAGING: cluster})
    yield replace(world.scene(), ports=ports, begun_at=clock.now())
    await cluster.aclose()


async def test_a_candidate_is_deployed_and_the_previous_image_comes_back(
    scene: Scene, kubernetes: LocalKubernetes
) -> None:
    gate = Gate(title="Workloads deployable", checks=(Deployable((WEB,), HealthPaths()),))
    assert (await gate.perform(scene)).outcome is Outcome.PASS
    remembered = await RememberImages(title="Remember", workloads=(WEB,)).perform(scene)
    assert remembered.facts["previous"] == {"web": {"app": OLD}}

    deploy = replace(DEPLOY, trouble_within_s=60.0 * TIMES)  # patient: here a slow machine is no bad release
    assert (await deploy.perform(scene)).outcome is Outcome.PASS
    found = kubernetes.get("Deployment", "shop", "web")
    assert found is not None
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == NEW
    assert found["spec"]["template"]["metadata"]["annotations"] == {
        "forge/run": "staging-12",
        "forge/step": "staging-12/3",
    }
    assert found["metadata"]["generation"] == 2

    assert (await deploy.perform(scene)).outcome is Outcome.PASS
    again = kubernetes.get("Deployment", "shop", "web")
    assert again is not None
    assert again["metadata"]["generation"] == 2

    back = ReturnWorkload(title="Return web", workload="web", images=(("app", OLD),), timeout_s=60.0 * TIMES)
    assert (await back.perform(scene)).outcome is Outcome.PASS


async def test_a_crash_loop_is_told_in_the_container_s_own_words(scene: Scene, runtime: ScriptedRuntime) -> None:
    runtime.set(NEW, Behaviour(crash=Crash(2, "Error", "no such table: orders", 0.5), ready=False))
    (verdict,) = (await DEPLOY.perform(scene)).verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "rollout.crash_loop")
    assert "no such table: orders" in verdict.reason


async def test_a_pod_that_never_becomes_ready_is_told_by_its_probe(scene: Scene, runtime: ScriptedRuntime) -> None:
    runtime.set(NEW, Behaviour(ready=False))
    (verdict,) = (await DEPLOY.perform(scene)).verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "rollout.not_ready")
    assert "Readiness probe failed" in verdict.reason


async def test_an_image_that_is_not_there_is_told_as_such(scene: Scene, runtime: ScriptedRuntime) -> None:
    runtime.set(NEW, Behaviour(pull="not_found"))
    (verdict,) = (await DEPLOY.perform(scene)).verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "rollout.image_pull")


async def test_a_deployment_without_probes_is_refused_with_the_remedy(
    scene: Scene, kubernetes: LocalKubernetes
) -> None:
    other = manifest(livenessProbe={"httpGet": {"path": "/", "port": 8080}})
    del other["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    kubernetes.apply(other)
    gate = Gate(title="Workloads deployable", checks=(Deployable((WEB,), HealthPaths()),))
    result = await gate.perform(scene)
    assert [v.code for v in result.verdicts] == ["workload.probe_path", "workload.no_probe"]
    assert all("httpGet" in v.remedy for v in result.verdicts)

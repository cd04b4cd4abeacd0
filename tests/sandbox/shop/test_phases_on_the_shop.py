"""A canary beside stable in the sandbox's shop, judged by the product's own checks on the shipped rules: each track by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.prometheus import PrometheusMetrics
from integrations.prometheus.rules import rules_text
from runbook.plan import Scene
from runbook.policy import OBSERVED, BurnPolicy, MetricsPolicy, Policy, ProdPolicy
from runbook.series import Windows
from runbook.steps import ErrorBudgetBurn, PhaseErrors, PhaseLatency, PhaseSample, Saturation
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict, decided
from sandbox.cluster_metrics import ClusterMetrics
from sandbox.kubernetes import LocalKubernetes
from sandbox.prometheus import LocalPrometheus, Target
from sandbox.serving import until
from sandbox.shop import Shop, Spoil
from tests.fakes.clock import SimulatedClock
from tests.runbook.fakes import World

WINDOWS = Windows("5s", "1d", "30d")
POLICY = Policy(metrics=MetricsPolicy(fast="3s"), prod=ProdPolicy(burn=BurnPolicy("20s", "10s", 14.4)))
WEIGHT = 50
SAMPLE = PhaseSample("shop", WEIGHT, "5s", 30)
ERRORS = PhaseErrors("shop", WEIGHT, "5s", 0.05, 30)
LATENCY = PhaseLatency("shop", WEIGHT, "5s", 1.0, 4.0, 30)
BURN = ErrorBudgetBurn("shop", "20s", "10s", 14.4, 0.999, "5s")
SATURATION = Saturation("shop", WEIGHT, WINDOWS, OBSERVED)


def deployment(name: str, track: str, version: str) -> dict[str, Any]:
    readiness = {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1}
    container = {"name": "web", "image": f"registry.test/acme/web:{version}", "readinessProbe": readiness}
    known = {"app": "web", "forge/track": track}
    labels = {**known, "forge/service": "shop", "forge/env": "staging"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "staging", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": known}, "template": template},
    }


@dataclass
class Place:
    shop: Shop
    prometheus: LocalPrometheus
    metrics: PrometheusMetrics
    begun: datetime

    def scene(self) -> Scene:
        ports = replace(
            World().ports, clock=SimulatedClock(datetime.now(UTC)), metrics={Environment.STAGING: self.metrics}
        )
        return replace(World().scene({"shifted": {str(WEIGHT): self.begun.isoformat()}}), ports=ports)

    async def until_decided(self, check: Any, outcome: Outcome) -> tuple[Verdict, ...]:
        """Asked again as a gate does, until it says so."""
        verdicts: tuple[Verdict, ...] = ()

        async def says_so() -> bool:
            nonlocal verdicts
            verdicts, _ = await check.ask(self.scene())
            return decided(verdicts) is outcome

        try:
            await until(says_so, 60, check.kind, every_s=0.5)
        except (AssertionError, TimeoutError):
            raise AssertionError([(v.gate, v.code, v.reason) for v in verdicts]) from None
        return verdicts


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    shop = Shop(environments=("staging",))
    await shop.start()
    cluster = LocalKubernetes(runtime=shop.runtime, time_scale=0.05)
    await cluster.start()
    told = ClusterMetrics(lambda: cluster.list("Deployment"), pods=lambda: cluster.list("Pod"), usage=shop.usage)
    await told.start()
    cluster.apply(deployment("web", "stable", "v1"))
    cluster.apply(deployment("web-canary", "canary", "v2"))
    shop.endpoint("staging", "web").weights = {"stable": 100 - WEIGHT, "canary": WEIGHT}
    traffic = shop.traffic("staging", requests_per_s=60)
    await traffic.start()
    address, path = shop.metrics_target("staging")
    targets: list[str | Target] = [Target(address, path=path), told.url.removeprefix("http://")]
    prometheus = LocalPrometheus(targets, rules_text("5s", "1s", policy=POLICY))
    metrics = None
    try:
        await prometheus.start()
        metrics = PrometheusMetrics(prometheus.url)
        yield Place(shop, prometheus, metrics, datetime.now(UTC))
    finally:
        if metrics is not None:
            await metrics.aclose()
        await traffic.stop()
        await prometheus.discard()
        await told.stop()
        await cluster.stop()
        await shop.stop()


async def test_a_good_canary_passes_and_a_bad_one_fails_beside_a_good_stable(place: Place) -> None:
    (sample,) = await place.until_decided(SAMPLE, Outcome.PASS)
    assert sample.evidence[0].value is not None
    for check in (ERRORS, LATENCY, BURN, SATURATION):
        await place.until_decided(check, Outcome.PASS)
    tracks = {labels["track"] for labels, _ in await place.prometheus.query("forge:request_rate:3s")}
    assert tracks == {"stable", "canary"}

    place.shop.spoil("v2", Spoil(error_ratio=0.9, memory_ratio=0.95))
    (failed,) = await place.until_decided(ERRORS, Outcome.FAIL)
    assert failed.code == "phase.error_ratio"
    burn = await place.until_decided(BURN, Outcome.FAIL)
    assert burn[0].code == "burn.too_fast"
    place.begun = datetime.now(UTC)  # the mean of the time before would hide it
    saturated = await place.until_decided(SATURATION, Outcome.FAIL)
    assert [v.code for v in saturated if v.outcome is Outcome.FAIL] == ["key_metrics.memory_working_set_ratio"]
    ratios = await place.prometheus.query('forge:memory_working_set_ratio:5s{track="stable"}')
    assert ratios[0][1] == pytest.approx(0.3)
    fast = {labels["track"]: value for labels, value in await place.prometheus.query("forge:error_rate:3s")}
    assert fast["canary"] > 0 == fast["stable"]

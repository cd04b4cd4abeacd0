"""The recording rules that the product ships, evaluated by the real Prometheus on the sandbox's shop and cluster."""

from collections.abc import Callable
from typing import Any

from integrations.prometheus.rules import rules_text
from sandbox.cluster_metrics import ClusterMetrics
from sandbox.kubernetes import LocalKubernetes
from sandbox.prometheus import LocalPrometheus, Target
from sandbox.serving import until
from sandbox.shop import Shop, Spoil

WANTED: dict[str, Callable[[float], bool]] = {
    "forge:request_rate:8s": lambda value: value > 1,
    "forge:error_ratio:8s": lambda value: 0.1 < value < 0.5,
    "forge:latency_p95_seconds:8s": lambda value: 0 < value < 0.4,
    "forge:readiness_ratio:8s": lambda value: value == 1,
}


def deployment(workload: str) -> dict[str, Any]:
    readiness = {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1}
    container = {"name": workload, "image": f"registry.test/acme/{workload}:v1", "readinessProbe": readiness}
    template = {"metadata": {"labels": {"app": workload}}, "spec": {"containers": [container]}}
    labels = {"app": workload, "forge/service": "shop", "forge/env": "staging"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": workload, "namespace": "staging", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": workload}}, "template": template},
    }


async def test_the_shipped_rules_measure_the_shop() -> None:
    shop = Shop(environments=("staging",))
    await shop.start()
    cluster = LocalKubernetes(runtime=shop.runtime, time_scale=0.05)
    await cluster.start()
    metrics = ClusterMetrics(lambda: cluster.list("Deployment"))
    await metrics.start()
    for workload in shop.workloads:
        cluster.apply(deployment(workload))
    shop.spoil("v1", Spoil(error_ratio=0.25))
    traffic = shop.traffic("staging", requests_per_s=20)
    await traffic.start()
    address, path = shop.metrics_target("staging")
    targets: list[str | Target] = [Target(address, path=path), metrics.url.removeprefix("http://")]
    prometheus = LocalPrometheus(targets, rules_text("8s", "1s"))

    async def measured(metric: str) -> float | None:
        found = await prometheus.query(f'{metric}{{service="shop", env="staging", track="stable"}}')
        assert len(found) < 2
        return found[0][1] if found else None

    async def everything() -> bool:
        values = {metric: await measured(metric) for metric in WANTED}
        return all(value is not None and WANTED[metric](value) for metric, value in values.items())

    async def nobody_ready() -> bool:
        return await measured("forge:readiness_ratio:8s") == 0

    try:
        await prometheus.start()
        await until(everything, 40, "every shipped metric has its value", every_s=0.2)
        shop.spoil("v1", Spoil(never_ready=True))
        await until(nobody_ready, 20, "nobody is ready", every_s=0.2)
    finally:
        await traffic.stop()
        await prometheus.discard()
        await metrics.stop()
        await cluster.stop()
        await shop.stop()

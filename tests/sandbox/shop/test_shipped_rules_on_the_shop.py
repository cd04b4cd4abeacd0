"""The recording rules that the product ships, evaluated by the real Prometheus on the sandbox's shop and cluster."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from integrations.prometheus.rules import rules_text
from runbook.policy import MetricsPolicy, Policy, Threshold
from runbook.series import METRICS, Windows, recorded_as
from sandbox.cluster_metrics import ClusterMetrics
from sandbox.kubernetes import LocalKubernetes
from sandbox.prometheus import LocalPrometheus, Target
from sandbox.serving import until
from sandbox.shop import Shop, Spoil

WINDOWS = Windows("8s", "1d", "30d")
QUICK = Policy(
    warning=(Threshold("time-outs", "dependency_timeout_ratio", True, 0.05, 1.0),),
    critical=(Threshold("error rate", "error_ratio", True, 0.03, 1.0),),
    metrics=MetricsPolicy(queue_lag_for_s=1.0),
)
Expected = Callable[[float], bool]
CALM: dict[str, Expected] = {
    "request_rate": lambda value: value > 5,
    "error_rate": lambda value: value == 0,
    "error_ratio": lambda value: value == 0,
    "latency_p50_seconds": lambda value: 0 < value < 0.4,
    "latency_p95_seconds": lambda value: 0 < value < 0.4,
    "latency_p99_seconds": lambda value: 0 < value < 0.4,
    "readiness_ratio": lambda value: value == 1,
    "availability_ratio": lambda value: value == 1,
    "core_transaction_rate": lambda value: value > 1,
    "core_transaction_success_ratio": lambda value: value == 1,
    "queue_depth": lambda value: value < 5,
    "queue_lag_seconds": lambda value: value < 1,
    "job_success_rate": lambda value: value > 1,
    "job_failure_rate": lambda value: value == 0,
    "job_failure_ratio": lambda value: value == 0,
    "dependency_request_rate": lambda value: value > 5,
    "dependency_timeout_ratio": lambda value: value == 0,
    "cpu_utilization_ratio": lambda value: 0 < value < 0.2,
    "memory_working_set_ratio": lambda value: value == pytest.approx(0.3),
    "memory_working_set_bytes": lambda value: value > 10_000_000,
    "oom_kills": lambda value: value == 0,
    "container_restarts": lambda value: value == 0,
    "disk_io_latency_seconds": lambda value: 0.001 < value < 0.003,
    "disk_io_saturation_ratio": lambda value: 0.04 < value < 0.16,
    "network_retransmit_ratio": lambda value: 0.0005 < value < 0.002,
    "network_timeout_rate": lambda value: value < 0.1,
    "postgres_connection_ratio": lambda value: value == pytest.approx(0.19),
    "postgres_replication_lag_seconds": lambda value: value == 0,
    "postgres_deadlock_rate": lambda value: value == 0,
    "postgres_slow_queries": lambda value: value == 0,
    "postgres_lock_waits": lambda value: value == 0,
    "postgres_wal_growth_bytes_per_second": lambda value: value == 0,
    "postgres_checkpoint_duration_seconds": lambda value: value == 0,
    "queue_lag_baseline_seconds": lambda value: value < 1,
    "dependency_timeout_baseline_ratio": lambda value: value == 0,
}
SPOILT: dict[str, Expected] = {
    "error_ratio": lambda value: 0.1 < value < 0.5,
    "core_transaction_success_ratio": lambda value: 0.3 < value < 0.7,
    "queue_depth": lambda value: value > 5,
    "queue_lag_seconds": lambda value: value > 3,
    "dependency_timeout_ratio": lambda value: 0.2 < value < 0.4,
    "memory_working_set_ratio": lambda value: value == pytest.approx(0.95),
}


def deployment(workload: str, version: str = "v1") -> dict[str, Any]:
    readiness = {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1}
    container = {"name": workload, "image": f"registry.test/acme/{workload}:{version}", "readinessProbe": readiness}
    labels = {"app": workload, "forge/service": "shop", "forge/env": "staging"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": workload, "namespace": "staging", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": workload}}, "template": template},
    }


@dataclass
class Measured:
    shop: Shop
    cluster: LocalKubernetes
    metrics: ClusterMetrics
    prometheus: LocalPrometheus

    async def value(self, metric: str) -> float | None:
        name = recorded_as(metric, WINDOWS)
        found = await self.prometheus.query(f'{name}{{service="shop", env="staging", track="stable"}}')
        assert len(found) < 2
        return found[0][1] if found else None

    async def alerts(self) -> set[tuple[str, str]]:
        """Names and severities of those that fire for the shop."""
        found = await self.prometheus.query(
            'ALERTS{alertstate="firing", service="shop", env="staging", track="stable"}'
        )
        return {(labels["alertname"], labels["severity"]) for labels, _ in found}

    async def wait(self, wanted: Mapping[str, Expected], what: str) -> None:
        values: dict[str, float | None] = {}

        async def everything() -> bool:
            values.update({metric: await self.value(metric) for metric in wanted})
            return not self.wrong(values, wanted)

        try:
            await until(everything, 60, what, every_s=0.3)
        except (AssertionError, TimeoutError):
            raise AssertionError(f"{what}: {self.wrong(values, wanted)}") from None

    def wrong(self, values: Mapping[str, float | None], wanted: Mapping[str, Expected]) -> dict[str, float | None]:
        return {metric: value for metric, value in values.items() if value is None or not wanted[metric](value)}


@pytest.fixture
async def measured() -> AsyncIterator[Measured]:
    shop = Shop(environments=("staging",))
    await shop.start()
    cluster = LocalKubernetes(runtime=shop.runtime, time_scale=0.05)
    await cluster.start()
    metrics = ClusterMetrics(lambda: cluster.list("Deployment"), pods=lambda: cluster.list("Pod"), usage=shop.usage)
    await metrics.start()
    for workload in shop.workloads:
        cluster.apply(deployment(workload))
    traffic = shop.traffic("staging", requests_per_s=20)
    await traffic.start()
    address, path = shop.metrics_target("staging")
    targets: list[str | Target] = [Target(address, path=path), metrics.url.removeprefix("http://")]
    prometheus = LocalPrometheus(targets, rules_text("8s", "1s", policy=QUICK))
    try:
        await prometheus.start()
        yield Measured(shop, cluster, metrics, prometheus)
    finally:
        await traffic.stop()
        await prometheus.discard()
        await metrics.stop()
        await cluster.stop()
        await shop.stop()


async def test_the_shipped_rules_measure_every_metric_of_the_shop(measured: Measured) -> None:
    assert set(CALM) == set(METRICS)
    await measured.wait(CALM, "every metric has the value of a calm shop")
    assert ("ForgeErrorRateHigh", "critical") not in await measured.alerts()
    spoil = Spoil(
        error_ratio=0.1, order_error_ratio=0.5, dependency_timeout_ratio=0.3, queue_backlog=True, memory_ratio=0.95
    )
    measured.shop.spoil("v1", spoil)
    await measured.wait(SPOILT, "every fault is measured")
    expected = {
        ("ForgeErrorRateHigh", "critical"),
        ("ForgeDependencyTimeoutRatioHigh", "warning"),
        ("ForgeQueueLagAboveBaseline", "warning"),
    }

    async def firing() -> bool:
        return expected <= await measured.alerts()

    await until(firing, 60, "the alerts fire", every_s=0.3)
    measured.shop.spoil("v1", Spoil(job_failure_ratio=0.5))
    measured.metrics.node.disk_latency_s = 0.5
    failing: dict[str, Expected] = {
        "job_failure_ratio": lambda value: 0.3 < value < 0.7,
        "queue_lag_seconds": lambda value: value < 1,
        "disk_io_latency_seconds": lambda value: value > 0.3,
    }
    await measured.wait(failing, "the queue is worked off, and jobs fail")


async def test_slow_queries_lock_waits_checkpoints_and_a_growing_log_are_measured(measured: Measured) -> None:
    names = (
        "postgres_slow_queries", "postgres_lock_waits", "postgres_wal_growth_bytes_per_second",
        "postgres_checkpoint_duration_seconds",
    )  # fmt: skip
    calm = {name: CALM[name] for name in names}
    await measured.wait(calm, "the database is calm")
    database = measured.shop.meters["staging"].database
    database.run_slowly("staging", 3, waiting=True)
    database.grow_wal("staging", 4)
    database.checkpoint("staging", write_s=42.0, sync_s=0.5)
    busy: dict[str, Expected] = {
        "postgres_slow_queries": lambda value: value == 3,
        "postgres_lock_waits": lambda value: value == 3,
        "postgres_wal_growth_bytes_per_second": lambda value: value > 4_000_000,
        "postgres_checkpoint_duration_seconds": lambda value: value == pytest.approx(42.5),
    }
    await measured.wait(busy, "what the database does is measured")
    database.run_slowly("staging", 0)
    database.call("staging", calls=5, each_s=2.0, queryid="7002")
    await measured.wait(calm, "afterwards it is calm again")
    database.call("staging", calls=2, each_s=2.0, queryid="7002")
    ended: dict[str, Expected] = {"postgres_slow_queries": lambda value: value > 10}
    await measured.wait(ended, "queries that ended are counted by the minute")


async def test_containers_out_of_memory_and_pods_that_are_not_ready_are_measured(measured: Measured) -> None:
    calm = {name: CALM[name] for name in ("readiness_ratio", "container_restarts", "oom_kills")}
    await measured.wait(calm, "all is calm")
    measured.shop.spoil("v1", Spoil(never_ready=True))
    await measured.wait({"readiness_ratio": lambda value: value == 0}, "nobody is ready")
    measured.shop.heal("v1")
    measured.shop.spoil("v2", Spoil(memory_ratio=1.0))
    measured.cluster.apply(deployment("web", "v2"))
    killed: dict[str, Expected] = {"container_restarts": lambda value: value > 1, "oom_kills": lambda value: value > 1}
    await measured.wait(killed, "containers are killed for their memory and start again")

"""What the stand-in for kube-state-metrics, cAdvisor and node_exporter tells of a cluster's objects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.cluster_metrics import ClusterMetrics
from sandbox.shop.shop import Usage

POD: dict[str, Any] = {
    "metadata": {
        "namespace": "staging",
        "name": "web-1",
        "labels": {"forge/service": "shop", "forge/env": "staging", "secret": "hush"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web"}],
    },
    "spec": {
        "nodeName": "n1",
        "containers": [
            {"name": "web", "image": "web:1", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}},
            {"name": "proxy", "image": "proxy:1", "resources": {"limits": {"cpu": "a lot"}}},
        ],
    },
    "status": {
        "hostIP": "10.0.0.1",
        "containerStatuses": [
            {"name": "web", "restartCount": 3, "lastState": {"terminated": {"reason": "OOMKilled"}}},
            {"name": "proxy", "restartCount": 0, "lastState": {}},
        ],
    },
}
PENDING: dict[str, Any] = {
    "metadata": {"namespace": "staging", "name": "load-1", "ownerReferences": [{"kind": "Job", "name": "load"}]},
    "spec": {"containers": [{"name": "load", "image": "load:1"}]},
}


@pytest.fixture
async def told() -> AsyncIterator[ClusterMetrics]:
    made = ClusterMetrics(
        tuple, pods=lambda: (POD, PENDING), usage=lambda pod: Usage(12.5, 0.5) if pod is POD else None
    )
    await made.start()
    yield made
    await made.stop()


async def samples(told: ClusterMetrics, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    async with aiohttp.ClientSession(told.url) as session, session.get("/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels[label] for label in labels): sample.value for sample in found}


async def test_pods_are_told_with_allowed_labels_their_node_and_their_owner(told: ClusterMetrics) -> None:
    assert await samples(told, "kube_pod_labels", "pod", "label_forge_service", "label_forge_track") == {
        ("web-1", "shop", ""): 1,
        ("load-1", "", ""): 1,
    }
    assert set(await samples(told, "kube_pod_info", "pod", "node", "created_by_kind")) == {
        ("web-1", "n1", "ReplicaSet"),
        ("load-1", "", "Job"),
    }


async def test_restarts_and_the_reason_of_the_last_end_are_told(told: ClusterMetrics) -> None:
    assert await samples(told, "kube_pod_container_status_restarts_total", "container") == {("web",): 3, ("proxy",): 0}
    reasons = await samples(told, "kube_pod_container_status_last_terminated_reason", "container", "reason")
    assert reasons == {("web", "OOMKilled"): 1}


async def test_limits_are_read_as_kubernetes_writes_them_else_they_are_the_namespaces(told: ClusterMetrics) -> None:
    limits = await samples(told, "kube_pod_container_resource_limits", "container", "resource")
    assert (limits["web", "cpu"], limits["web", "memory"]) == (0.5, 2**30)
    assert (limits["proxy", "cpu"], limits["load", "memory"]) == (1.0, 256 * 2**20)
    assert await samples(told, "container_cpu_usage_seconds_total", "pod") == {("web-1",): 12.5}
    assert await samples(told, "container_memory_working_set_bytes", "pod") == {("web-1",): 2**29}


async def test_the_nodes_counters_grow_as_fast_as_they_are_told_to(told: ClusterMetrics) -> None:
    assert await samples(told, "node_uname_info", "nodename") == {("n1",): 1}
    told.node.disk_operations, told.node.disk_latency_s = 1e6, 0.25
    before = await samples(told, "node_disk_reads_completed_total", "device")
    after = await samples(told, "node_disk_reads_completed_total", "device")
    assert after["vda",] > before["vda",]
    told.node.disk_operations = 0
    await samples(told, "node_uname_info", "nodename")
    operations = (await samples(told, "node_disk_writes_completed_total", "device"))["vda",]
    waited = (await samples(told, "node_disk_write_time_seconds_total", "device"))["vda",]
    assert waited == pytest.approx(operations * 0.25, rel=0.01)

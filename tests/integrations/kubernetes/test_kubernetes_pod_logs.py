"""The logs of a Deployment's newest pods, against the cluster stand-in: which pods, how much of them, and what isn't there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster
from integrations.kubernetes.quantities import quantity
from integrations.kubernetes.templates import template_of
from runbook.errors import Permanent
from runbook.ports import PodOfWorkload
from sandbox.kubernetes import Crash, LocalKubernetes, Rule, ScriptedRuntime, User

QUICK = Limits(timeout_s=15.0, attempts=2, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
GOOD, BETTER = (f"registry.local/web@sha256:{sign * 64}" for sign in "ab")
SECRET = "a-token-nobody-may-see"


@pytest.fixture
async def kubernetes() -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(runtime=ScriptedRuntime(), time_scale=0.02)
    await local.start()
    yield local
    await local.stop()


@pytest.fixture
async def cluster(kubernetes: LocalKubernetes) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(Direct(kubernetes.url), "dev", limits=QUICK)
    yield made
    await made.aclose()


def manifest(image: str = GOOD, replicas: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "dev"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    }


async def settled(cluster: KubernetesCluster, pods: int, restarts: int = 0) -> tuple[PodOfWorkload, ...]:
    """So many pods are there, complete, each restarted at least so often."""
    deadline = asyncio.get_running_loop().time() + 15
    while True:
        found = await cluster.pods_of("web")
        done = (await cluster.rollout("web")).complete and len(found) == pods
        if done and all(sum(pod.restarts.values()) >= restarts for pod in found):
            return found
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.02)


def since() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=15)


async def deployed(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> str:
    """The one pod's name, with a first line in its log."""
    kubernetes.apply(manifest())
    (pod,) = await settled(cluster, 1)
    kubernetes.log("dev", pod.name, "web", "started")
    return pod.name


async def test_only_the_newest_pods_are_named(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(manifest(replicas=2))
    before = await settled(cluster, 2)
    assert [pod.restarts for pod in before] == [{"web": 0}, {"web": 0}]
    await cluster.set_images("web", {"web": BETTER}, {})
    old = {pod.name for pod in before}
    deadline = asyncio.get_running_loop().time() + 15
    after = await settled(cluster, 2)
    while old & {pod.name for pod in after}:
        assert asyncio.get_running_loop().time() < deadline, after
        after = await settled(cluster, 2)
    assert sorted(pod.name for pod in after) == [pod.name for pod in after]


async def test_a_deployment_that_is_not_there_is_an_error(cluster: KubernetesCluster) -> None:
    with pytest.raises(Permanent, match="no Deployment web"):
        await cluster.pods_of("web")


async def test_a_short_log_is_read_whole(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    pod = await deployed(kubernetes, cluster)
    kubernetes.log("dev", pod, "web", "FATAL: ä €")
    log = await cluster.pod_log(pod, "web", since(), 4096)
    assert log is not None
    assert log.text.endswith("started\nFATAL: ä €\n")
    assert (log.cut, log.complete) == (False, True)


async def test_of_a_long_log_the_end_is_read(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    pod = await deployed(kubernetes, cluster)
    for number in range(200):
        kubernetes.log("dev", pod, "web", f"{number:03} " + "x" * 395)
    log = await cluster.pod_log(pod, "web", since(), 4096)
    assert log is not None
    assert log.text.splitlines()[-1].startswith("199 ")
    assert (len(log.text), log.cut, log.complete) == (4096, True, True)


async def test_lines_longer_than_what_is_read_dont_hide_the_end(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    pod = await deployed(kubernetes, cluster)
    for number in range(80):
        kubernetes.log("dev", pod, "web", f"{number:03} " + "x" * 30_000 + f" end of {number}")
    log = await cluster.pod_log(pod, "web", since(), 4096)
    assert log is not None
    assert log.text.endswith("end of 79\n")
    assert log.complete


async def test_the_run_before_a_restart_has_a_log_of_its_own(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    pod = await deployed(kubernetes, cluster)
    assert await cluster.pod_log(pod, "web", since(), 4096, previous=True) is None
    kubernetes.log("dev", pod, "web", "PANIC: no database")
    kubernetes.crash("dev", pod, Crash(exit_code=2, reason="Error"))
    await settled(cluster, 1, restarts=1)
    log = await cluster.pod_log(pod, "web", since(), 4096, previous=True)
    assert log is not None
    assert "PANIC: no database" in log.text


async def test_the_log_of_a_pod_that_is_gone_is_none(cluster: KubernetesCluster) -> None:
    assert await cluster.pod_log("web-gone", "web", since(), 4096) is None


async def test_without_the_right_it_is_said_which_is_missing() -> None:
    reader = User("reader", rules=(Rule(("get", "list"), ("pods",), ("",), ("dev",)),))
    kubernetes = LocalKubernetes(tokens={SECRET: reader})
    await kubernetes.start()
    cluster = KubernetesCluster(Direct(kubernetes.url, lambda: SECRET), "dev", limits=QUICK)
    with pytest.raises(Permanent, match="get pods/log") as caught:
        await cluster.pod_log("web-1", "web", since(), 4096)
    await cluster.aclose()
    await kubernetes.stop()
    assert caught.value.code == "kubernetes.forbidden"
    assert SECRET not in str(caught.value)


# --- what the doctor reads of a template ---------------------------------------------------------------------------------


def test_a_template_says_what_it_asks_for_and_names() -> None:
    found = template_of(
        {
            "metadata": {"name": "web"},
            "spec": {
                "template": {
                    "spec": {
                        "imagePullSecrets": [{"name": "registry-login"}],
                        "volumes": [
                            {"name": "a", "secret": {"secretName": "tls"}},
                            {"name": "b", "configMap": {"name": "settings"}},
                            {"name": "c", "projected": {"sources": [{"secret": {"name": "key"}}, {"configMap": {"name": "more"}}]}},
                            {"name": "d", "emptyDir": {}},
                        ],
                        "initContainers": [{"name": "wait", "command": ["wait-for", "db.example:5432"]}],
                        "containers": [
                            {
                                "name": "web",
                                "args": ["serve"],
                                "env": [
                                    {"name": "A", "value": "1"},
                                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "database", "key": "url"}}},
                                    {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "flags", "key": "c"}}},
                                ],
                                "envFrom": [{"secretRef": {"name": "shop"}}, {"configMapRef": {"name": "env"}}],
                                "resources": {"limits": {"cpu": "250m", "memory": "256Mi"}},
                            },
                            {"name": "proxy", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}},
                        ],
                    }
                }
            },
        }
    )  # fmt: skip
    assert (found.workload, found.replicas, found.cpu, found.memory) == ("web", 1, 1.25, 1.25 * 1024**3)
    assert found.secrets == {"registry-login", "tls", "key", "database", "shop"}
    assert found.config_maps == {"settings", "more", "flags", "env"}
    assert ("wait, its command", "db.example:5432") in found.values
    assert ("web, variable A", "1") in found.values


def test_one_container_without_a_limit_makes_the_pod_unlimited() -> None:
    containers = [{"name": "a", "resources": {"limits": {"cpu": "1"}}}, {"name": "b"}]
    found = template_of(
        {"metadata": {"name": "web"}, "spec": {"replicas": 3, "template": {"spec": {"containers": containers}}}}
    )
    assert (found.replicas, found.cpu, found.memory) == (3, None, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", 0.5), ("2", 2.0), (2, 2.0), ("1.5", 1.5), ("1Gi", 1024.0**3), ("128974848", 128974848.0), ("129e6", 129e6),
        ("129M", 129e6), ("123Mi", 123 * 1024.0**2), ("1k", 1000.0), ("100n", 1e-7), ("", None), ("x", None),
        ("1 Gi", None), (None, None), (True, None), ([], None),
    ],
)  # fmt: skip
def test_quantities_are_read_as_kubernetes_writes_them(text: object, value: float | None) -> None:
    assert quantity(text) == value


async def test_a_cluster_says_where_it_is(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    assert await cluster.place() == (kubernetes.url.rstrip("/"), "dev")


async def test_config_maps_are_read_by_name(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    metadata = {"name": "settings", "namespace": "dev"}
    kubernetes.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"DB": "db.example"}})
    assert await cluster.config_map("settings") == {"DB": "db.example"}
    assert await cluster.config_map("none") is None
    assert await cluster.template("none") is None

"""What kube-state-metrics, the kubelet's cAdvisor and node_exporter tell, for a cluster stand-in that has none of them.

Names, labels and meanings are theirs, with an allowlist of labels. Deployments and pods are the cluster's own; usage is asked for, and the
node's disk and network are made up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sandbox.serving import Stand

ALLOWED = ("forge/service", "forge/env", "forge/track")
COUNTS = {
    "kube_deployment_spec_replicas": ("spec", "replicas"),
    "kube_deployment_status_replicas": ("status", "replicas"),
    "kube_deployment_status_replicas_ready": ("status", "readyReplicas"),
    "kube_deployment_status_replicas_available": ("status", "availableReplicas"),
    "kube_deployment_status_replicas_unavailable": ("status", "unavailableReplicas"),
}
CPU_LIMIT, MEMORY_LIMIT_BYTES = 1.0, 256 * 2**20
"""What the sandbox's namespaces give to containers that name no limit, as a LimitRange would."""
UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "": 1.0}
Obj = Mapping[str, Any]
Objects = Callable[[], Iterable[Obj]]


class Usage(Protocol):
    """cpu_s: seconds of a core since the container's start. memory_ratio: working set over its limit."""

    @property
    def cpu_s(self) -> float: ...

    @property
    def memory_ratio(self) -> float: ...


@dataclass
class Node:
    """The one node's disk and network, by the second; may be set while it runs.

    disk_latency_s: of one operation. disk_busy, retransmits: ratios in [0, 1].
    """

    disk_operations: float = 40.0
    disk_latency_s: float = 0.002
    disk_busy: float = 0.08
    segments: float = 1500.0
    retransmits: float = 0.001
    tcp_timeouts: float = 0.01


class ClusterMetrics(Stand):
    """Serves `/metrics`. deployments, pods: the cluster's now, as their API objects. allowed: labels that are shown.

    usage: what a pod's first container has used, None for what doesn't run; without it nothing is told of usage.
    """

    def __init__(
        self,
        deployments: Objects,
        allowed: Sequence[str] = ALLOWED,
        *,
        pods: Objects = tuple,
        usage: Callable[[Obj], Usage | None] = lambda _: None,
    ) -> None:
        super().__init__()
        self.node = Node()
        self._registry = CollectorRegistry()
        self._registry.register(_Deployments(deployments, allowed))
        self._registry.register(_Pods(pods, allowed, usage))
        self._registry.register(_Nodes(pods, self.node))

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self._metrics)]

    def dress(self, request: web.Request, status: int) -> web.Response:
        return web.Response(status=status, text=f"{status}\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=generate_latest(self._registry), headers=headers)


class _Told(Collector):
    def describe(self) -> list[Metric]:
        """Nothing, else the registry would ask the cluster before it runs."""
        return []


class _Deployments(_Told):
    def __init__(self, deployments: Objects, allowed: Sequence[str]) -> None:
        self._deployments = deployments
        self._allowed = allowed

    def collect(self) -> Iterator[Metric]:
        found = list(self._deployments())
        for name, (part, count) in COUNTS.items():
            family = GaugeMetricFamily(name, f"{part}.{count}", labels=("namespace", "deployment"))
            for each in found:
                family.add_metric(_names(each), float((each.get(part) or {}).get(count) or 0))
            yield family
        yield _labels_of("deployment", found, self._allowed)


class _Pods(_Told):
    """Of kube-state-metrics and of cAdvisor."""

    def __init__(self, pods: Objects, allowed: Sequence[str], usage: Callable[[Obj], Usage | None]) -> None:
        self._pods = pods
        self._allowed = allowed
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        found = list(self._pods())
        yield _labels_of("pod", found, self._allowed)
        yield self._info(found)
        yield from self._statuses(found)
        yield from self._resources(found)
        yield from self._used(found)

    def _info(self, found: list[Obj]) -> Metric:
        labels = ("namespace", "pod", "node", "host_ip", "pod_ip", "created_by_kind", "created_by_name")
        family = GaugeMetricFamily("kube_pod_info", "Where a pod is, and whose.", labels=labels)
        for pod in found:
            status = pod.get("status") or {}
            owner: Obj = next(iter(pod["metadata"].get("ownerReferences") or ()), {})
            where = (pod["spec"].get("nodeName", ""), status.get("hostIP", ""), status.get("podIP", ""))
            family.add_metric([*_names(pod), *where, owner.get("kind", ""), owner.get("name", "")], 1.0)
        return family

    def _statuses(self, found: list[Obj]) -> Iterator[Metric]:
        names = ("namespace", "pod", "container")
        restarts = CounterMetricFamily("kube_pod_container_status_restarts", "Restarts.", labels=names)
        reasons = GaugeMetricFamily(
            "kube_pod_container_status_last_terminated_reason", "Its last end.", labels=(*names, "reason")
        )
        for pod in found:
            for status in (pod.get("status") or {}).get("containerStatuses") or ():
                restarts.add_metric([*_names(pod), status["name"]], float(status.get("restartCount") or 0))
                ended = (status.get("lastState") or {}).get("terminated")
                if ended:
                    reasons.add_metric([*_names(pod), status["name"], ended.get("reason", "")], 1.0)
        yield restarts
        yield reasons

    def _resources(self, found: list[Obj]) -> Iterator[Metric]:
        labels = ("namespace", "pod", "container", "node", "resource", "unit")
        for kind in ("limits", "requests"):
            family = GaugeMetricFamily(f"kube_pod_container_resource_{kind}", f"Its {kind}.", labels=labels)
            for pod in found:
                for container in pod["spec"]["containers"]:
                    of = [*_names(pod), container["name"], pod["spec"].get("nodeName", "")]
                    cpu, memory = _resources_of(container, kind)
                    family.add_metric([*of, "cpu", "core"], cpu)
                    family.add_metric([*of, "memory", "byte"], memory)
            yield family

    def _used(self, found: list[Obj]) -> Iterator[Metric]:
        labels = ("namespace", "pod", "container", "image")
        cpu = CounterMetricFamily("container_cpu_usage_seconds", "Seconds of a core.", labels=labels)
        memory = GaugeMetricFamily("container_memory_working_set_bytes", "Working set.", labels=labels)
        for pod in found:
            used = self._usage(pod)
            if used is not None:
                container = pod["spec"]["containers"][0]
                of = [*_names(pod), container["name"], container["image"]]
                cpu.add_metric(of, used.cpu_s)
                memory.add_metric(of, used.memory_ratio * _resources_of(container, "limits")[1])
        yield cpu
        yield memory


class _Nodes(_Told):
    """node_exporter on the nodes that carry pods; one scrape adds what has happened since the one before."""

    def __init__(self, pods: Objects, node: Node) -> None:
        self._pods = pods
        self._node = node
        self._counted = {"operations": 0.0, "waited": 0.0, "busy": 0.0, "out": 0.0, "again": 0.0, "timeouts": 0.0}
        self._last = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        self._advance()
        names = {pod["spec"].get("nodeName") for pod in self._pods()} - {None, ""}
        known = GaugeMetricFamily("node_uname_info", "The host's name.", labels=("nodename", "sysname"))
        for name in sorted(map(str, names)):
            known.add_metric([name, "Linux"], 1.0)
        yield known
        # an even mixture of reads and writes
        disk = {
            "operations": ("reads_completed", "writes_completed"),
            "waited": ("read_time_seconds", "write_time_seconds"),
        }
        for what, kinds in disk.items():
            for kind in kinds:
                yield self._disk(kind, self._counted[what] / 2)
        yield self._disk("io_time_seconds", self._counted["busy"])
        for name, what in (("Tcp_OutSegs", "out"), ("Tcp_RetransSegs", "again"), ("TcpExt_TCPTimeouts", "timeouts")):
            yield GaugeMetricFamily(f"node_netstat_{name}", "Of /proc/net/netstat.", value=self._counted[what])

    def _disk(self, kind: str, value: float) -> Metric:
        family = CounterMetricFamily(f"node_disk_{kind}", "Of /proc/diskstats.", labels=("device",))
        family.add_metric(["vda"], value)
        return family

    def _advance(self) -> None:
        now, node = time.monotonic(), self._node
        passed, self._last = now - self._last, now
        each = {
            "operations": node.disk_operations,
            "waited": node.disk_operations * node.disk_latency_s,
            "busy": node.disk_busy,
            "out": node.segments,
            "again": node.segments * node.retransmits,
            "timeouts": node.tcp_timeouts,
        }
        for what, by_second in each.items():
            self._counted[what] += by_second * passed


def _labels_of(kind: str, found: list[Obj], allowed: Sequence[str]) -> Metric:
    names = [f"label_{re.sub('[^a-zA-Z0-9_]', '_', label)}" for label in allowed]
    family = GaugeMetricFamily(
        f"kube_{kind}_labels", "The labels that are allowed.", labels=("namespace", kind, *names)
    )
    for each in found:
        labels = each["metadata"].get("labels") or {}
        family.add_metric([*_names(each), *(labels.get(label, "") for label in allowed)], 1.0)
    return family


def _resources_of(container: Obj, kind: str) -> tuple[float, float]:
    """CPU in cores and memory in bytes; a container that names none has the namespace's."""
    named = (container.get("resources") or {}).get(kind) or {}
    return _quantity(named.get("cpu"), CPU_LIMIT), _quantity(named.get("memory"), MEMORY_LIMIT_BYTES)


def _quantity(text: object, default: float) -> float:
    """`500m`, `256Mi`; what isn't understood counts as not said."""
    found = re.fullmatch(r"([0-9.]+)(m|k|M|G|Ki|Mi|Gi|)", str(text))
    return float(found[1]) * UNITS[found[2]] if found else default


def _names(each: Obj) -> list[str]:
    metadata = each["metadata"]
    return [metadata.get("namespace", "default"), metadata["name"]]

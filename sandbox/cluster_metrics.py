"""The part of kube-state-metrics that tells of Deployments, for a cluster stand-in that has none.

Names, labels and meanings are those of kube-state-metrics with an allowlist of Deployment labels; it computes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
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
Deployments = Callable[[], Iterable[Mapping[str, Any]]]


class ClusterMetrics(Stand):
    """Serves `/metrics`. deployments: the cluster's Deployments now, as their API objects. allowed: labels that are shown."""

    def __init__(self, deployments: Deployments, allowed: Sequence[str] = ALLOWED) -> None:
        super().__init__()
        self._registry = CollectorRegistry()
        self._registry.register(_Told(deployments, allowed))

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self._metrics)]

    def dress(self, request: web.Request, status: int) -> web.Response:
        return web.Response(status=status, text=f"{status}\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=generate_latest(self._registry), headers=headers)


class _Told(Collector):
    def __init__(self, deployments: Deployments, allowed: Sequence[str]) -> None:
        self._deployments = deployments
        self._allowed = allowed

    def describe(self) -> list[Metric]:
        """Nothing, else the registry would ask the cluster before it runs."""
        return []

    def collect(self) -> Iterator[Metric]:
        found = list(self._deployments())
        for name, (part, count) in COUNTS.items():
            family = GaugeMetricFamily(name, f"{part}.{count}", labels=("namespace", "deployment"))
            for each in found:
                family.add_metric(_names(each), float((each.get(part) or {}).get(count) or 0))
            yield family
        yield self._labels(found)

    def _labels(self, found: list[Mapping[str, Any]]) -> Metric:
        names = [f"label_{re.sub('[^a-zA-Z0-9_]', '_', label)}" for label in self._allowed]
        family = GaugeMetricFamily(
            "kube_deployment_labels", "The labels that are allowed.", labels=("namespace", "deployment", *names)
        )
        for each in found:
            labels = each["metadata"].get("labels") or {}
            family.add_metric([*_names(each), *(labels.get(label, "") for label in self._allowed)], 1.0)
        return family


def _names(deployment: Mapping[str, Any]) -> list[str]:
    metadata = deployment["metadata"]
    return [metadata.get("namespace", "default"), metadata["name"]]

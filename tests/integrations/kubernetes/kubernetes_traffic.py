"""A shop with a Gateway, an HTTPRoute with foreign rules, and Services by track, as manifests."""

from __future__ import annotations

import copy
from typing import Any

from runbook.ports import CanaryOrder, TrafficTarget
from runbook.rules.traffic import REPLICAS, ROUTE

GOOD, BETTER, BAD = (f"registry.local/web@sha256:{sign * 64}" for sign in "abc")
WEB = TrafficTarget("web", "web-canary", ROUTE, 3, "web", "web", "web-canary")
WORKER = TrafficTarget("worker", "worker-canary", REPLICAS, 3)
NOTES = {"forge/run": "prod-7", "forge/step": "prod-7/4"}


def order(**changes: Any) -> CanaryOrder:
    values = {
        "workload": "web",
        "canary": "web-canary",
        "images": {"app": BETTER},
        "replicas": 1,
        "run": "prod-7",
        "annotations": NOTES,
    }
    return CanaryOrder(**{**values, **changes})


def deployment(name: str = "web", **spec: Any) -> dict[str, Any]:
    app = {
        "name": "app",
        "image": GOOD,
        "env": [{"name": "A", "value": "1"}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health/live", "port": 8080}, "periodSeconds": 2},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    labels = {"app": name, "forge/track": "stable"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"app.kubernetes.io/instance": "shop", "team": "web"},
            "annotations": {"argocd.argoproj.io/note": "not copied"},
        },
        "spec": {
            "replicas": 3,
            "minReadySeconds": 0,
            "progressDeadlineSeconds": 120,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": {**labels, "tier": "front"}, "annotations": {"prometheus.io/scrape": "true"}},
                "spec": {
                    "serviceAccountName": "shop",
                    "terminationGracePeriodSeconds": 1,
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                    "containers": [app],
                },
            },
            **spec,
        },
    }


def service(name: str, track: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"app": "web", "forge/track": track},
            "ports": [{"name": "http", "port": 8080, "targetPort": 8080}],
        },
    }


def gateway(name: str = "edge") -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"gatewayClassName": "sandbox", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    }


def backends(stable: int | None = 100, canary: int | None = 0, **more: int) -> list[dict[str, Any]]:
    named = {"web": stable, "web-canary": canary, **more}
    return [
        {"name": name, "port": 8080, **({} if weight is None else {"weight": weight})} for name, weight in named.items()
    ]


def route(*rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Without rules: one that is foreign, one with both backends and another beside them, and again one with both in the other order."""
    usual = (
        {"matches": [{"path": {"type": "PathPrefix", "value": "/admin"}}], "backendRefs": [{"name": "admin", "port": 8080, "weight": 7}]},
        {"backendRefs": backends(assets=3)},
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
            "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-api", "value": "1"}]}}],
            "backendRefs": list(reversed(backends())),
        },
    )  # fmt: skip
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "hostnames": ["shop.example"],
            "rules": copy.deepcopy(list(rules or usual)),
            **spec,
        },
    }


SERVICES = (
    service("web", "stable"),
    service("web-canary", "canary"),
    service("admin", "stable"),
    service("assets", "stable"),
)

"""The shop's Deployments, as somebody once applied them by hand: with probes, labels and the released images."""

from __future__ import annotations

from typing import Any

from sandbox.kubernetes import LocalKubernetes

REPLICAS = 2
PORT = 8080


def deployment(workload: str, env: str, image: str) -> dict[str, Any]:
    """The namespace is the environment's name."""
    labels = {
        "app.kubernetes.io/name": workload,
        "app.kubernetes.io/part-of": "shop",
        "forge/service": "shop",
        "forge/env": env,
        "forge/track": "stable",
    }
    chosen = {"app.kubernetes.io/name": workload, "forge/track": "stable"}
    spec = {
        "replicas": REPLICAS,
        "selector": {"matchLabels": chosen},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [_container(workload, image)]}},
    }
    metadata = {"name": workload, "namespace": env, "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _container(workload: str, image: str) -> dict[str, Any]:
    def probe(path: str, **more: int) -> dict[str, Any]:
        return {"httpGet": {"path": f"/health/{path}", "port": PORT}, "periodSeconds": 1, **more}

    return {
        "name": workload,
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": probe("startup", failureThreshold=30),
        "readinessProbe": probe("ready"),
        "livenessProbe": probe("live", failureThreshold=3),
    }


def images(cluster: LocalKubernetes) -> dict[str, str]:
    """What every Deployment is told to run: `<namespace>/<name>` -> image reference."""
    return {
        f"{each['metadata']['namespace']}/{each['metadata']['name']}": each["spec"]["template"]["spec"]["containers"][
            0
        ]["image"]
        for each in cluster.list("Deployment")
    }

"""Manifests and waiting for the tests of the Kubernetes stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sandbox.kubernetes import LocalKubernetes

GOOD, BETTER = "registry.local/web@sha256:" + "a" * 64, "registry.local/web@sha256:" + "b" * 64
CRASHING, UNREADY = "registry.local/web@sha256:" + "c" * 64, "registry.local/web@sha256:" + "d" * 64
MISSING, SIDECAR = "registry.local/web@sha256:" + "e" * 64, "registry.local/proxy:1.0"


def deployment(name: str = "web", *, image: str = GOOD, namespace: str = "dev", **spec: Any) -> dict[str, Any]:
    """A Deployment with probes and a sidecar; `spec` overrides fields of its spec."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [_app(image), _sidecar()]}},
            **spec,
        },
    }


def _app(image: str) -> dict[str, Any]:
    return {
        "name": "web",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health/live", "port": 8080}, "periodSeconds": 2},
    }


def _sidecar() -> dict[str, Any]:
    return {"name": "proxy", "image": SIDECAR}


def image_patch(image: str) -> dict[str, Any]:
    """A strategic merge patch that changes the app's image."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}}


async def eventually(condition: Callable[[], Any], what: str, within_s: float = 60) -> Any:
    """The condition's first true value; raises AssertionError after the deadline."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not (value := condition()):
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.01)
    return value


def is_rolled_out(kubernetes: LocalKubernetes, name: str = "web", namespace: str = "dev") -> bool:
    found = kubernetes.get("Deployment", namespace, name)
    assert found is not None
    status = found.get("status", {})
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    progressing = [c["reason"] for c in status.get("conditions", ()) if c["type"] == "Progressing"]
    return (
        status.get("observedGeneration") == found["metadata"]["generation"]
        and counts == [found["spec"]["replicas"]] * 3
        and progressing == ["NewReplicaSetAvailable"]
    )


async def rolled_out(kubernetes: LocalKubernetes, name: str = "web", namespace: str = "dev") -> None:
    await eventually(lambda: is_rolled_out(kubernetes, name, namespace), f"{name} rolled out")


def pods_of(kubernetes: LocalKubernetes, image: str, namespace: str = "dev") -> list[dict[str, Any]]:
    return [pod for pod in kubernetes.list("Pod", namespace) if pod["spec"]["containers"][0]["image"] == image]


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    is_going = "deletionTimestamp" in pod["metadata"]
    return not is_going and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def event_messages(kubernetes: LocalKubernetes, reason: str, namespace: str = "dev") -> list[str]:
    return [event["message"] for event in kubernetes.list("Event", namespace) if event["reason"] == reason]

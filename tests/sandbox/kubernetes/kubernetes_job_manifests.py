"""Jobs for the tests of the stand-in: an image stands for a real Python interpreter."""

from __future__ import annotations

import sys
from typing import Any

from kubernetes_manifests import eventually

from sandbox.kubernetes import LocalKubernetes

TOOL, NO_TOOL = "registry.local/tool@sha256:" + "a" * 64, "registry.local/no-tool:1.0"
FOR_EVER = "import time; print('begun', flush=True); time.sleep(600)"


def programs(image: str) -> tuple[str, ...] | None:
    return (sys.executable,) if image == TOOL else None


def job(
    program: str = "print('done')", name: str = "tool", *, container: dict[str, Any] | None = None,
    policy: str = "Never", **spec: Any,
) -> dict[str, Any]:  # fmt: skip
    entry = {"name": "job", "image": TOOL, "args": ["-c", program], **(container or {})}
    template = {"spec": {"restartPolicy": policy, "containers": [entry]}}
    metadata = {"name": name, "namespace": "dev"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"backoffLimit": 0, "template": template, **spec},
    }


def status_of(kubernetes: LocalKubernetes, name: str = "tool") -> dict[str, Any]:
    found = kubernetes.get("Job", "dev", name)
    return dict((found or {}).get("status") or {})


def conditions_of(kubernetes: LocalKubernetes, name: str = "tool") -> list[tuple[str, str]]:
    return [(entry["type"], entry["reason"]) for entry in status_of(kubernetes, name).get("conditions", ())]


async def concluded(kubernetes: LocalKubernetes, name: str = "tool") -> list[tuple[str, str]]:
    """Its conditions, when the last one says that it is over."""

    def over() -> Any:
        found = conditions_of(kubernetes, name)
        return found if found and found[-1][0] in ("Complete", "Failed") else None

    found: list[tuple[str, str]] = await eventually(over, f"the Job {name} is over", within_s=60)
    return found


def pods_of_job(kubernetes: LocalKubernetes, name: str = "tool") -> list[dict[str, Any]]:
    return [p for p in kubernetes.list("Pod", "dev") if p["metadata"].get("labels", {}).get("job-name") == name]


async def running(kubernetes: LocalKubernetes, name: str = "tool") -> dict[str, Any]:
    def ready() -> Any:
        return next((p for p in pods_of_job(kubernetes, name) if p["status"].get("phase") == "Running"), None)

    pod: dict[str, Any] = await eventually(ready, f"a pod of {name} runs", within_s=60)
    return pod

"""A Job as it is asked of the cluster: pure. One pod, never restarted, without more rights than its order names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from runbook.jobs import JobOrder

CONTAINER = "job"
KEY = "job-key"
_SPARE_S = 60
"""The cluster's own deadline counts from the Job's creation, forge's from the container's start. forge is to come first: with a pod
that the cluster ended, the log is gone."""
_KEPT_S = 24 * 60 * 60
"""forge deletes its Jobs; one that it could not delete goes by itself after a day."""


def manifest(order: JobOrder, namespace: str) -> dict[str, Any]:
    """The batch/v1 Job. Source of the fields: kubernetes.io, API reference, Job v1 and PodSpec."""
    labels = {f"{order.prefix}/run": order.run}
    notes = {**labels, f"{order.prefix}/step": order.step, f"{order.prefix}/{KEY}": order.key}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": order.name, "namespace": namespace, "labels": labels, "annotations": notes},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": math.ceil(order.start_within_s + order.timeout_s) + _SPARE_S,
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {"metadata": {"labels": labels, "annotations": notes}, "spec": _pod(order)},
        },
    }


def _pod(order: JobOrder) -> dict[str, Any]:
    account = {"serviceAccountName": order.service_account} if order.service_account else {}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": bool(order.service_account),
        **account,
        "enableServiceLinks": False,
        "containers": [_container(order)],
    }


def _container(order: JobOrder) -> dict[str, Any]:
    sources: list[dict[str, Any]] = [
        *({"configMapRef": {"name": name}} for name in order.env_from_config_maps),
        *({"secretRef": {"name": name}} for name in order.env_from_secrets),
    ]
    amounts = {name: amount for name, amount in (("cpu", order.cpu), ("memory", order.memory)) if amount}
    optional: dict[str, Any] = {
        "command": list(order.command),
        "args": list(order.args),
        "env": [{"name": name, "value": value} for name, value in sorted(order.env.items())],
        "envFrom": sources,
        "resources": {"requests": amounts, "limits": amounts} if amounts else {},
    }
    return {
        "name": CONTAINER,
        "image": order.image,
        **{name: value for name, value in optional.items() if value},
        # What every image bears; dropping capabilities or the user would break images that start as root.
        "securityContext": {"allowPrivilegeEscalation": False, "seccompProfile": {"type": "RuntimeDefault"}},
    }


def key_of(metadata: Mapping[str, Any]) -> str:
    """The key of the order that made this Job, under whatever prefix; empty where forge didn't."""
    annotations = metadata.get("annotations") or {}
    return str(next((value for name, value in annotations.items() if name.endswith(f"/{KEY}")), ""))

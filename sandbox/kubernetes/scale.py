"""The scale subresource: autoscaling/v1 Scale, read from and written to a workload."""

from __future__ import annotations

from sandbox.kubernetes.objects import Obj, at, clone
from sandbox.kubernetes.selectors import selector_text
from sandbox.kubernetes.status import bad_request


def scale_of(obj: Obj) -> Obj:
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: meta[key] for key in kept if key in meta},
        "spec": {"replicas": at(obj, "spec.replicas") or 0},
        "status": {"replicas": at(obj, "status.replicas") or 0, "selector": selector_text(at(obj, "spec.selector"))},
    }


def apply_scale(obj: Obj, scale: Obj) -> Obj:
    """The workload with the replicas (and the version to compare) of this Scale. Raises ApiError 400."""
    replicas = at(scale, "spec.replicas") or 0
    if not isinstance(replicas, int):
        raise bad_request("json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32")
    wanted: Obj = clone(obj)
    wanted["spec"]["replicas"] = replicas
    version = at(scale, "metadata.resourceVersion")
    if version:
        wanted["metadata"]["resourceVersion"] = version
    return wanted

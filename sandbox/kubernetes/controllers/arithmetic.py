"""The numbers of a rolling update, pure: pkg/controller/deployment/util of Kubernetes says how they are rounded."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sandbox.kubernetes.objects import Obj, annotations_of, at, safe_hash, total

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HASH_LABEL = "pod-template-hash"
NOT_COPIED = (REVISION, REVISION_HISTORY, DESIRED, MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration")


def _resolved(value: int | str | None, replicas: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        share = int(value[:-1]) * replicas / 100
        return math.ceil(share) if up else math.floor(share)
    return int(value or 0)


def bounds(deployment: Obj) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods: surge is rounded up, unavailable down; both 0 becomes one unavailable."""
    if at(deployment, "spec.strategy.type") != "RollingUpdate":
        return 0, 0
    replicas = deployment["spec"]["replicas"]
    surge = _resolved(at(deployment, "spec.strategy.rollingUpdate.maxSurge"), replicas, up=True)
    unavailable = _resolved(at(deployment, "spec.strategy.rollingUpdate.maxUnavailable"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def template_hash(deployment: Obj) -> str:
    collisions = at(deployment, "status.collisionCount") or 0
    return safe_hash([deployment["spec"]["template"], collisions], 10)


def same_template(one: Obj, other: Obj) -> bool:
    """Whether two pod templates are equal apart from the controller's own label."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Obj) -> Obj:
    labels = {key: value for key, value in (at(template, "metadata.labels") or {}).items() if key != HASH_LABEL}
    return {**template, "metadata": {**template.get("metadata", {}), "labels": labels}}


def revision_of(obj: Obj) -> int:
    text = annotations_of(obj).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def wanted_of_new(deployment: Obj, new: Obj, everything: Sequence[Obj]) -> int:
    """How many pods the new ReplicaSet may have now."""
    replicas, current = deployment["spec"]["replicas"], new["spec"]["replicas"]
    if at(deployment, "spec.strategy.type") != "RollingUpdate":
        return int(replicas)
    surge, _ = bounds(deployment)
    room = replicas + surge - total(everything, "spec.replicas")
    if room <= 0:
        return int(current)
    return int(current + min(room, replicas - current))


def removable(deployment: Obj, new: Obj | None, everything: Sequence[Obj]) -> int:
    """How many old pods may go now, the not yet available pods of the new ReplicaSet counted as missing."""
    _, unavailable = bounds(deployment)
    missing = 0
    if new is not None:
        missing = new["spec"]["replicas"] - (at(new, "status.availableReplicas") or 0)
    needed = deployment["spec"]["replicas"] - unavailable
    return int(total(everything, "spec.replicas") - needed - missing)


def proportions(deployment: Obj, active: Sequence[Obj]) -> dict[str, int]:
    """New sizes by name when a Deployment is scaled in the middle of a rollout: shared out by present size."""
    surge, _ = bounds(deployment)
    replicas = deployment["spec"]["replicas"]
    allowed = replicas + surge if replicas > 0 else 0
    present = total(active, "spec.replicas")
    to_add = allowed - present
    newest_first = sorted(active, key=lambda rs: str(rs["metadata"]["creationTimestamp"]), reverse=True)
    largest_first = sorted(newest_first, key=lambda rs: -int(rs["spec"]["replicas"]))
    sizes = {rs["metadata"]["name"]: int(rs["spec"]["replicas"]) for rs in largest_first}
    left = to_add
    for replica_set in largest_first:
        name, size = replica_set["metadata"]["name"], replica_set["spec"]["replicas"]
        before = int(annotations_of(replica_set).get(MAXIMUM) or 0) or present
        share = round(size * allowed / before) - size
        share = min(share, left) if to_add > 0 else max(share, left)
        share = share if share * to_add > 0 else 0
        sizes[name] += share
        left -= share
    if largest_first and left:
        first = largest_first[0]["metadata"]["name"]
        sizes[first] = max(0, sizes[first] + left)
    return sizes

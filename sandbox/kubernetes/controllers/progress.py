"""A Deployment's status: counts, and the conditions Available, Progressing and ReplicaFailure (sync.go, progress.go)."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.kubernetes.controllers.arithmetic import bounds
from sandbox.kubernetes.objects import Obj, at, clone, condition, name_of, put_condition, total, uid_of
from sandbox.kubernetes.pace import Pace

COMPLETE, TIMED_OUT, UPDATED = "NewReplicaSetAvailable", "ProgressDeadlineExceeded", "ReplicaSetUpdated"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"


def counted(deployment: Obj, new: Obj | None, everything: Sequence[Obj]) -> Obj:
    """The status' counts, the conditions untouched."""
    replicas, available = total(everything, "status.replicas"), total(everything, "status.availableReplicas")
    status: Obj = {"observedGeneration": deployment["metadata"]["generation"]}
    counts = {
        "replicas": replicas,
        "updatedReplicas": at(new, "status.replicas") or 0,
        "readyReplicas": total(everything, "status.readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total(everything, "spec.replicas") - available),
    }
    status.update({name: count for name, count in counts.items() if count})
    status["conditions"] = clone(at(deployment, "status.conditions") or [])
    collisions = at(deployment, "status.collisionCount")
    return status if collisions is None else {**status, "collisionCount": collisions}


def is_complete(deployment: Obj, status: Obj) -> bool:
    wanted = deployment["spec"]["replicas"]
    return (
        all(status.get(name, 0) == wanted for name in ("updatedReplicas", "replicas", "availableReplicas"))
        and status["observedGeneration"] >= deployment["metadata"]["generation"]
    )


def has_progressed(old: Obj, new: Obj) -> bool:
    def old_pods(status: Obj) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    return (
        new.get("updatedReplicas", 0) > old.get("updatedReplicas", 0)
        or old_pods(new) < old_pods(old)
        or new.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or new.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )


class ProgressClock:
    """When each Deployment last made progress, in simulated seconds: timestamps in whole seconds are too coarse."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._since: dict[str, float] = {}

    def restart(self, deployment: Obj) -> None:
        self._since[uid_of(deployment)] = self._pace.now()

    def forget(self, deployment: Obj) -> None:
        self._since.pop(uid_of(deployment), None)

    def left_s(self, deployment: Obj) -> float:
        """Simulated seconds until the progress deadline."""
        since = self._since.setdefault(uid_of(deployment), self._pace.now())
        return float(deployment["spec"]["progressDeadlineSeconds"] - (self._pace.now() - since))


def judge_available(deployment: Obj, status: Obj) -> None:
    _, unavailable = bounds(deployment)
    enough = status.get("availableReplicas", 0) >= deployment["spec"]["replicas"] - unavailable
    put_condition(
        status["conditions"],
        {
            "type": "Available",
            "status": "True" if enough else "False",
            "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
            "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
        },
        update_time=True,
    )


def judge_progress(deployment: Obj, status: Obj, new: Obj | None, clock: ProgressClock) -> float | None:
    """Set Progressing in this new status; returns simulated seconds until the deadline must be looked at again."""
    old = deployment.get("status") or {}
    known = condition(deployment, "Progressing")
    was_complete = known is not None and known["reason"] == COMPLETE
    if status.get("replicas", 0) == status.get("updatedReplicas", 0) and was_complete:
        return None
    about = f'ReplicaSet "{name_of(new)}"' if new else f'Deployment "{name_of(deployment)}"'
    if is_complete(deployment, status):
        _progressing(status, "True", COMPLETE, f"{about} has successfully progressed.")
        clock.forget(deployment)
        return None
    if has_progressed(old, status):
        _progressing(status, "True", UPDATED, f"{about} is progressing.")
        clock.restart(deployment)
        return clock.left_s(deployment)
    if known is None or known["reason"] in (TIMED_OUT, COMPLETE, PAUSED) or deployment["spec"].get("paused"):
        return None
    left_s = clock.left_s(deployment)
    if left_s <= 0:
        _progressing(status, "False", TIMED_OUT, f"{about} has timed out progressing.")
        return None
    return left_s


def note(status: Obj, verdict: str, reason: str, message: str) -> None:
    """Set Progressing for an event of the controller (a new ReplicaSet, pause, resume)."""
    _progressing(status, verdict, reason, message)


def _progressing(status: Obj, verdict: str, reason: str, message: str) -> None:
    entry = {"type": "Progressing", "status": verdict, "reason": reason, "message": message}
    put_condition(status["conditions"], entry, update_time=True)

"""The autoscalers' controller: between their least and their most number of pods. What their metrics ask for is told by whoever plays the load.

It leaves a Deployment without pods alone. Source: kubernetes.io, Horizontal Pod Autoscaling, implicit maintenance-mode deactivation.
"""

from __future__ import annotations

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers.queue import WorkQueue
from sandbox.kubernetes.objects import Obj, name_of, namespace_of, timestamp
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import AUTOSCALERS, DEPLOYMENTS
from sandbox.kubernetes.store import Change, Key

WHY = {
    True: "Current number of replicas above Spec.MaxReplicas",
    False: "Current number of replicas below Spec.MinReplicas",
}
IDLE = "All metrics below target"


class AutoscalerController:
    def __init__(self, cluster: Cluster, recorder: Recorder, pace: Pace) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self.queue = WorkQueue(self.sync, pace)

    def notice(self, change: Change) -> None:
        if change.resource.key == AUTOSCALERS.key:
            self.queue.add((namespace_of(change.obj), name_of(change.obj)))
        elif change.resource.key == DEPLOYMENTS.key:
            for scaler in self._of(namespace_of(change.obj), name_of(change.obj)):
                self.queue.add((namespace_of(scaler), name_of(scaler)))

    def sync(self, key: Key) -> None:
        scaler = self._cluster.store.find(AUTOSCALERS, *key)
        found = None if scaler is None else self._target(scaler)
        if scaler is None or found is None or not found["spec"]["replicas"]:
            return
        current = found["spec"]["replicas"]
        self._rescale(scaler, current, _bounded(scaler, current), WHY[current > scaler["spec"]["maxReplicas"]])

    def ask_for(self, namespace: str, deployment: str, replicas: int) -> int:
        """The load needs no more pods than these, now; returns how many there will be. Raises KeyError where nothing scales this Deployment."""
        scaler = next(iter(self._of(namespace, deployment)), None)
        found = None if scaler is None else self._target(scaler)
        if scaler is None or found is None:
            raise KeyError(deployment)
        if not found["spec"]["replicas"]:
            return 0
        wanted = _bounded(scaler, replicas)
        self._rescale(scaler, found["spec"]["replicas"], wanted, IDLE)
        return wanted

    def _of(self, namespace: str, deployment: str) -> list[Obj]:
        scalers = self._cluster.store.list(AUTOSCALERS, namespace)
        return [each for each in scalers if _goal(each) == ("Deployment", deployment)]

    def _target(self, scaler: Obj) -> Obj | None:
        kind, name = _goal(scaler)
        return self._cluster.store.find(DEPLOYMENTS, namespace_of(scaler), name) if kind == "Deployment" else None

    def _rescale(self, scaler: Obj, current: int, wanted: int, why: str) -> None:
        if wanted == current:
            return
        namespace = namespace_of(scaler)

        def scale(deployment: Obj) -> None:
            deployment["spec"]["replicas"] = wanted

        def note(each: Obj) -> None:
            each["status"] = {"currentReplicas": current, "desiredReplicas": wanted, "lastScaleTime": timestamp()}

        self._cluster.mutate(DEPLOYMENTS, namespace, _goal(scaler)[1], scale)
        noted = self._cluster.mutate(AUTOSCALERS, namespace, name_of(scaler), note, "status")
        if noted is not None:
            said = f"New size: {wanted}; reason: {why}"
            self._recorder.normal(noted, "SuccessfulRescale", said, "horizontal-pod-autoscaler")


def _goal(scaler: Obj) -> tuple[str, str]:
    target = scaler["spec"]["scaleTargetRef"]
    return target["kind"], target["name"]


def _bounded(scaler: Obj, replicas: int) -> int:
    least, most = scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]
    return int(max(least, min(most, replicas)))

"""What is special of production: the gateway before it, which may be unwilling, and an autoscaler that shrinks stable."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.kubernetes import LocalKubernetes
from sandbox.kubernetes.controllers.http_routes import ACCEPTED_AFTER_S
from sandbox.kubernetes.objects import Obj, timestamp
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import AUTOSCALERS, DEPLOYMENTS
from sandbox.world.workloads import PRODUCTION

GATEWAY_STATES: Mapping[str, str] = {
    "accepts": "accepts",
    "frozen": "answers nothing",
    "refuses": "refuses what is new",
    "late": "accepts after 10 s",
}
LATE_S = 10.0
REFUSAL = ("UnsupportedValue", "the gateway was told to refuse")


class Production:
    """Knows nothing of releases. time_scale: real seconds per second of the cluster's own."""

    def __init__(self, cluster: LocalKubernetes, time_scale: float) -> None:
        self._cluster = cluster
        self._time_scale = time_scale
        self.gateway = "accepts"

    def set_gateway(self, state: str) -> None:
        """One of GATEWAY_STATES; `accepts` takes everything that has waited. Raises KeyError."""
        if state not in GATEWAY_STATES:
            raise KeyError(state)
        self.gateway = state
        gateway = self._cluster.gateway
        gateway.delay_s = LATE_S / self._time_scale if state == "late" else ACCEPTED_AFTER_S
        gateway.heal()
        if state == "frozen":
            gateway.freeze()
        elif state == "refuses":
            gateway.refuse(*REFUSAL)

    def shrink(self, workload: str, replicas: int = 1) -> None:
        """As an autoscaler does when nothing asks for CPU. Raises KeyError where there is no such Deployment."""
        cluster = self._cluster.cluster
        before = self._cluster.get("Deployment", PRODUCTION, workload)
        if before is None:
            raise KeyError(workload)

        def scale(deployment: Obj) -> None:
            deployment["spec"]["replicas"] = replicas

        def note(autoscaler: Obj) -> None:
            autoscaler["status"] = {
                "currentReplicas": before["spec"]["replicas"],
                "desiredReplicas": replicas,
                "lastScaleTime": timestamp(),
            }

        cluster.mutate(DEPLOYMENTS, PRODUCTION, workload, scale)
        noted = cluster.mutate(AUTOSCALERS, PRODUCTION, workload, note, "status")
        if noted is not None:
            said = f"New size: {replicas}; reason: All metrics below target"
            Recorder(cluster).normal(noted, "SuccessfulRescale", said, "horizontal-pod-autoscaler")

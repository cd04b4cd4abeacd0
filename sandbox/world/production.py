"""What is special of production: a gateway that may be unwilling, an autoscaler that shrinks stable, a database in trouble."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.kubernetes import LocalKubernetes
from sandbox.kubernetes.controllers.http_routes import ACCEPTED_AFTER_S
from sandbox.shop import Shop
from sandbox.world.workloads import PRODUCTION

GATEWAY_STATES: Mapping[str, str] = {
    "accepts": "accepts",
    "frozen": "answers nothing",
    "refuses": "refuses what is new",
    "late": "accepts after 10 s",
}
DATABASE_STATES: Mapping[str, str] = {"calm": "calm", "slow": "slow queries", "locks": "sessions wait for locks"}
TROUBLED_SESSIONS, TROUBLED_FOR_S = 12, 60.0
LATE_S = 10.0
REFUSAL = ("UnsupportedValue", "the gateway was told to refuse")


class Production:
    """Knows nothing of releases. time_scale: real seconds per second of the cluster's own."""

    def __init__(self, cluster: LocalKubernetes, shop: Shop, time_scale: float) -> None:
        self._cluster = cluster
        self._shop = shop
        self._time_scale = time_scale
        self.gateway = "accepts"
        self.database = "calm"

    def heal(self) -> None:
        self.set_gateway("accepts")
        if self.database != "calm":
            self.set_database("calm")

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

    def set_database(self, state: str) -> None:
        """One of DATABASE_STATES: what postgres_exporter tells of the sessions there. Raises KeyError."""
        if state not in DATABASE_STATES:
            raise KeyError(state)
        self.database = state
        sessions = 0 if state == "calm" else TROUBLED_SESSIONS
        database = self._shop.meters[PRODUCTION].database
        database.run_slowly(PRODUCTION, sessions, for_s=TROUBLED_FOR_S, waiting=state == "locks")

    def shrink(self, workload: str, replicas: int = 1) -> int:
        """Its autoscaler finds that no more pods are needed than these; returns how many it leaves, which are no fewer than its minReplicas.

        Raises KeyError where there is none for such a Deployment."""
        return self._cluster.autoscaling.ask_for(PRODUCTION, workload, replicas)
